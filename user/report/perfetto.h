/*
 * A trace for ui.perfetto.dev and trace_processor (perfetto.proto), written packet by packet:
 *
 *   perfetto.c         packets; clocks, the process, time lines
 *   perfetto_events.c  purges, windows, gaps between collections, dlopen, marks
 *   perfetto_stacks.c  texts, places and call stacks, each defined once
 *   perfetto_heap.c    heap profiles
 *
 * Times are CLOCK_MONOTONIC, which is the trace's own clock. Heap profiles are those of heapprofd:
 * a dump at the end of every step of the history, of the stacks that it has changed, and one of what
 * was live at the peak, as a heap of its own. What was allocated before the attach is not in them.
 */
#ifndef ALLOCTRACE_REPORT_PERFETTO_H
#define ALLOCTRACE_REPORT_PERFETTO_H

#include <stdint.h>
#include <stdio.h>

#include "perfetto.pb-c.h"
#include "report/numbering.h"
#include "picture/snapshot.h"

#define PERFETTO_HEAP "alloctrace"
#define PERFETTO_PEAK_HEAP "alloctrace, live at the peak"
#define PERFETTO_PID_OF_MANY ((1 << 22) + 1) /* above any that Linux gives */

/* 0, or −errno of the stream, −ENOMEM. */
int report_perfetto(FILE *out, const struct snapshot *s);

/* What is defined already, perfetto_stacks.c. */
struct perfetto_stacks {
	struct text_numbering functions, paths, sources, build_ids;
	struct numbering mappings;
	struct numbering called, halves, frames; /* (mapping, function), with the upper half of the address, and the lower */
	struct map places;                       /* location → its frames */
	struct map callstacks;                   /* hash of a stack's frames → where it stands in known */
	uint32_t callstack_cnt;
	uint32_t *known;                         /* of each its number, how many frames, and these */
	size_t known_cnt, known_cap;
	uint64_t *frame_ids;                     /* of the stack at hand */
	size_t frame_cnt, frame_cap;
};

struct perfetto {
	FILE *out;
	const struct snapshot *s;
	uint8_t *bytes; /* of a packet */
	size_t size;
	uint64_t process; /* its track */
	uint64_t tracks;  /* so many have a uuid */
	int32_t pid;
	int rc;           /* the first error: nothing is written any more */
	struct perfetto_stacks stacks;
};

/* The packet, with all that every one has. */
void perfetto_put(struct perfetto *p, Perfetto__TracePacket *packet);
void perfetto_put_event(struct perfetto *p, uint64_t time_ns, Perfetto__TrackEvent *event);
/* A new track below the process's: its uuid. counter: NULL, or what it counts. */
uint64_t perfetto_track(struct perfetto *p, const char *name, int rank, Perfetto__CounterDescriptor *counter);

void perfetto_put_events(struct perfetto *p);
void perfetto_put_heap(struct perfetto *p);

/* Defines a stack, unless it is already; NULL: that of no stack. 0 or −ENOMEM. */
int perfetto_stack(struct perfetto *p, const struct stack *stack, uint32_t *number);
void perfetto_stacks_free(struct perfetto_stacks *stacks);

#endif
