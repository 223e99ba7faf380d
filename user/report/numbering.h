/*
 * Numbers 1, 2, … for what a format defines once and names by its number from then on: texts, places
 * in code, and call stacks as a tree, in which those that begin alike share their nodes.
 */
#ifndef ALLOCTRACE_REPORT_NUMBERING_H
#define ALLOCTRACE_REPORT_NUMBERING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"
#include "stack/texts.h"

struct numbering { /* all zero: empty and valid */
	struct map v;
	uint32_t cnt;
};

void numbering_free(struct numbering *n); /* idempotent */
/* The number of key, the next one if it has none yet (*is_new). 0: no memory, or 2^32 are given. */
uint32_t numbering_get(struct numbering *n, uint64_t key, bool *is_new);
/* The same of a node of a tree: below parent (0: at the root) by that item. */
uint32_t numbering_child(struct numbering *tree, uint32_t parent, uint32_t item, bool *is_new);

struct text_numbering { /* all zero: empty and valid */
	struct texts texts;
	struct numbering numbers;
};

void text_numbering_free(struct text_numbering *n); /* idempotent */
/* The same of a text; NULL has the number 0 too. */
uint32_t text_numbering_get(struct text_numbering *n, const char *text, bool *is_new);

#endif
