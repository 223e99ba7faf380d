/*
 * What an object's segments hold once the loader has made their addresses its own: the bytes of
 * its file with the relative relocations applied, by address as linked. For tables of constants
 * that no symbol leads to. Hostile input.
 */
#ifndef ALLOCTRACE_TARGET_CONTENTS_H
#define ALLOCTRACE_TARGET_CONTENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "target/object.h"

#define CONTENTS_RANGES_MAX 16

struct contents_range {
	uint64_t start, len; /* address as linked, bytes; without what the file does not hold (.bss) */
	uint8_t *bytes;
};

struct contents {
	struct contents_range v[CONTENTS_RANGES_MAX];
	size_t cnt;
};

/* 0; −EFBIG if its segments have more than max bytes, −ENOMEM, or what reading the file gave. */
int contents_read(const struct object *obj, uint64_t max, struct contents *contents);
void contents_free(struct contents *contents); /* idempotent */

/* The 8 bytes at an address; false: it holds none. */
bool contents_word(const struct contents *contents, uint64_t addr, uint64_t *word);
/* Whether that text, to its NUL, stands at the address. */
bool contents_is_text(const struct contents *contents, uint64_t addr, const char *text);

#endif
