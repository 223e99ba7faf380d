/*
 * What a heap walk finds: the exact state of one allocator in one process, read from
 * outside at one moment. All figures are bytes unless the name ends in _cnt.
 *
 * A walker is a const struct of functions (heap/glibc.h is the first); it sees the target
 * through struct memory only, never stops it, never reads an absent or swapped page, and
 * keeps no copy of the heap. A heap that changes meanwhile is met by going back to a
 * checkpoint and counting a retry; one that does not add up is reported as inconsistent.
 */
#ifndef ALLOCTRACE_HEAP_WALK_H
#define ALLOCTRACE_HEAP_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "heap/pages.h"
#include "heap/steps.h"
#include "target/memory.h"

#define HEAP_CLASS_CNT 48 /* size class i: chunks of [2^i, 2^(i+1)) bytes */
#define HEAP_SETTING_MAX 8

struct heap_blocks {
	uint64_t cnt, bytes;
};

/* Why free bytes that are resident would not go back. */
struct heap_pinned {
	uint64_t partial;       /* on pages that also carry live blocks (or allocator headers) */
	uint64_t top;           /* tops that no purge trims */
	uint64_t thread_cache;  /* kept for one thread: never coalesced, never trimmed */
	uint64_t other_threads; /* whole pages that only a call by the thread they belong to would return */
	uint64_t policy;        /* whole free pages that this version leaves, or was told to leave */
	uint64_t overhead;      /* the allocator's own headers: arena structs, heap headers, fenceposts */
};

/* One arena, or a whole allocator (the sum of its arenas and its mmapped blocks). */
struct heap_figures {
	uint64_t held;      /* from the kernel: Σ system_mem (+ mmapped blocks, in a total) */
	uint64_t resident;  /* of held */
	uint64_t swapped;   /* of held */
	uint64_t shared;    /* of resident: copy-on-write pages that another process maps too */
	struct heap_blocks live;         /* as the allocator rounds them: live_heap is live.bytes */
	struct heap_blocks bins;         /* free, coalesced */
	struct heap_blocks fast;         /* free, not coalesced */
	struct heap_blocks thread_cache; /* free, in per-thread caches */
	uint64_t top;                    /* free, at the end of the arena */
	uint64_t overhead;
	uint64_t largest_free;  /* longest run of adjacent free bytes */
	uint64_t retained;      /* resident bytes in no live block = purgeable + Σ pinned */
	uint64_t purgeable;     /* resident bytes that the allocator's purge would return now */
	uint64_t purgeable_shared; /* of purgeable: shared pages (they leave this RSS, not RAM) */
	struct heap_pinned pinned;
};

struct heap_arena {
	char name[32];      /* as the allocator's users call it: "main arena" */
	uint64_t addr;      /* of its state struct in the target; 0: it has none */
	bool main;
	unsigned heap_cnt;  /* heaps (address ranges) it spans */
	bool threads_known;
	uint64_t threads;   /* attached to it, as the allocator counts them */
	struct heap_figures f;
	uint64_t walked;    /* bytes the walk covered; must equal held */
	uint64_t inconsistent_at; /* 0, or the first address that did not add up */
	const char *inconsistent; /* NULL, or why (static text) */
};

/*
 * The address ranges that an allocator gives back only as a whole, once nothing in them is live:
 * pymalloc's arenas. cnt 0: it has none.
 */
struct heap_ranges {
	const char *name;         /* of several: "arenas" */
	uint64_t cnt, size;       /* size: bytes of each; 0: not of one size */
	uint64_t empty;           /* of cnt: without a live block, kept for the next one */
	uint64_t sparse;          /* of cnt: at most a tenth of it is live */
	uint64_t sparse_live;     /* bytes of live blocks in these … */
	uint64_t sparse_retained; /* … and what they keep from going back */
};

/* Add part to *sum; of largest_free the larger stays. */
void heap_blocks_add(struct heap_blocks *sum, const struct heap_blocks *part);
void heap_figures_add(struct heap_figures *sum, const struct heap_figures *part);
void heap_ranges_add(struct heap_ranges *sum, const struct heap_ranges *part);
uint64_t heap_pinned_sum(const struct heap_pinned *pinned); /* bytes, all reasons */

/* One of the figures above in an allocator's own words. name NULL: it knows no such thing. */
struct heap_word {
	const char *key;  /* in JSON; of free bytes only, reasons are called alike everywhere */
	const char *name; /* "free in bins" */
	const char *note; /* "coalesced with free neighbours" */
};

struct heap_words {
	struct heap_word bins, fast, thread_cache, top;
	struct {
		struct heap_word partial, top, thread_cache, other_threads, policy, overhead;
	} pinned;
};

/* What the allocator is set to at the moment, of what decides about its returning memory. */
struct heap_setting {
	const char *key, *name; /* in JSON; in text: "trim at free" */
	enum heap_unit {
		HEAP_BYTES,
		HEAP_MILLISECONDS,
		HEAP_NUMBER,
	} unit;
	int64_t value; /* −1: never, of bytes and times */
};

struct heap_walk {
	const char *allocator;  /* "glibc" */
	const struct heap_words *words;
	char version[24];       /* "2.36", or "2.27–2.31" where only the layout tells */
	bool complete;          /* every arena was walked and added up */
	bool estimate;          /* a list too long to follow, or swapped pages: figures are close, not exact */
	struct heap_figures total;
	struct heap_arena *arenas; /* main first, then by address; owned by the walk */
	size_t arena_cnt;
	struct heap_blocks mmapped;   /* blocks with a mapping of their own: live; part of total.live and total.held */
	uint64_t mmapped_resident;
	struct heap_ranges ranges;
	struct heap_setting settings[HEAP_SETTING_MAX];
	size_t setting_cnt;
	struct heap_blocks live_step[STEP_CNT]; /* total.live, by size step (heap/steps.h) */
	struct heap_blocks free_class[HEAP_CLASS_CNT];
	struct heap_blocks pinned_class[HEAP_CLASS_CNT]; /* pinned bytes and holders, by size of the holding chunk */
	struct heap_pages pages; /* empty unless they were asked for */
	unsigned retries;       /* times the walk went back because the heap had changed */
	uint64_t started_ns, duration_ns; /* CLOCK_MONOTONIC */
};

/* Of live_step, what is of that size class. */
struct heap_blocks heap_live_class(const struct heap_walk *walk, unsigned class);

struct heap; /* an allocator found in a target; opaque, a walker's own */

struct heap_walker {
	const char *allocator;
	/*
	 * Finds the allocator in the target. 0 and *heap, −ENOENT if it never started there,
	 * other −errno with err. name_version is the version that the object's file names
	 * (2·1000+36), 0 if unknown: a hint only, what is found in memory decides.
	 */
	int (*find)(struct memory *mem, unsigned file_version, struct heap **heap, struct error *err);
	/*
	 * Walks it into *walk (owned by the caller, heap_walk_free), with walk->pages and
	 * pinned_class if want_pages. −ENOENT: gone; −EAGAIN: gave up after too many retries.
	 */
	int (*walk)(struct heap *heap, struct memory *mem, bool want_pages, struct heap_walk *walk,
		    struct error *err);
	void (*free)(struct heap *heap); /* NULL-safe */
};

void heap_walk_free(struct heap_walk *walk); /* idempotent; keeps nothing */
/* One more setting, if there is room. */
void heap_walk_set(struct heap_walk *walk, struct heap_setting setting);

/*
 * One line in words: "malloc_trim(0) would return 1.44 GiB of 2.00 GiB resident; 96.0 MiB stay
 * pinned". purge_call: as a report names it, NULL if the allocator has none.
 */
void heap_walk_sentence(const struct heap_walk *walk, const char *purge_call, char *buf, size_t len);

#endif
