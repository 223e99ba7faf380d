/*
 * `alloctrace allocators`: what is known, or what a process holds and where probes would go in it.
 * The forms print one immutable struct; borrowed pointers live as long as the call.
 */
#ifndef ALLOCTRACE_REPORT_ALLOCATORS_H
#define ALLOCTRACE_REPORT_ALLOCATORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "heap/serving.h"
#include "heap/state.h"
#include "probe/outlook.h"
#include "target/process.h"

struct allocators_report {
	const struct process *process;
	const struct heap_state *heap;       /* versions */
	/*
	 * Allocators, each with its object (NULL: known by its heap alone), in the order to show them;
	 * reached: as call slots and heaps tell together.
	 */
	const struct serving *found;
	size_t found_cnt;
	const struct outlook *outlook;
	const struct probe_cost *cost;       /* as found out; NULL: not known, */
	const char *cost_unknown;            /* and why */
};

/* 0, or −errno of the stream. */
int report_allocators_text(FILE *out, const struct allocators_report *r);
int report_allocators_json(FILE *out, const struct allocators_report *r);
/* What alloctrace knows, without a process. */
int report_known_text(FILE *out);
int report_known_json(FILE *out);

/* How many rows are of allocations (reallocations too), of frees, of purges. */
struct row_counts {
	unsigned allocs, frees, purges;
};
struct row_counts allocators_count_rows(const struct allocator *kind);
/* "alloc", "realloc", "free", "purge", "mmap", …: what a function is probed for. */
const char *allocators_role(enum probe_shape shape);
/* Of a process: its version if the heap's state knows it, else "". */
const char *allocators_version(const struct allocators_report *r, const struct allocator *kind);
/* Whether a probe is one of an allocator's found there; with found NULL: one of libc's or the loader's own. */
bool allocators_is_of(const struct outlook_probe *probe, const struct serving *found);

#endif
