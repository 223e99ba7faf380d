/*
 * A target's address space, read-only: bytes and the state of pages. Heap walkers see the
 * target only through this, so that a live process, a saved image and a fuzzer's input
 * are one thing to them.
 *
 * Reading an absent page would map the zero page into the target, and reading a swapped
 * one would swap it in: callers look at memory_pages first and read PAGE_PRESENT pages only.
 */
#ifndef ALLOCTRACE_TARGET_MEMORY_H
#define ALLOCTRACE_TARGET_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/error.h"
#include "target/maps.h"

#define TARGET_PAGE_SIZE 4096ULL

/* The state of one page, a set of flags. */
enum page_state {
	PAGE_PRESENT = 1 << 0,   /* in RAM and counted in RSS (the shared zero page is not) */
	PAGE_SWAPPED = 1 << 1,
	PAGE_ZERO = 1 << 2,      /* maps the shared zero page: reads as zeros, no RSS */
	PAGE_EXCLUSIVE = 1 << 3, /* mapped by this process only: its loss frees RAM at once */
};

struct memory;

struct memory_ops {
	/* Bytes read (all segments in order, short at the first unreadable one), or −errno. */
	ssize_t (*readv)(struct memory *mem, const struct iovec *local, size_t local_cnt,
			 const struct iovec *remote, size_t remote_cnt);
	/* One flag set a page of [start, end) into state; 0 or −errno. */
	int (*pages)(struct memory *mem, uint64_t start, uint64_t end, uint8_t *state);
	/* Fills maps afresh; the caller frees them. */
	int (*maps)(struct memory *mem, struct maps *maps, struct error *err);
	void (*free)(struct memory *mem);
};

struct memory {
	const struct memory_ops *ops;
	uint64_t reads, bytes_read; /* counted by memory_read and memory_readv */
};

/*
 * A live process. Pages that hold the zero page are told apart by PAGEMAP_SCAN (kernel ≥ 6.7)
 * or by page frame number (CAP_SYS_ADMIN); without either they count as present.
 * −EACCES or −EPERM without the right to read pid's memory, −ESRCH.
 */
int memory_open_process(pid_t pid, struct memory **mem, struct error *err);
/* A saved image (format: image.h), for tests, bug reports and fuzzing. */
int memory_open_image(const void *data, size_t len, struct memory **mem, struct error *err);
void memory_free(struct memory *mem); /* NULL-safe */

/* Bytes read from addr, possibly fewer than len, or −errno. */
ssize_t memory_read(struct memory *mem, uint64_t addr, void *buf, size_t len);
ssize_t memory_readv(struct memory *mem, const struct iovec *local, size_t local_cnt,
		     const struct iovec *remote, size_t remote_cnt);
int memory_pages(struct memory *mem, uint64_t start, uint64_t end, uint8_t *state);
int memory_maps(struct memory *mem, struct maps *maps, struct error *err);

#endif
