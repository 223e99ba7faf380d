/* The text at the head of a page's data (page_data.h): the report's JSON and what only the page shows. */
#ifndef ALLOCTRACE_REPORT_PAGE_JSON_H
#define ALLOCTRACE_REPORT_PAGE_JSON_H

#include "picture/snapshot.h"
#include "picture/weight.h"

/*
 * weights: what the page can be weighed by, with or without errors (page_data.h). The caller frees *text. 0 or
 * −ENOMEM.
 */
int page_json(const struct snapshot *s, const struct weights *weights, char **text, size_t *len);
/* Whether what stacks weigh is an estimate, with an interval. */
bool page_has_errors(const struct weights *weights, enum site_weight weight);

#endif
