/*
 * A cJSON tree with exact integers (cJSON's own numbers are doubles and lose above 2^53).
 * Running out of memory anywhere spoils the tree, and json_write says so: nothing between
 * needs checking. A parent is an object (with a name) or an array (name NULL).
 */
#ifndef ALLOCTRACE_REPORT_JSON_TREE_H
#define ALLOCTRACE_REPORT_JSON_TREE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct json {
	cJSON *root;
	bool failed;
};

void json_init(struct json *j); /* an empty object */
cJSON *json_object(struct json *j, cJSON *parent, const char *name);
cJSON *json_array(struct json *j, cJSON *parent, const char *name);
void json_null(struct json *j, cJSON *parent, const char *name);
void json_bool(struct json *j, cJSON *parent, const char *name, bool value);
void json_integer(struct json *j, cJSON *parent, const char *name, uint64_t value);
void json_signed(struct json *j, cJSON *parent, const char *name, int64_t value);
void json_figure(struct json *j, cJSON *parent, const char *name, uint64_t value); /* UNKNOWN is null */
void json_number(struct json *j, cJSON *parent, const char *name, double value);   /* three decimals */
void json_ratio(struct json *j, cJSON *parent, const char *name, double value);    /* nine digits */
void json_seconds(struct json *j, cJSON *parent, const char *name, double value);  /* to the millisecond */
void json_address(struct json *j, cJSON *parent, const char *name, uint64_t addr); /* "0x7f…" */
void json_text(struct json *j, cJSON *parent, const char *name,
	       const char *text); /* made printable; NULL is null */

/* Adds item, a tree of its own, as its text, which takes a tenth of the memory; frees that tree. */
void json_flat(struct json *j, cJSON *parent, const char *name, struct json *item);

/* One line, flushed; frees the tree. 0, −ENOMEM, or −errno of the stream. */
int json_write(struct json *j, FILE *out);

#endif
