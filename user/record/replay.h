/*
 * Reads a recording (record/format.h), picture by picture, as the watch took them. What ends without
 * a final picture gets one, of what there is. Recordings are hostile input.
 */
#ifndef ALLOCTRACE_RECORD_REPLAY_H
#define ALLOCTRACE_RECORD_REPLAY_H

#include "base/error.h"
#include "event/row.h"
#include "picture/picture.h"
#include "record/site_changes.h"

/* Bytes that a replay may take unless it is told otherwise. */
#define REPLAY_MEMORY (4ull << 30)

struct replay;

/* 0; −errno, −EBADMSG with err, which names the file. max_memory: bytes, roughly. */
int replay_open(const char *name, uint64_t max_memory, struct replay **replay, struct error *err);
void replay_close(struct replay *r); /* NULL-safe */

/*
 * The next picture: 1, 0 behind the final one, −errno with err. Its allocs are without sites until
 * replay_sites. It is valid until the next call; its stacks and texts as long as the replay.
 */
int replay_next(struct replay *r, struct picture *picture, struct error *err);
/* From now on replay_next hands out events as it comes to them, in their order. Valid during the call. */
void replay_listen(struct replay *r, void (*on_event)(const struct event_row *row, void *arg), void *arg);
/* Fills in the sites of the picture that came last. top: rows a table, 0: as recorded. 0 or −ENOMEM. */
int replay_sites(struct replay *r, uint64_t top);
/* Of each process only these; quick, and by_number has none. Likewise. */
int replay_largest_sites(struct replay *r, const struct site_choice *choice);

/* The stack that another replay of the same recording has read, with the names that came since. NULL stays NULL. */
const struct stack *replay_stack(const struct replay *r, const struct stack *stack);

/* NULL, or what is wrong with its end: "it ends without its last picture: …". */
const char *replay_remark(const struct replay *r);
/* The wall clock's lead over CLOCK_MONOTONIC when it began, ns. */
int64_t replay_lead(const struct replay *r);
/* How much of it has been read, 0…1. */
double replay_progress(const struct replay *r);

#endif
