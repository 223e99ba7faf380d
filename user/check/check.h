/*
 * The checklist: each check is a function from the facts to findings, a row in checks[]. No check
 * reads anything but the facts, so that each is tested with facts made up (tests/unit/check_test.c).
 * Adding one is a function in the file of its family and a row.
 */
#ifndef ALLOCTRACE_CHECK_CHECK_H
#define ALLOCTRACE_CHECK_CHECK_H

#include <stddef.h>

#include "check/facts.h"

enum check_status { /* in the order of a report */
	CHECK_WARN,
	CHECK_UNKNOWN,
	CHECK_PASS,
	CHECK_STATUS_CNT
};
extern const char *const check_status_names[CHECK_STATUS_CNT]; /* "warn", … */

#define CHECK_TEXT_MAX 320
#define CHECK_FINDINGS_MAX 128

struct check_finding {
	enum check_status status;
	const char *check;             /* its row's name */
	char evidence[CHECK_TEXT_MAX]; /* what was seen, one line */
	char fix[CHECK_TEXT_MAX];      /* what to do; "": nothing */
};

struct check_findings {
	struct check_finding v[CHECK_FINDINGS_MAX]; /* in the order of the rows */
	size_t cnt;
	size_t of[CHECK_STATUS_CNT];
	const char *check; /* whose findings are being added */
};

/* Finds nothing where it does not apply. */
typedef void check_fn(const struct check_facts *facts, struct check_findings *out);

struct check {
	const char *name; /* in reports, JSON and the manual: does not change */
	check_fn *run;
};

extern const struct check checks[]; /* ended by a row without a name */

void check_all(const struct check_facts *facts, struct check_findings *out);

/* For the checks: one finding more, and what to do about the last one. */
void check_add(struct check_findings *out, enum check_status status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void check_fix(struct check_findings *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* What is worth a word, of free memory: as a window's (detect/window.h), the larger of 32 MiB and a fifth of RSS. */
uint64_t check_much(const struct check_facts *facts);
/* RSS of the last sample, 0 if there is none. */
uint64_t check_rss(const struct check_facts *facts);
/* The allocators that serve, by name: "glibc 2.36 and mimalloc 2.0"; "" if none is known. */
const char *check_serving(const struct check_facts *facts, char buf[96]);
/* The state of one kind, or NULL if it is not in the process. */
const struct heap_allocator *check_allocator(const struct check_facts *facts, const char *kind);

/* serving.c */
check_fn check_serves, check_preloads;
/* variables.c */
check_fn check_variables;
/* retained.c */
check_fn check_retained, check_huge_pages;
/* arenas.c */
check_fn check_arenas, check_arena_threads;
/* growth.c */
check_fn check_rss_trend, check_descriptors;
/* limits.c */
check_fn check_memory_max, check_memory_high, check_swap, check_events;
/* killers.c */
check_fn check_oom_score, check_managed_oom;

#endif
