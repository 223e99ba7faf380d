/*
 * A view of a target's memory for walkers that jump: some lines of pages, kept as long as
 * nothing else needs their place. A window (heap/window.h) is for those that move forward.
 */
#ifndef ALLOCTRACE_HEAP_PAGE_CACHE_H
#define ALLOCTRACE_HEAP_PAGE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "target/memory.h"

#define CACHE_LINE_PAGES 8
#define CACHE_LINES 256 /* 8 MiB of a target at most */

struct page_cache {
	struct memory *mem;
	uint64_t line[CACHE_LINES];  /* address; 1: none */
	uint8_t present[CACHE_LINES]; /* a bit a page */
	char *data;
};

int page_cache_init(struct page_cache *cache, struct memory *mem); /* 0 or −ENOMEM */
void page_cache_free(struct page_cache *cache);                    /* NULL data is fine */
/* The len bytes at addr, within one page, NULL unless that is present. Valid until the next call. */
const void *page_cache_at(struct page_cache *cache, uint64_t addr, size_t len);
/* Copies len bytes that may lie on two pages; false unless both are present. */
bool page_cache_copy(struct page_cache *cache, uint64_t addr, void *buf, size_t len);

#endif
