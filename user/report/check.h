/* What `alloctrace check` found in one process, for people and as JSON. */
#ifndef ALLOCTRACE_REPORT_CHECK_H
#define ALLOCTRACE_REPORT_CHECK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "check/check.h"

struct check_report {
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	const struct check_facts *facts;
	const struct check_findings *findings;
	const char *chosen; /* why this process of several, in words; NULL: it was named */
};

/* 0, or −errno of the stream, as the forms of picture/snapshot.h. */
int report_check_text(FILE *out, const struct check_report *report, bool colour);
int report_check_json(FILE *out, const struct check_report *report); /* one line */

#endif
