/* Figures over the last minutes, and a line of blocks that shows how one of them went. */
#ifndef ALLOCTRACE_SCREEN_SPARKLINE_H
#define ALLOCTRACE_SCREEN_SPARKLINE_H

#include <stddef.h>
#include <stdint.h>

#include "heap/state.h"

#define SPARKLINE_MAX 512 /* columns */
#define SPARKLINE_TEXT_MAX (3 * SPARKLINE_MAX + 1)
#define SPARKLINE_SPAN_NS (5 * 60 * 1000000000ULL)
#define SPARKLINE_SPAN_FIRST_NS (60 * 1000000000ULL)

struct series; /* one figure; keeps the newest 4096 points */

struct series *series_new(void);    /* NULL: no memory */
void series_free(struct series *s); /* NULL-safe */
/* In order of time. UNKNOWN leaves a gap. */
void series_add(struct series *s, uint64_t time_ns, uint64_t value);

/*
 * How much time each of cnt columns stands for: together a minute, from a minute on five, or more with
 * such long intervals.
 */
uint64_t sparkline_step(size_t cnt, uint64_t watched_ns, uint64_t interval_ns);
/*
 * The largest value in each column's time, oldest first; UNKNOWN where there is none. Columns begin at
 * multiples of the step, so that they stand still while time goes on; the last one is now's.
 */
void series_columns(const struct series *s, uint64_t now_ns, uint64_t step_ns, uint64_t *values, size_t cnt);
/* Blocks as high as values are beside the largest of them, which it returns (UNKNOWN: there is none). */
uint64_t sparkline_text(char buf[SPARKLINE_TEXT_MAX], const uint64_t *values, size_t cnt);

#endif
