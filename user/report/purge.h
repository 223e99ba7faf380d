/*
 * `alloctrace purge`: what a purge would return, and what it did. The forms print one immutable
 * struct; borrowed pointers live as long as the call.
 */
#ifndef ALLOCTRACE_REPORT_PURGE_H
#define ALLOCTRACE_REPORT_PURGE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "heap/state.h"
#include "purge/search.h"
#include "target/process.h"

struct purge_report {
	const struct process *process;
	const struct heap_allocator *allocator; /* which is asked */
	uint64_t rss;         /* bytes, before */
	uint64_t expected_ns; /* of the call; UNKNOWN */
	bool dry_run;
	const struct search *search;
	/* Of the call, if it was made. */
	bool done;
	struct process_usage after;
	const char *refused;  /* NULL, or why it was not made */
};

/* Before the call: what it would return, how long it will take. 0 or −errno of the stream. */
int report_purge_begin(FILE *out, const struct purge_report *r);
/* After it. */
int report_purge_end(FILE *out, const struct purge_report *r);
/* One object for both, at the end. */
int report_purge_json(FILE *out, const struct purge_report *r);

#endif
