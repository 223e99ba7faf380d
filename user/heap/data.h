/*
 * The writable data of a target's objects, where allocators keep what they begin with: looked
 * through piece by piece, without symbols, and without touching a page that is not there.
 */
#ifndef ALLOCTRACE_HEAP_DATA_H
#define ALLOCTRACE_HEAP_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "target/maps.h"
#include "target/memory.h"

#define DATA_STEP (256UL << 10) /* of a scan */
#define DATA_OVERLAP 4096 /* so many bytes of a piece come again in the next: no struct of that size is cut in two */

struct data_range {
	uint64_t start, end; /* of whole pages */
};

/* A file's writable data with the bss behind it, cut at 64 MiB; false if mapping i is none. */
bool data_range_of(const struct maps *maps, size_t i, struct data_range *range);

/* Copies what is present of [addr, addr + len), 256 KiB at most, zeros elsewhere; false if nothing is. */
bool data_copy(struct memory *mem, uint64_t addr, void *buf, size_t len);

/* What is called for every piece of a range: bytes at addr, absent pages as zeros. True: found, stop. */
typedef bool (*data_fn)(const char *bytes, size_t len, uint64_t addr, void *arg);

/* Whether fn has found what it looks for. */
bool data_scan(struct memory *mem, struct data_range range, data_fn fn, void *arg);

#endif
