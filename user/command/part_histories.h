/* Histories of processes that are shown apart (--apart), by PID. */
#ifndef ALLOCTRACE_COMMAND_PART_HISTORIES_H
#define ALLOCTRACE_COMMAND_PART_HISTORIES_H

#include "picture/history.h"

struct part_histories { /* all zero: empty and valid */
	struct part_history {
		pid_t pid;
		struct history *history;
	} *v;
	size_t cnt;
};

void part_histories_free(struct part_histories *parts);
/* Adds a snapshot to its process's. Without memory it is not kept. */
void part_histories_add(struct part_histories *parts, const struct snapshot *s);
/* NULL: none is kept. */
const struct history *part_histories_find(const struct part_histories *parts, pid_t pid);
/* The process has ended, and its PID may be another's from now on. */
void part_histories_forget(struct part_histories *parts, pid_t pid);

#endif
