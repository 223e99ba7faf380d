/*
 * What rules are made of, and by what they judge. A rule fills in its line, or leaves it empty. To
 * add one: a number in verdict.h, a function in the file of its family, a row in verdict.c, a
 * snapshot in tests/unit/verdict_test.c that makes it speak, and one close by that does not.
 */
#ifndef ALLOCTRACE_VERDICT_RULE_H
#define ALLOCTRACE_VERDICT_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/units.h"
#include "verdict/own_line.h"
#include "verdict/trend.h"
#include "verdict/verdict.h"

/* What is judged, and what several rules ask of it. */
struct rule_case {
	const struct snapshot *s;
	const struct trend *trend;        /* NULL: none */
	const struct verdict *so_far;     /* of the rules before this one */
	uint64_t span_ns;                 /* since the attach */
	uint64_t much;                    /* bytes: what counts as much, as for windows, of the highest RSS of the run */
	uint64_t retained, pinned;        /* of those that serve, without layers; UNKNOWN */
	uint64_t live;                    /* likewise */
	const struct heap_allocator *serving; /* NULL: none known */
	const char *call;                 /* its purge; NULL */
	uint64_t lost;                    /* events */
	bool ended_well;                  /* the process has ended, and nobody killed it */
};

typedef void rule_fn(const struct rule_case *c, struct verdict_line *line);

/* Makes the line one. */
void rule_say(struct verdict_line *line, enum verdict_severity severity, uint64_t bytes, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void rule_advise(struct verdict_line *line, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void rule_bytes(struct verdict_line *line, const char *name, uint64_t bytes);
void rule_count(struct verdict_line *line, const char *name, uint64_t cnt);
void rule_real(struct verdict_line *line, const char *name, double value);
/* Names the program's own line of a stack (own_line.h), which is in the evidence from now on; returns buf. */
const char *rule_whom(const struct rule_case *c, struct verdict_line *line, const struct stack *stack,
		      char buf[OWN_LINE_MAX]);
/* The line of that rule, if it has spoken. */
const struct verdict_line *rule_said(const struct rule_case *c, enum verdict_rule rule);
/* The stack of a site by its number; NULL: not known. */
const struct stack *rule_site_stack(const struct rule_case *c, uint32_t site);

/*
 * What has lasted: as long as a window must. What is shorter is a moment of the program's work, and a
 * report may have been made just then.
 */
#define RULE_LASTING_NS (5 * NSEC_PER_SEC)

/* leak.c */
rule_fn rule_leak;
/*
 * Growth of live that is worth a word, besides being clear (trend_rise): a MiB. Over the shortest run
 * that is judged that is 8 GiB a day, over an hour still 24 MiB.
 */
#define LEAK_GROWN_MIN MIB
/* Growth that no site explains must be larger: the whole of a heap moves more than a site does. */
#define LEAK_UNSEEN_MIN (4 * MIB)
/* A command that ends by itself within that time may need to its end what it holds: no more than a note. */
#define LEAK_COMMAND_NS (300 * NSEC_PER_SEC)
/* Sampled sites: growth beyond so many standard errors of the estimate. */
#define LEAK_ERRORS 4

/* retention.c */
rule_fn rule_retention, rule_misdirected;
/* A site is named as the one that frees if so much of what the windows' sites freed is its own … */
#define PLACE_SHARE_MIN 0.25
/* … and, of sampled frees, so many samples stand behind it: an eighth of error. */
#define PLACE_SAMPLES_MIN 64
/* Closed windows are a warning if they cover that part of the run. */
#define RETENTION_SHARE_WARN 0.25
/* A purge that goes to the wrong allocator is no matter where the right one is purged as closely: both are tried. */
#define MISDIRECTED_PAIR_NS NSEC_PER_SEC

/* cadence.c */
rule_fn rule_purge_rare, rule_purge_often;
/* Purges: fewer show no cadence. */
#define CADENCE_RARE_MIN 2
#define CADENCE_OFTEN_MIN 5
/* Too rare: so many times longer apart than it takes to gather what counts as much. */
#define CADENCE_RARE_TIMES 2
/* Too often: that share of the time between the first and the last goes into purges; what is advised costs less. */
#define CADENCE_COST_MAX 0.05
#define CADENCE_COST_FINE 0.01
/* Or: so many of them return nothing that counts, and together they cost at least this share. */
#define CADENCE_IDLE_SHARE 0.75
#define CADENCE_IDLE_COST 0.002

/* fragmentation.c */
rule_fn rule_fragmentation, rule_pymalloc;
/* A site is named if it keeps that part of what is pinned. */
#define PIN_SHARE_MIN 0.2

/* collection.c */
rule_fn rule_no_collection;
/* The collection that ended a gap has proved that garbage hung there, not live data, if it found so many objects. */
#define COLLECTED_MIN 100

/* churn.c */
rule_fn rule_churn;
/* More than a note, if it takes that share of the time, or leaks as much as this. */
#define CHURN_COST_WARN 0.01
#define CHURN_GROWN_WARN MIB

/* limit.c */
rule_fn rule_limit;
#define LIMIT_SOON_S 3600.0 /* time to look at it today */
#define LIMIT_NOW_S 600.0   /* time to act */
#define LIMIT_NEAR 0.9      /* RSS, of the limit */

/* certainty.c */
rule_fn rule_uncertain, rule_fine;
/* Losses worth a word: one event in so many. */
#define LOST_ONE_IN 1000
/* Half of the interval of sites' live bytes, on average, that is worth a word: the largest may be another one. */
#define ERROR_LARGE 0.25
/* A run that long, with a heap that was read, has shown what there is to see by now. */
#define FINE_SPAN_NS (10 * NSEC_PER_SEC)

#endif
