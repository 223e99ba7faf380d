/*
 * Blocks from before the attach: the first walk tells how many there are, by size step, and a sample of them
 * (heap/block_sample.h), of which events and later walks tell how many are still live. No site has them, but what a
 * walk counts is theirs too.
 */
#ifndef ALLOCTRACE_HEAP_BEFORE_H
#define ALLOCTRACE_HEAP_BEFORE_H

#include <stdbool.h>
#include <stdint.h>

#include "heap/blocks.h"
#include "heap/cohorts.h"
#include "heap/pages.h"
#include "heap/steps.h"
#include "heap/walk.h"

struct before;

struct before *before_new(void); /* NULL: no memory */
void before_free(struct before *before); /* NULL-safe */
/*
 * A walk has found so many blocks live, by size step. The first one: those that are not in the table are from before.
 * Later ones: those of the sample that are gone are dead. pages: finished; may be empty.
 */
void before_walked(struct before *before, const struct heap_blocks live[STEP_CNT], const struct heap_pages *pages,
		   const struct blocks *table);
/* A block at that address is freed, or allocated. sure: every one is seen. */
void before_left(struct before *before, uint64_t addr, enum cohort_end end, bool sure);
/* A cell that was not sure has ended, of that weight and progress (ns). */
void before_pass(struct before *before, const struct ages *ages, double weight, double progress);
/* The program is another one. */
void before_exec(struct before *before);

/* Whether the walk brought a sample: else all that is known is that no more are live than there were. */
bool before_is_sampled(const struct before *before);
/* Blocks of that step that there were, and that are live by now. */
double before_found(const struct before *before, unsigned step);
struct living before_living(const struct before *before, unsigned step);

#endif
