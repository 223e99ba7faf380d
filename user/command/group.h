/*
 * The processes watched, one or many: each a session of its own; they come (chosen, forked) and
 * go. Hands each event to whom it belongs; waits for nothing itself.
 */
#ifndef ALLOCTRACE_COMMAND_GROUP_H
#define ALLOCTRACE_COMMAND_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "command/session.h"
#include "target/choice.h"

#define GROUP_MAX 1024 /* processes at once; of others it is said that they are not watched */

struct group_options {
	struct session_options session;
	uint64_t max_memory; /* bytes for live blocks, shared by the processes */
	double walk_budget;  /* share of one core, likewise */
	bool follow;         /* children belong to it too */
};

struct group;

/* tracer may be NULL: states only. The pointers must outlive it. NULL: no memory. */
struct group *group_new(const struct group_options *options, struct tracer *tracer, const struct log *log);
void group_free(struct group *group); /* NULL-safe */

/* One more process, attached to unless the tracer has it. 0 too if it is there already. */
int group_add(struct group *group, pid_t pid, struct error *err);
/* Adds whom the choice means by now. A process that cannot be watched is said once. */
void group_add_chosen(struct group *group, struct choice *choice);

/* A mark from outside, and by whom. */
struct group_mark {
	pid_t pid;
	uid_t by; /* root, or who the process runs as */
	const char *kind, *text;
	bool awaited; /* the program stands still until the mark is read */
};

/*
 * As session_mark, with the ring consumed. −ESRCH: no process of ours; −EPERM: not theirs; −ENOSPC: a kind too many;
 * −ENOMEM. The error's words are for whoever asks.
 */
int group_mark(struct group *group, const struct group_mark *mark, uint64_t *number, struct error *err);
/* Whether the mark of that number is read, or will not be: the process has ended. */
bool group_mark_is_read(const struct group *group, pid_t pid, uint64_t number);

/* One event, in ring order (the callback that tracer_poll wants). */
void group_event(const struct event *ev, void *group);
/* The stack by which an event of that process names it; NULL: none is known. */
const struct stack *group_stack(const struct group *group, pid_t pid, uint64_t id);
/* Readable when a process has ended or a heap state waits: group_act after the ring was consumed. */
int group_fd(const struct group *group);
void group_act(struct group *group);
/* Goes on with what readings have begun, for some milliseconds; true: there is more to do. */
bool group_work(struct group *group);
void group_tick(struct group *group); /* several times a second */
void group_look(struct group *group); /* about once a second */
/* One more heap state of each, read from this call on; all are there (or can be had no more). */
void group_hurry(struct group *group);
bool group_is_current(const struct group *group);

size_t group_living(const struct group *group);
uint64_t group_ever(const struct group *group); /* how many there have been */
uint64_t group_went(const struct group *group); /* … of them have ended */
bool group_has(const struct group *group, pid_t pid); /* and it has not ended */
/* Processes that were to be watched and are not, for want of room. */
uint64_t group_left_out(const struct group *group);
/* Children that had ended before they could be looked at. */
uint64_t group_too_short(const struct group *group);
/* Of a process that has ended and is still there: how, in words, or NULL. */
const char *group_end_of(const struct group *group, pid_t pid);

/* Calls fn for everything about windows that was not told yet; over: the watch is. */
void group_news(struct group *group, bool over, void (*fn)(const struct session_news *news, void *arg), void *arg);

/*
 * The picture of each process that is there, those that have ended since the last call of
 * group_bury too; by PID. Valid until the next call on the group. ended: why those that live are final.
 */
size_t group_snapshots(struct group *group, bool final, const char *ended,
		       const struct snapshot *const **snapshots);
/* The same of those that have ended only. */
size_t group_dead(struct group *group, const struct snapshot *const **snapshots);
/* Forgets those that have ended. */
void group_bury(struct group *group);
/* Whether some have ended that were not buried yet. */
bool group_has_dead(const struct group *group);

#endif
