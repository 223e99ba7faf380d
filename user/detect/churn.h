/* dlopen churn: per library and stack, how often it was opened, and what that really cost. */
#ifndef ALLOCTRACE_DETECT_CHURN_H
#define ALLOCTRACE_DETECT_CHURN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../bpf/event.h"
#include "stack/stacks.h"

#define CHURN_ROWS_MAX 10000 /* further (library, stack) pairs are counted together in one row, "(others)" */

struct churn_finding {
	char *library;         /* the loaded name where known, else what was asked for; "(main program)" */
	const struct stack *stack; /* NULL: several, or not known */
	uint64_t opens, closes;
	uint64_t repeats;      /* opens that mapped nothing new */
	uint64_t new_mappings; /* opens that did */
	uint64_t failures;
	uint64_t ns;           /* Σ time inside dlopen and dlclose */
	int64_t maps_grown;    /* bytes, net */
	int64_t heap_grown;    /* bytes, net */
	uint64_t changed_ns;   /* time of the last event */
	bool flagged;          /* repeats + failures ≥ the minimum */
};

struct churn_log;

struct churn_log *churn_log_new(uint64_t flag_min);
void churn_log_free(struct churn_log *log); /* NULL-safe */
/* stack: the caller's, which must outlive the log; NULL: not known. 0 or −ENOMEM. */
int churn_log_open(struct churn_log *log, const struct event_dlopen *ev, const struct stack *stack);
/* Charged to the row that last opened the handle; unknown handles get a row of their own. */
int churn_log_close(struct churn_log *log, const struct event_dlclose *ev, const struct stack *stack);
/* All rows, most opens first. Valid until the next open, close or view. */
size_t churn_log_view(struct churn_log *log, const struct churn_finding *const **view);

#endif
