/*
 * What sites had done when a profile was last taken by somebody, so that the next one has only what
 * came since: whoever adds up profiles of a day must not count the morning in each. What was put into
 * a profile counts as taken when since_settle says so; else it is in the next one again.
 */
#ifndef ALLOCTRACE_REPORT_SINCE_H
#define ALLOCTRACE_REPORT_SINCE_H

#include <stdbool.h>
#include <stdint.h>

#define SINCE_SUMS_MAX 8

struct site_view;
struct since;

struct since *since_new(void);         /* NULL: no memory */
void since_free(struct since *since);  /* NULL-safe */

/* The moment of the last one that was taken, CLOCK_MONOTONIC; 0: none yet, sums are those since the attach. */
uint64_t since_from_ns(const struct since *since);
/* A profile begins, with what happened until now_ns. */
void since_begin(struct since *since, uint64_t now_ns);
/*
 * Sums of a site since the attach become those since then, in place. A site is known by its stack,
 * whichever processes have it. −ENOMEM: as they are.
 */
int since_take(struct since *since, const struct site_view *site, uint64_t *sums, unsigned cnt);
/* What became of the last one; once for each that was begun. */
void since_settle(struct since *since, bool taken);

#endif
