/*
 * The conclusion in plain words: what is wrong with this process's memory, by what evidence, and
 * what to do. Judged by rules, one row each of the table in verdict.c and one file a family; a rule
 * is a pure function of a snapshot and its trend (trend.h) and says nothing where the evidence is
 * thin. It reads snapshots; report/ shows what it says. What each rule asks for is in rule.h.
 *
 *   words.c      names and plain facts, the same in every output form
 *   trend.c      the figures of the run so far, at some moments: what grows, what has lasted
 *   own_line.c   the line of a stack that its reader wrote
 *   news.c       whether an interval has something to say that was not said before
 */
#ifndef ALLOCTRACE_VERDICT_VERDICT_H
#define ALLOCTRACE_VERDICT_VERDICT_H

#include <stddef.h>
#include <stdint.h>

#include "picture/snapshot.h"

#define VERDICT_SENTENCE_MAX 640
#define VERDICT_ADVICE_MAX 400
#define VERDICT_EVIDENCE_MAX 10

enum verdict_rule {
	VERDICT_LIMIT,         /* a cgroup's limit is close */
	VERDICT_LEAK,          /* live grows, at a site or unseen */
	VERDICT_RETENTION,     /* free and resident: a purge returns it */
	VERDICT_MISDIRECTED,   /* purges that go to an allocator that does not serve */
	VERDICT_PURGE_RARE,    /* purges work, and come too late */
	VERDICT_PURGE_OFTEN,   /* purges cost more than they return */
	VERDICT_FRAGMENTATION, /* free and pinned by live blocks */
	VERDICT_PYMALLOC,      /* a layer's ranges are held by few live blocks */
	VERDICT_NO_COLLECTION, /* CPython's full collections are missing */
	VERDICT_CHURN,         /* a library opened again and again */
	VERDICT_UNCERTAIN,     /* losses: what is said by site may be off */
	VERDICT_FINE,          /* looked for, and nothing found */
	VERDICT_RULE_CNT
};

enum verdict_severity {
	VERDICT_CRITICAL, /* it will be killed soon, or was */
	VERDICT_WARNING,  /* worth a change */
	VERDICT_NOTE,     /* worth knowing */
	VERDICT_OK,
	VERDICT_SEVERITY_CNT
};
extern const char *const verdict_severity_names[VERDICT_SEVERITY_CNT]; /* "critical", "warning", "note", "ok" */

/* A figure that a line rests on. */
struct verdict_figure {
	const char *name; /* in JSON: "retained", "seconds"; static */
	enum verdict_unit {
		VERDICT_BYTES, /* integer */
		VERDICT_COUNT, /* integer */
		VERDICT_REAL,  /* seconds, shares, bytes a second: real */
	} unit;
	uint64_t integer;
	double real;
};

struct verdict_line {
	enum verdict_rule rule;
	const char *name; /* the rule's, for machines: "retention" */
	enum verdict_severity severity;
	uint64_t bytes;   /* what it is about: of one severity the largest comes first */
	char sentence[VERDICT_SENTENCE_MAX]; /* UTF-8 without controls but what files are called: print as printable (base/printable.h) */
	char advice[VERDICT_ADVICE_MAX];     /* ""; likewise */
	const struct stack *stack;           /* whom it names; NULL: nobody. The snapshot's */
	struct verdict_figure evidence[VERDICT_EVIDENCE_MAX];
	size_t evidence_cnt;
};

/* At most one line a rule. */
struct verdict {
	struct verdict_line lines[VERDICT_RULE_CNT];
	size_t cnt;
};

/*
 * Judges s; the worst first. Looks up the names it needs (s->names) as other parts of a report do.
 * cnt 0: there is nothing to say, or not yet. The caller owns *verdict, which lives as long as s.
 */
void verdict_make(const struct snapshot *s, struct verdict *verdict);

#endif
