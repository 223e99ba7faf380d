/*
 * Places in code, kept as what still means something when the processes that ran there have ended
 * or have mapped other things there: a module and an address as linked. One and the same for all
 * processes (whose addresses become locations in stack/addresses.h). Names come later
 * (stack/names.h).
 */
#ifndef ALLOCTRACE_STACK_LOCATION_H
#define ALLOCTRACE_STACK_LOCATION_H

#include <stdbool.h>
#include <stdint.h>

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

struct locations *locations_new(void);    /* NULL: no memory */
void locations_free(struct locations *l); /* NULL-safe */
/* All below are never NULL, and live as long as l. One and the same for one place in one module. */
struct location *locations_get(struct locations *l, struct module *module, uint64_t addr);
/* The same of what has its name already, by what the name says; its texts are copied. */
struct location *locations_named(struct locations *l, const struct frame_name *name);
/* Of all addresses where nothing is mapped. */
struct location *locations_nowhere(struct locations *l);
struct modules *locations_modules(const struct locations *l);

#endif
