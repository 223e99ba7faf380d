/*
 * Code addresses of a target, kept as what still means something when the target has ended or has
 * mapped other things there: a module and an address as linked. Names come later (stack/names.h).
 */
#ifndef ALLOCTRACE_STACK_LOCATION_H
#define ALLOCTRACE_STACK_LOCATION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "stack/frame.h"
#include "stack/module.h"

/* How far its naming has come. */
enum location_stage {
	LOCATION_NEW,
	LOCATION_ASKED,  /* waits for its symbol */
	LOCATION_SYMBOL, /* waits for lines */
	LOCATION_DONE,
};

struct location {
	struct module *module; /* NULL: nothing is mapped there */
	uint64_t addr; /* of a return: its call lies just before. As linked; of a JIT as it is; else a file
			  offset */
	struct location *same_hash;

	/* Of stack/names.c, under its lock. */
	struct frame_list *frames; /* NULL: nobody has asked */
	struct location *queued;
	enum location_stage stage;
};

struct locations;

struct locations *locations_new(pid_t pid); /* NULL: no memory */
void locations_free(struct locations *l);   /* NULL-safe */
/* The target mapped or unmapped objects (dlopen, exec): look again. */
void locations_stale(struct locations *l);
/* Never NULL; one and the same for one place in one module. Lives as long as l. */
struct location *locations_get(struct locations *l, uint64_t addr);
/* The same of what has its name already, by what the name says; its texts must live as long as l. */
struct location *locations_named(struct locations *l, const struct frame_name *name);
/* Whether addr lies in the C library (by the name of its file). */
bool locations_in_libc(struct locations *l, uint64_t addr);
struct modules *locations_modules(const struct locations *l);

#endif
