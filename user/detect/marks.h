/*
 * Marks: moments that a script, or a function of the program that is probed, has named; each with the
 * reading of the heap that is nearest to it. Fed with marks and readings in the order of time. Keeps
 * the newest MARKS_KEPT; counts the others too.
 */
#ifndef ALLOCTRACE_DETECT_MARKS_H
#define ALLOCTRACE_DETECT_MARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MARKS_KEPT     10000
#define MARK_KINDS_MAX 64  /* of one process; marks of more kinds are refused */
#define MARK_TEXT_MAX  200 /* bytes, of a text */
#define MARK_KIND_MAX  64  /* bytes, of a kind that a command names */
/* How long whoever waits for the reading of its mark does so. */
#define MARK_WAIT_NS   2000000000ULL

/* A moment that was marked, by the program or from outside. */
struct mark_finding {
	uint64_t time_ns;
	const char *kind;  /* marks of one kind are compared: the function's name, or "mark" (command); outlives the finding */
	const char *text;  /* what was said with it; "" */
	uint64_t rss;      /* then */
	uint64_t live;     /* by allocation events; UNKNOWN without */
	uint64_t live_heap, retained, purgeable; /* of the reading nearest to it; UNKNOWN */
	int64_t state_ns;  /* when that reading was, from the mark on: negative before */
};

/* A reading of the heap; UNKNOWN as in the heap state. */
struct mark_reading {
	uint64_t began_ns, taken_ns;
	uint64_t live_heap, retained, purgeable;
};

/* What becomes known of a mark by later readings. */
enum mark_reads {
	MARK_READS_NEAREST, /* whichever is nearest in time */
	MARK_READS_AWAITED, /* the program stands still: the first that began after it, if that comes within MARK_WAIT_NS */
	MARK_READS_LATER,   /* the first that began after it, however late */
};

struct mark {
	uint64_t time_ns;
	const char *kind, *text; /* both are copied */
	uint64_t rss, live;
	enum mark_reads reads;
};

/* How often a kind was marked, also when the finding is not kept. */
struct mark_tally {
	const char *kind;
	uint64_t cnt;
	uint64_t skipped; /* calls of a function that were counted only: it was called too often (the keeper's user fills this in) */
};

/* A finding of which no reading is known yet: kind and text are borrowed. */
struct mark_finding mark_unread(const struct mark *mark);
/* Takes a reading into account, in the order of time. True: none that comes later can change the finding. */
bool mark_read(struct mark_finding *f, enum mark_reads reads, const struct mark_reading *reading);

struct marks;

struct marks *marks_new(void);        /* NULL: no memory */
void marks_free(struct marks *marks); /* NULL-safe */
/* Its number, from 1 on. 0: no memory, or one kind too many. */
uint64_t marks_add(struct marks *marks, const struct mark *mark);
/* A new reading; of one that failed, began_ns and nothing else is known (taken_ns 0). */
void marks_reading(struct marks *marks, const struct mark_reading *reading);
/* The number of the last mark that no later reading can change: all before it are so too. */
uint64_t marks_settled(const struct marks *marks);
uint64_t marks_total(const struct marks *marks);
/* Those kept, oldest first; the last one's number is marks_total. */
size_t marks_view(const struct marks *marks, const struct mark_finding *const **view);
/* By kind, in the order of their first marks; those that were expected from the beginning too. Skipped may be set. */
size_t marks_tallies(struct marks *marks, struct mark_tally **tallies);
/* A kind of which there may be marks later. −ENOSPC. */
int marks_expect(struct marks *marks, const char *kind);

#endif
