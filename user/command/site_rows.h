/* A ledger's sites as outputs see them. */
#ifndef ALLOCTRACE_COMMAND_SITE_ROWS_H
#define ALLOCTRACE_COMMAND_SITE_ROWS_H

#include "heap/ledger.h"
#include "heap/survey.h"
#include "picture/snapshot.h"
#include "stack/stacks.h"

struct site_rows { /* zeroed before it is first filled */
	struct site_view *sites;
	const struct site_view **by_number;
	struct site *figures;       /* estimates, by number; NULL: sites' own figures */
	struct site_bounds *bounds; /* of these */
};

/*
 * Fills in the view's sites, by_number and truncated, and budget.error where sites are estimated by cells;
 * valid until the next call. survey: NULL: none yet. 0, or −ENOMEM.
 */
int site_rows_fill(struct site_rows *rows, struct ledger *ledger, const struct stacks *stacks,
		   const struct survey_result *survey, struct allocation_view *view);
void site_rows_free(struct site_rows *rows);

#endif
