/*
 * The lines of the log pane: what the program says beside its figures, and what the detectors found, as
 * it comes. Keeps the newest 1000.
 */
#ifndef ALLOCTRACE_SCREEN_JOURNAL_H
#define ALLOCTRACE_SCREEN_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stack/stacks.h"

struct journal;

struct journal *journal_new(void);        /* NULL: no memory */
void journal_free(struct journal *j);     /* NULL-safe */
/* A line of that moment (CLOCK_MONOTONIC); text is made printable. */
void journal_add(struct journal *j, uint64_t time_ns, bool alarm, const char *text);
/*
 * The same, with " by " and who did it behind it: names that are found late come in late, until
 * journal_settle. stack may be NULL.
 */
void journal_add_by(struct journal *j, uint64_t time_ns, bool alarm, const char *text,
		    const struct stack *stack);
/* Stacks go, or had their time: lines stay as they read now. Between names_begin and names_end, as journal_line. */
void journal_settle(struct journal *j);
/* True the first time that this thing is told of, as far as one remembers: the newest 4096. */
bool journal_is_news(struct journal *j, uint64_t thing);

size_t journal_cnt(const struct journal *j); /* that are kept */
#define JOURNAL_LINE_MAX 1536
/* The i-th, oldest first: "14:03:22  …", as its names are known now; asks for those that are not. */
const char *journal_line(struct journal *j, struct names *names, size_t i, char buf[JOURNAL_LINE_MAX],
			 bool *alarm);
/* Asks for the names of all lines that are not settled. */
void journal_want(const struct journal *j, struct names *names);
/* Whether names that were asked for are still being looked up. */
bool journal_waits(const struct journal *j);

#endif
