/*
 * Many processes as one: a snapshot that is the sum of others', so that every form that shows
 * one process shows a service too. Sites of several processes are one where their frames are
 * the same locations (stack/location.h, of one pool); what the processes have had that ended
 * stays in it.
 */
#ifndef ALLOCTRACE_PICTURE_TOTAL_H
#define ALLOCTRACE_PICTURE_TOTAL_H

#include "picture/snapshot.h"

struct total;

struct total *total_new(void);          /* NULL: no memory */
void total_free(struct total *total);   /* NULL-safe */

/* Keeps what a process that has ended leaves behind: its snapshot is the final one. */
void total_keep(struct total *total, const struct snapshot *ended);
/*
 * Adds these up, and what was kept, into *sum, whose own facts (time, title, final) the caller has set.
 * A figure that is unknown of one is UNKNOWN; purges are listed by time. with_ended: what processes that
 * have ended held at their end counts as live and resident. Points into the snapshots; valid until the next
 * call, or as long as they. 0 or −ENOMEM.
 */
int total_sum(struct total *total, const struct snapshot *const *snapshots, size_t cnt, bool with_ended,
	      struct snapshot *sum);

#endif
