/*
 * Purges: what each gave back, against what the last walk predicted, and whether it went
 * to an allocator that serves the process. Keeps the newest PURGE_KEPT findings.
 */
#ifndef ALLOCTRACE_DETECT_PURGE_H
#define ALLOCTRACE_DETECT_PURGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../bpf/event.h"
#include "detect/marks.h"
#include "heap/state.h"
#include "stack/stacks.h"

#define PURGE_KEPT 10000

struct purge_finding {
	uint64_t time_ns;         /* its begin */
	const char *function;     /* "malloc_trim"; outlives the finding */
	enum purge_control control; /* of mallctl: what was asked for, and of which arena */
	uint64_t arena;
	const char *allocator;    /* "glibc" */
	const struct stack *stack;  /* NULL: not known; outlives the finding */
	uint64_t duration_ns;
	uint64_t result;
	bool has_result;
	uint64_t returned;        /* bytes that left RSS because of this call */
	int64_t cgroup_drop;      /* bytes that its cgroup's memory.current fell by meanwhile, whoever did it */
	bool has_cgroup;          /* cgroup_drop is known */
	uint64_t predicted;       /* purgeable at the last walk before it; UNKNOWN, also if a purge took it since */
	uint64_t prediction_age_ns; /* at its begin; 0 if predicted is UNKNOWN */
	bool effective;           /* returned ≥ max(1 MiB, 25 % of predicted) */
	bool misdirected;         /* its allocator does not serve the process */
	struct mark_finding after;  /* what it left, as a mark at its end that no text goes with: kind is function */
};

/* Bytes that left RSS because of that call. */
uint64_t purge_returned(const struct event_purge *ev);
/* Whether that many bytes are an effect, beside what was predicted (UNKNOWN: nothing was). */
bool purge_is_effective(uint64_t returned, uint64_t predicted);

struct purge_log;

struct purge_log *purge_log_new(void);          /* NULL: no memory */
void purge_log_free(struct purge_log *log);     /* NULL-safe */
/*
 * Judges one purge and keeps it. state: the last one taken before ev (NULL or taken_ns 0: none).
 * stack: the caller's, which must outlive the log. NULL: no memory.
 */
const struct purge_finding *purge_log_add(struct purge_log *log, const struct event_purge *ev,
					  const char *function, const struct allocator *kind, bool has_result,
					  const struct heap_state *state, const struct stack *stack);
/* What was live when the finding that was added last ended (by allocation events; UNKNOWN). */
void purge_log_live(struct purge_log *log, uint64_t live);
/* A new reading of the heap: of the findings that it is the first after, it tells what they left. */
void purge_log_reading(struct purge_log *log, const struct mark_reading *reading);
struct purge_totals { /* since the start */
	uint64_t effective, misdirected; /* calls; a misdirected one may be effective */
	uint64_t ns;                     /* in all calls */
};

/* Kept findings, oldest first; total counts the forgotten ones too. */
size_t purge_log_view(const struct purge_log *log, const struct purge_finding *const **view);
uint64_t purge_log_total(const struct purge_log *log);
struct purge_totals purge_log_totals(const struct purge_log *log);
/* Σ returned since the start. */
uint64_t purge_log_returned(const struct purge_log *log);

#endif
