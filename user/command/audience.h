/*
 * Who is given the pictures of a watch (watch.h): reports on standard output and files at the end
 * (publish.h), or a screen (top.c). Called by one thread, in the order below.
 */
#ifndef ALLOCTRACE_COMMAND_AUDIENCE_H
#define ALLOCTRACE_COMMAND_AUDIENCE_H

#include <stdbool.h>

#include "base/log.h"
#include "command/naming.h"
#include "command/options.h"
#include "event/row.h"
#include "picture/picture.h"

enum audience_wish {
	AUDIENCE_STAYS,
	AUDIENCE_ASKS,   /* for a picture now */
	AUDIENCE_LEAVES,
};

struct audience {
	bool hasty; /* its final picture waits for no fresh heap state */
	/* Before anything is done to a target; what it gives is the self of the others. NULL: it cannot, and has said why. */
	void *(*open)(void *context, const struct options *options, const struct naming *naming,
		      const struct log *log);
	/* All is in place. −errno: it cannot, and has said why. NULL: nothing to do. */
	int (*begin)(void *self);
	/* With --events, each one of those that are watched. NULL: it has no use for them. */
	void (*event)(void *self, const struct event_row *row);
	/* −errno: nobody looks any more. */
	int (*picture)(void *self, const struct picture *picture);
	/* The last one, given to picture before unless that has failed. 0, or −errno after a line. NULL: nothing to do. */
	int (*finish)(void *self, const struct picture *final);
	/* What it wants to be woken by, and then does; after the target's end until it leaves. NULL: nothing. */
	int (*fd)(const void *self);
	enum audience_wish (*act)(void *self);
	void (*close)(void *self); /* NULL-safe */
};

#endif
