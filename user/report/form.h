/*
 * The output forms, one row each: --format of `report`, and those with a help text the option
 * of attach and run that names a file to write at the end. To add one: a file here that prints a
 * struct snapshot, a number, a row in form.c, a row in command/grammar.c.
 */
#ifndef ALLOCTRACE_REPORT_FORM_H
#define ALLOCTRACE_REPORT_FORM_H

#include <stdbool.h>
#include <stdio.h>

#include "picture/snapshot.h"
#include "picture/weight.h"

enum form_number {
	FORM_TEXT,
	FORM_JSON,
	FORM_FOLDED,
	FORM_HTML,
	FORM_PPROF,
	FORM_SPEEDSCOPE,
	FORM_PERFETTO,
	FORM_HEAPTRACK,
	FORM_CNT
};

struct form_options {
	enum site_weight weight; /* of forms that show one weight */
	bool colour;
};

struct form {
	const char *name;  /* "folded" */
	bool is_binary;    /* nothing for a terminal */
	bool needs_sites;  /* without allocation events there is nothing to show */
	bool needs_history; /* snapshot.history is to be kept for it */
	const char *(*lacks)(void); /* NULL, or says in one line why this program cannot make it; NULL: it can */
	/* 0, or −errno of the stream (−EPIPE: nobody reads any more), −ENOMEM. */
	int (*write)(FILE *out, const struct snapshot *s, const struct form_options *options);
};

extern const struct form forms[FORM_CNT];

#endif
