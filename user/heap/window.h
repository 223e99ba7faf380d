/*
 * A reused view of a target's memory for walkers that move mostly forward: the states of
 * the pages around, and the bytes of the pages that are present. One buffer, never a mirror.
 */
#ifndef ALLOCTRACE_HEAP_WINDOW_H
#define ALLOCTRACE_HEAP_WINDOW_H

#include <stddef.h>
#include <stdint.h>

#include "target/memory.h"

#define WINDOW_BYTES (256UL << 10)
#define WINDOW_STATES 512

struct window {
	struct memory *mem;
	uint64_t limit;                  /* nothing at or above is looked at */
	uint64_t data_start, data_end;   /* what data holds; absent pages read as zeros */
	uint64_t state_start, state_end; /* what state holds */
	size_t step;                     /* bytes to read next: grows while the walk goes straight on */
	char *data;
	uint8_t state[WINDOW_STATES];
};

int window_init(struct window *win, struct memory *mem); /* 0 or −ENOMEM */
void window_free(struct window *win);
/* Forgets what it holds: the target may have changed. */
void window_drop(struct window *win);

/* Slow paths of the two below. */
const char *window_load(struct window *win, uint64_t addr, size_t len);
uint8_t window_load_state(struct window *win, uint64_t addr);

/* The len bytes at addr, within one page, NULL unless that is present. Valid until the next call. */
static inline const char *window_at(struct window *win, uint64_t addr, size_t len)
{
	if (addr >= win->data_start && addr < win->data_end && len <= win->data_end - addr)
		return win->data + (addr - win->data_start);
	return window_load(win, addr, len);
}

/* The state of addr's page; 0 (absent) also where it cannot be told. */
static inline uint8_t window_state(struct window *win, uint64_t addr)
{
	if (addr >= win->state_start && addr < win->state_end)
		return win->state[(addr - win->state_start) / TARGET_PAGE_SIZE];
	return window_load_state(win, addr);
}

/* Reads [start, end) at once, WINDOW_BYTES at most: for walkers that jump about in it. */
void window_fetch(struct window *win, uint64_t start, uint64_t end);

/* Resident bytes of [start, end). */
uint64_t window_resident(struct window *win, uint64_t start, uint64_t end);

/* Reads a struct outside of the window, only if all its pages are present: 0, or −ENODATA. */
int window_peek(struct memory *mem, uint64_t addr, void *buf, size_t len);

#endif
