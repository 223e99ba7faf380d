/* The text at the head of a page's data (page_data.h): the report's JSON and what only the page shows. */
#ifndef ALLOCTRACE_REPORT_PAGE_JSON_H
#define ALLOCTRACE_REPORT_PAGE_JSON_H

#include "picture/snapshot.h"

/* The caller frees *text. 0 or −ENOMEM. */
int page_json(const struct snapshot *s, char **text, size_t *len);

#endif
