/*
 * One process watched: events and heap states go in, snapshots come out. Holds the
 * detectors and decides what belongs to which interval; does no waiting of its own.
 */
#ifndef ALLOCTRACE_COMMAND_SESSION_H
#define ALLOCTRACE_COMMAND_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "command/allocs.h"
#include "command/naming.h"
#include "detect/window.h"
#include "event/source.h"
#include "heap/sampler.h"
#include "probe/tracer.h"
#include "picture/snapshot.h"
#include "target/process.h"

struct session;

struct session_options {
	struct window_options window;
	uint64_t churn_min;
	bool native; /* stacks show an interpreter's own frames too */
	struct sampler_options sampler;
	struct allocs_options allocs; /* of a tracer with allocation probes */
	bool want_allocs;
	const struct allocator *const *more; /* beside the known ones (allocator_nth) */
	const struct mark_points *marks; /* the tracer's; NULL: none */
	struct naming naming;        /* started; shared, and outlives the session */
	struct session *forked_from; /* the process that p has just been forked from, with that same naming;
					NULL: not watched, or p has exec'd */
};

/* Starts reading the heap of p at once. tracer may be NULL: states only. Both must outlive the session. */
int session_open(const struct session_options *options, struct process *p, struct tracer *tracer,
		 struct session **session, struct error *err);
void session_close(struct session *s); /* NULL-safe */

/* Its part of what all sessions share, from now on: bytes for live blocks, a share of one core for walks. */
void session_limit(struct session *s, uint64_t max_memory, double walk_budget);

/* One event, in ring order (the callback that tracer_poll wants; arg is the session). */
void session_event(const struct event *ev, void *session);
/* The stack that events name by that id; NULL: not known. */
const struct stack *session_stack(const struct session *s, uint64_t id);
/* Readable when a heap state waits for session_sample. */
int session_sample_fd(const struct session *s);
/* Takes the state that waits. False: none was waiting. */
bool session_sample(struct session *s);
/* Goes on with what a reading has begun, for some milliseconds; true: there is more to do. */
bool session_work(struct session *s);
/* About once a second: a process that ends keeps the memory it was last seen with, which the last report is for. */
void session_look(struct session *s);
/* Several times a second. */
void session_tick(struct session *s);
/* Asks for one more state, read from this call on; session_is_current tells when it is there. */
void session_hurry(struct session *s);
bool session_is_current(const struct session *s);

/*
 * Marks this moment, and asks for a reading of the heap soon. RSS and time are of the call, what is live is as
 * booked: the ring is to be consumed first. awaited: the program stands still. The mark's number; 0: no memory, or
 * MARK_KINDS_MAX kinds.
 */
uint64_t session_mark(struct session *s, const char *kind, const char *text, bool awaited);
/* Whether the reading is there that mark is shown with. */
bool session_mark_is_read(const struct session *s, uint64_t mark);

/* Why the target ended, in words ("exited with status 0"), or NULL while no exit was seen. */
const char *session_target_end(const struct session *s);

/* What somebody is told of a window at once. */
struct session_news {
	enum window_news what; /* opened, or closed */
	struct window_finding window;
	const struct stack *freed_by; /* of window.freed[0]; NULL: not known */
	bool over;                    /* it ends because the watch does, or the process */
	struct snapshot figures;      /* the process's now: who it is, and its heap; no findings, no sites */
};
/* The next thing that was not told yet; false: there is nothing. over: as window_detector_news. */
bool session_news(struct session *s, bool over, struct session_news *news);

/*
 * The picture now; valid until the next call on the session. final: everything since the attach.
 * Its names are looked up by the report made of it (naming_report_begins).
 */
void session_snapshot(struct session *s, bool final, const char *ended, struct snapshot *snapshot);

#endif
