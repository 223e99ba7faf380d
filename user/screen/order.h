/* The rows of a table that pass the filter, in the order of the column that was chosen. */
#ifndef ALLOCTRACE_SCREEN_ORDER_H
#define ALLOCTRACE_SCREEN_ORDER_H

#include "screen/model.h"
#include "screen/view.h"

/* So many rows are tried by a filter, the first ones of the order: a key does not wait for a million names. */
#define ORDER_TRIED_MAX 10000

struct order {
	uint32_t *v; /* indices of rows */
	size_t cnt, cap;
	bool cut;    /* rows beyond ORDER_TRIED_MAX were not tried */
};

/*
 * Largest first (reversed: smallest first; what is not known comes last either way, equals by key). Asks
 * for the names that a filter looks at: what is not named yet does not pass. Between names_begin and
 * names_end. 0 or −ENOMEM.
 */
int order_make(struct order *order, const struct model *model, const struct view *view, struct names *names);
void order_free(struct order *order); /* idempotent */

#endif
