/*
 * What heaptrack_print and heaptrack_gui read: heaptrack's data file as it comes out of its
 * interpreter, version 2 of the format (heaptrack 1.1 and later), compressed by gzip; its readers
 * want it named *.gz. The format is that of KDE's heaptrack: src/interpret/heaptrack_interpret.cpp
 * writes it, src/analyze/accumulatedtracedata.cpp reads it. All numbers are hexadecimal, all indices
 * but a's count from 1:
 *
 *   v VERSION FORMAT                        s TEXT
 *   X DEBUGGEE                              i ADDRESS MODULE [FUNCTION FILE LINE]…   innermost first
 *   I PAGE-SIZE PAGES                       t PLACE CALLER                           a node of a stack
 *   c MILLISECONDS    R PAGES               a SIZE NODE                              a kind of block, from 0 on
 *                                           + KIND    - KIND                         one is allocated, freed
 *
 * heaptrack has a line a call; we have sums by stack and step. So that its figures come out as ours:
 *
 * - calls and temporaries: as many lines as calls, up to HEAPTRACK_LINES; beyond, a line stands for 10,
 *   100, … calls, which the debuggee's name says. The sizes are the step's mean.
 * - leaked is live, by stack and in all; so is peak what was live at the peak. All that a stack freed in a
 *   step is one line, before the step's allocations: the sum never passes the peak, and is true at the
 *   end of every step.
 * - what is live again without a call (in the last step, of a process that has ended) has a line all the same.
 * - temporary calls of a step are a share of the stack's, by its calls.
 *
 * What was allocated before the attach is not in it.
 */
#ifndef ALLOCTRACE_REPORT_HEAPTRACK_H
#define ALLOCTRACE_REPORT_HEAPTRACK_H

#include <stdio.h>

#include "picture/snapshot.h"

#define HEAPTRACK_LINES 8000000 /* a second or two of heaptrack_print's time */

/* 0, or −errno of the stream, −ENOMEM. */
int report_heaptrack(FILE *out, const struct snapshot *s);

/* heaptrack_book.c: how the figures of one row become lines. */
struct heaptrack_booked { /* so far, of a row */
	uint64_t lines, temporary; /* … of these */
	uint64_t bytes, temporary_bytes;
	uint64_t live;
};

/* Of one row in one step. */
struct heaptrack_booking {
	uint64_t lines, bytes;                /* allocated and not temporary */
	uint64_t temporary, temporary_bytes;
	uint64_t freed;                       /* bytes, but for the temporary ones */
	uint64_t live;                        /* then */
};

struct stack_row;

/* unit: calls that a line stands for. at_peak: as at the peak, without a call that this does not need. */
struct heaptrack_booking heaptrack_book(const struct stack_row *row, const struct heaptrack_booked *booked,
					uint64_t unit, bool at_peak);
void heaptrack_booked_add(struct heaptrack_booked *booked, const struct heaptrack_booking *more);

#endif
