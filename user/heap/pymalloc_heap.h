/*
 * What the parts of the pymalloc walker share: the structs of CPython's object allocator, and
 * what a target turned out to have of them. Nothing read from there is believed until it has
 * been checked against what must hold: see the functions' own words.
 *
 * Source: Objects/obmalloc.c up to 3.11, Include/internal/pycore_obmalloc.h from 3.12 to 3.15;
 * LP64. The layouts differ in two sizes only, which the structs themselves tell.
 */
#ifndef ALLOCTRACE_HEAP_PYMALLOC_HEAP_H
#define ALLOCTRACE_HEAP_PYMALLOC_HEAP_H

#include "heap/data.h"
#include "heap/walk.h"

#define POOL_CLASSES 32u         /* NB_SMALL_SIZE_CLASSES: blocks of 16, 32 … 512 bytes */
#define POOL_CLASS_SIZE(class) (((class) + 1u) * 16u)
#define POOL_SIZE_OLD 4096u      /* up to 3.9 */
#define POOL_SIZE_NEW 16384u     /* 3.10: with the radix tree */
#define ARENA_POOLS_MAX 128u     /* 64 everywhere but in 3.15 built for huge pages */
#define ARENAS_FIRST 16u         /* INITIAL_ARENA_OBJECTS; then twice as many each time */
#define ARENAS_MAX (1u << 20)    /* 1 TiB of them */
#define INTERPRETERS_MAX 256u    /* with arenas of their own */
#define ADDRESS_END (1ULL << 47) /* of user space, x86-64 without five-level tables */

struct pool_header {
	uint32_t count, padding; /* blocks in use; 0: the pool is free */
	uint64_t freeblock;
	uint64_t nextpool, prevpool;
	uint32_t arenaindex; /* in arenas[] */
	uint32_t szidx;      /* size class */
	uint32_t nextoffset, maxnextoffset;
};

struct arena_object {
	uint64_t address;      /* 0: not in use, on the list of these by nextarena */
	uint64_t pool_address; /* of the next pool to carve off */
	uint32_t nfreepools, ntotalpools;
	uint64_t freepools;
	uint64_t nextarena, prevarena;
};

/*
 * struct _obmalloc_state from 3.12 on, one an interpreter or one for all of them; static variables
 * before that. usedpools[] holds two words a size class: the first and the last pool that has
 * blocks in use and free, or twice the address that makes them look like one.
 */
#define USED_WORDS (2 * POOL_CLASSES)
struct pymalloc_state {
	uint64_t used;   /* address of usedpools[] */
	uint64_t arenas; /* address of the pointer to the first struct arena_object */
	bool together;   /* one struct: the number of arena objects stands behind the pointer */
};
#define STATE_ARENAS (USED_WORDS * 8) /* offset in struct _obmalloc_state */

struct heap {
	unsigned version; /* 3·1000+11; 0: unknown */
	uint32_t pool_size, arena_size;
	struct pymalloc_state main; /* of the main interpreter, and of those that share it */
	/* Where others are told, from 3.13 on; 0: they are not looked for. */
	uint64_t interpreters;   /* address of the pointer to the newest interpreter's state */
	uint16_t next, id;       /* in an interpreter's state: the next one, its number */
	uint32_t obmalloc;       /* in an interpreter's state: the address of its struct _obmalloc_state */
};

/* The arena objects of one state, as read at one moment. */
struct pymalloc_arenas {
	uint64_t addr; /* of the first */
	struct arena_object *v;
	uint32_t cnt;
};

/*
 * pymalloc_locate.c: −ENOENT if it never started, −ENODATA if it is nowhere (or in the midst of a change),
 * −ENOTSUP with err for a build without it.
 */
int pymalloc_locate(struct memory *mem, const struct maps *maps, unsigned file_version, struct heap *heap,
		    struct error *err);
/* Whether a file of that path is an interpreter, or the library of one, by its name. */
bool pymalloc_is_home(const char *path);
/* Whether the words at addr are a usedpools[]: for the states that are not main's. */
bool pymalloc_is_used(const uint64_t words[USED_WORDS], uint64_t addr);

/*
 * pymalloc_arenas.c: all of them, if every one is as it must be, in use or on the one list of the
 * unused. Whether there is an arena where an object says so, its pools' headers tell. The caller
 * frees list->v. −ENODATA: not all in RAM; −EAGAIN: they do not go together, at the moment or ever.
 */
int pymalloc_read_arenas(const struct heap *heap, const struct pymalloc_state *state, struct memory *mem,
			 struct pymalloc_arenas *list);
/* Bytes of an arena, by what its object says; 0 if it makes no sense. */
uint32_t pymalloc_arena_size(const struct arena_object *arena, uint32_t pool_size);
/* What must hold of an arena in use, whatever the others are. */
bool pymalloc_is_arena(const struct heap *heap, const struct arena_object *arena);
/* Reads what is present in whole: 0, or −ENODATA. */
int pymalloc_read(struct memory *mem, uint64_t addr, void *buf, size_t len);

static inline uint64_t pymalloc_first_pool(const struct arena_object *arena, uint32_t pool_size)
{
	return (arena->address + pool_size - 1) & ~(uint64_t)(pool_size - 1);
}

/* What is counted, over the arenas of one state. */
struct pymalloc_tally {
	struct heap_figures f;
	struct heap_blocks live_step[STEP_CNT], free_class[HEAP_CLASS_CNT];
	struct heap_ranges ranges;
	uint64_t walked;
	unsigned retries;
	bool estimate;
	uint64_t inconsistent_at;
	const char *inconsistent;
};

/*
 * pymalloc_pools.c: adds the arena with that number to *tally; again and again, as long as it
 * changes meanwhile. One that has gone adds nothing.
 */
void pymalloc_walk_arena(const struct heap *heap, struct memory *mem, const struct pymalloc_arenas *list,
			 uint32_t index, struct pymalloc_tally *tally);

/* pymalloc_interp.c: learns where other interpreters' states are told; does nothing where they are not. */
void pymalloc_find_interpreters(struct memory *mem, struct data_range range, uint64_t runtime,
				struct heap *heap);
struct pymalloc_interpreter {
	int64_t id;
	struct pymalloc_state state;
};
/* Those that have arenas of their own, at most INTERPRETERS_MAX. */
size_t pymalloc_read_interpreters(const struct heap *heap, struct memory *mem,
				  struct pymalloc_interpreter list[INTERPRETERS_MAX]);

#endif
