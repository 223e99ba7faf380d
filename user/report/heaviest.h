/*
 * Which sites matter where not all can be shown: those with the largest share of any weight, so that
 * who pins much stays beside who allocates much.
 */
#ifndef ALLOCTRACE_REPORT_HEAVIEST_H
#define ALLOCTRACE_REPORT_HEAVIEST_H

#include <stdbool.h>
#include <stddef.h>

#include "picture/weight.h"

struct heaviest {
	bool *chosen; /* by place in allocation_view.sites; NULL: all are */
};

/* At most max, of equals the first. 0 or −ENOMEM; heaviest_free afterwards either way. */
int heaviest_choose(struct heaviest *heaviest, const struct weights *weights, size_t max);
bool heaviest_has(const struct heaviest *heaviest, size_t place);
void heaviest_free(struct heaviest *heaviest);

#endif
