/* A report as one page for a browser. */
#ifndef ALLOCTRACE_REPORT_HTML_H
#define ALLOCTRACE_REPORT_HTML_H

#include "picture/snapshot.h"

/* NULL, or in one line why there is no page in this program, and what to do. */
const char *report_html_lacks(void);
/* 0, or −errno of the stream, −ENOMEM, −ENOTSUP: see above. */
int report_html(FILE *out, const struct snapshot *s);

#endif
