#include "detect/returned.h"

#include "base/units.h"

#define PAGE 4096ULL

/*
 * A deleted arena heap: HEAP_MAX_SIZE bytes, aligned to that (64 MiB, or four huge pages
 * with the hugetlb tunable; glibc 2.36 malloc/arena.c, delete_heap). A freed block with a
 * mapping of its own carries a header and is practically never aligned to a size like that.
 */
bool returned_is_heap(const struct event_memory *ev)
{
	return ev->len >= MIB && !(ev->len & (ev->len - 1)) && !(ev->addr & (ev->len - 1));
}

/* RSS may fall across a call by what other threads do; by the call itself never by more than its length. */
uint64_t returned_bytes(const struct event_memory *ev)
{
	uint64_t drop = ev->rss_drop > 0 ? (uint64_t)ev->rss_drop : 0;
	uint64_t most = ev->len > UINT64_MAX - PAGE ? UINT64_MAX : (ev->len + PAGE - 1) & ~(PAGE - 1);

	return drop < most ? drop : most;
}

static uint64_t *way_back(struct returned *r, const struct event_memory *ev, bool from_libc)
{
	switch (ev->op) {
	case MEMORY_BRK:
		return &r->trim;
	case MEMORY_MADVISE:
		return from_libc ? &r->trim : &r->madvise;
	case MEMORY_MUNMAP:
		return from_libc && returned_is_heap(ev) ? &r->trim : &r->munmap;
	case MEMORY_MREMAP:
		return &r->munmap;
	default:
		return NULL;
	}
}

static uint64_t *way_in(struct returned *r, const struct event_memory *ev)
{
	switch (ev->op) {
	case MEMORY_BRK:
		return &r->taken_brk;
	case MEMORY_MMAP:
	case MEMORY_MREMAP:
		return &r->taken_mmap;
	default:
		return NULL;
	}
}

void returned_add(struct returned *r, const struct event_memory *ev, bool from_libc)
{
	uint64_t *sum;

	if (ev->failed)
		return;
	if (!ev->shrink) {
		sum = way_in(r, ev);
		if (sum)
			*sum += ev->len;
		return;
	}
	if (ev->purge_id) /* the purge counts it */
		return;
	sum = way_back(r, ev, from_libc);
	if (sum)
		*sum += returned_bytes(ev);
}

void returned_add_purge(struct returned *r, uint64_t bytes)
{
	r->purge += bytes;
}

void returned_add_own_purge(struct returned *r, uint64_t bytes)
{
	r->madvise += bytes;
}
