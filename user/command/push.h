/*
 * --push: profiles of pictures, posted to a server by a thread, one after the other. Nobody waits for
 * it: where the last one has not been taken yet, the next one is left out, and what it would have
 * said of allocations and frees is in the one after it. Only the end waits, some seconds at most.
 */
#ifndef ALLOCTRACE_COMMAND_PUSH_H
#define ALLOCTRACE_COMMAND_PUSH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "picture/snapshot.h"

struct push;

/* url: as push_form_of takes it; it and log must outlive it. NULL: said on the log. */
struct push *push_new(const char *url, uint64_t interval_ns, const struct log *log);
/* NULL-safe. Waits for the last one, for some seconds at most; says on the log what could not be pushed. */
void push_free(struct push *push);

/* Whether a profile of that time is wanted: an interval after the last one. Says a first failure on the log. */
bool push_is_due(struct push *push, uint64_t time_ns);
/* Hands a profile over. Between names_begin and names_end. A final one waits for the one before, likewise. */
void push_snapshot(struct push *push, const struct snapshot *s);

#endif
