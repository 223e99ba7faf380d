/*
 * One arena. Its pools' headers say how many blocks are in use, not which, so that 48 bytes of
 * every pool are all that is read; which pages are in RAM, the page tables say. Blocks in use
 * lie on resident pages: CPython writes the first word of every block that it hands out.
 */
#include "heap/pymalloc_heap.h"

#define TRIES 5         /* of an arena that changes while it is read */
#define ARENA_PAGES 512 /* of the largest arena: 128 pools of 16 KiB */
#define SPARSE_SHARE 10 /* an arena of which at most one in so many bytes is live */

_Static_assert(ARENA_PAGES *TARGET_PAGE_SIZE >= (uint64_t)ARENA_POOLS_MAX * POOL_SIZE_NEW, "an arena fits");
_Static_assert(sizeof(struct pool_header) == 48 && sizeof(struct arena_object) == 48, "as CPython's");

/* An arena as read at one moment. */
struct arena {
	const struct heap *heap;
	uint32_t index;
	struct arena_object object;
	uint64_t first; /* pool */
	uint32_t pools; /* carved off so far */
	uint8_t pages[ARENA_PAGES];
	struct pool_header pool[ARENA_POOLS_MAX];
	bool known[ARENA_POOLS_MAX]; /* the header is in RAM, and was read; swapped otherwise */
};

static unsigned class_of(uint32_t bytes)
{
	return 31 - (unsigned)__builtin_clz(bytes);
}

static uint8_t page_state(const struct arena *a, uint64_t addr)
{
	return a->pages[(addr - a->object.address) / TARGET_PAGE_SIZE];
}

/* Reads the pages' states and the headers; false if some are not there (any more). */
static bool read_arena(struct memory *mem, struct arena *a)
{
	struct iovec local[ARENA_POOLS_MAX], remote[ARENA_POOLS_MAX];
	uint64_t start = a->object.address;
	size_t cnt = 0;

	if (memory_pages(mem, start, start + a->heap->arena_size, a->pages))
		return false;
	for (uint32_t i = 0; i < a->pools; i++) {
		uint64_t pool = a->first + (uint64_t)i * a->heap->pool_size;

		a->known[i] = page_state(a, pool) & PAGE_PRESENT;
		if (!(page_state(a, pool) & (PAGE_PRESENT | PAGE_SWAPPED)))
			return false;
		if (!a->known[i])
			continue;
		local[cnt] = (struct iovec){&a->pool[i], sizeof(a->pool[i])};
		remote[cnt++] = (struct iovec){(void *)(uintptr_t)pool, sizeof(a->pool[i])};
	}
	return !cnt ||
	       memory_readv(mem, local, cnt, remote, cnt) == (ssize_t)(cnt * sizeof(struct pool_header));
}

static uint32_t capacity(const struct heap *heap, uint32_t size)
{
	return (heap->pool_size - (uint32_t)sizeof(struct pool_header)) / size;
}

/* NULL, or what is wrong with a pool. A free one has the rest of its last use in it. */
static const char *check_pool(const struct arena *a, const struct pool_header *p)
{
	if (p->arenaindex != a->index)
		return "a pool of another arena";
	if (!p->count)
		return NULL;
	if (p->szidx >= POOL_CLASSES || p->maxnextoffset + POOL_CLASS_SIZE(p->szidx) != a->heap->pool_size)
		return "a pool of no size class";
	if (p->count > capacity(a->heap, POOL_CLASS_SIZE(p->szidx)))
		return "a pool with more blocks in use than it holds";
	return NULL;
}

/* NULL, or what is wrong with some pool; *at is where. */
static const char *check_pools(const struct arena *a, uint64_t *at)
{
	for (uint32_t i = 0; i < a->pools; i++) {
		const char *wrong = a->known[i] ? check_pool(a, &a->pool[i]) : NULL;

		*at = a->first + (uint64_t)i * a->heap->pool_size;
		if (wrong)
			return wrong;
	}
	return NULL;
}

/*
 * Whether as many pools are free as the object counts, or has counted while they were read: before
 * it or after it. Not known while some are swapped out.
 */
static bool are_counted(const struct arena *a, struct memory *mem, uint64_t addr)
{
	uint32_t before = a->object.nfreepools, free_pools = a->object.ntotalpools - a->pools;
	struct arena_object now;

	for (uint32_t i = 0; i < a->pools; i++) {
		if (!a->known[i])
			return true;
		free_pools += !a->pool[i].count;
	}
	if (free_pools == before)
		return true;
	return !pymalloc_read(mem, addr, &now, sizeof(now)) && now.address == a->object.address &&
	       (free_pools > before ? free_pools <= now.nfreepools : free_pools >= now.nfreepools);
}

/* What the page tables say of [start, end). */
struct resident {
	uint64_t bytes;
	bool swapped;
};

static struct resident count_pages(const struct arena *a, uint64_t start, uint64_t end,
				   struct heap_figures *f)
{
	struct resident r = {0};

	for (uint64_t at = start; at < end; at += TARGET_PAGE_SIZE) {
		uint8_t state = page_state(a, at);

		if (state & PAGE_PRESENT) {
			r.bytes += TARGET_PAGE_SIZE;
			if (!(state & PAGE_EXCLUSIVE))
				f->shared += TARGET_PAGE_SIZE;
		} else if (state & PAGE_SWAPPED) {
			r.swapped = true;
			f->swapped += TARGET_PAGE_SIZE;
		}
	}
	f->resident += r.bytes;
	return r;
}

/* A pool with blocks in use. What does not fill another block at its end is lost, as its header is. */
static void add_used(const struct arena *a, const struct pool_header *p, uint64_t addr,
		     struct pymalloc_tally *t)
{
	uint32_t size = POOL_CLASS_SIZE(p->szidx), all = capacity(a->heap, size);
	uint64_t live = (uint64_t)p->count * size, unused = (uint64_t)(all - p->count) * size;
	uint64_t tail = a->heap->pool_size - sizeof(*p) - (uint64_t)all * size;
	uint64_t last = addr + a->heap->pool_size - TARGET_PAGE_SIZE, overhead = sizeof(*p);
	struct resident r = count_pages(a, addr, addr + a->heap->pool_size, &t->f);

	heap_blocks_add(&t->f.live, &(struct heap_blocks){p->count, live});
	heap_blocks_add(&t->f.bins, &(struct heap_blocks){all - p->count, unused});
	heap_blocks_add(&t->live_step[size_step(size)], &(struct heap_blocks){p->count, live});
	heap_blocks_add(&t->free_class[class_of(size)], &(struct heap_blocks){all - p->count, unused});
	t->f.overhead += sizeof(*p) + tail;
	t->estimate |= r.swapped;
	if (page_state(a, last) & PAGE_PRESENT)
		overhead += tail;
	t->f.pinned.overhead += overhead;
	if (r.bytes > live + overhead)
		t->f.pinned.partial += r.bytes - live - overhead;
}

/* A free pool: in use once, or never carved off yet. */
static void add_free(const struct arena *a, uint64_t addr, bool carved, struct pymalloc_tally *t)
{
	struct resident r = count_pages(a, addr, addr + a->heap->pool_size, &t->f);

	if (carved) {
		heap_blocks_add(&t->f.fast, &(struct heap_blocks){1, a->heap->pool_size});
		t->f.pinned.policy += r.bytes;
	} else {
		t->f.top += a->heap->pool_size;
		t->f.pinned.top += r.bytes;
	}
}

/* What alignment takes from both ends: touched by nobody, but huge pages are resident as a whole. */
static void add_lost(const struct arena *a, uint64_t start, uint64_t end, struct pymalloc_tally *t)
{
	t->f.overhead += end - start;
	t->f.pinned.overhead += count_pages(a, start, end, &t->f).bytes;
}

static void add_pools(const struct arena *a, struct pymalloc_tally *t)
{
	uint64_t run = 0; /* of adjacent free pools */

	for (uint32_t i = 0; i < a->object.ntotalpools; i++) {
		uint64_t addr = a->first + (uint64_t)i * a->heap->pool_size;
		bool carved = i < a->pools;

		if (carved && !a->known[i]) {
			count_pages(a, addr, addr + a->heap->pool_size, &t->f);
			t->estimate = true;
			run = 0;
		} else if (carved && a->pool[i].count) {
			add_used(a, &a->pool[i], addr, t);
			run = 0;
		} else {
			add_free(a, addr, carved, t);
			run += a->heap->pool_size;
		}
		if (run > t->f.largest_free)
			t->f.largest_free = run;
	}
}

static void add_range(const struct arena *a, const struct heap_figures *f, struct heap_ranges *ranges)
{
	ranges->name = "arenas";
	ranges->cnt++;
	ranges->size = a->heap->arena_size;
	if (!f->live.cnt) {
		ranges->empty++;
	} else if (f->live.bytes * SPARSE_SHARE <= f->held) {
		ranges->sparse++;
		ranges->sparse_live += f->live.bytes;
		ranges->sparse_retained += f->retained;
	}
}

static void add_arena(const struct arena *a, struct pymalloc_tally *t)
{
	uint64_t end = a->first + (uint64_t)a->object.ntotalpools * a->heap->pool_size;
	uint64_t all = a->object.address + a->heap->arena_size;
	struct heap_figures before = t->f, *f = &t->f;

	t->f = (struct heap_figures){.held = a->heap->arena_size};
	add_lost(a, a->object.address, a->first, t);
	add_pools(a, t);
	add_lost(a, end, all, t);
	f->retained = heap_pinned_sum(&f->pinned);
	add_range(a, f, &t->ranges);
	t->walked += f->held;
	heap_figures_add(f, &before);
}

/* Takes the object as it is now; false if it is none that its pools can be found by. */
static bool take_object(struct arena *a, const struct arena_object *object)
{
	if (!pymalloc_is_arena(a->heap, object))
		return false;
	a->object = *object;
	a->first = pymalloc_first_pool(object, a->heap->pool_size);
	a->pools = (uint32_t)((object->pool_address - a->first) / a->heap->pool_size);
	return true;
}

void pymalloc_walk_arena(const struct heap *heap, struct memory *mem, const struct pymalloc_arenas *list,
			 uint32_t index, struct pymalloc_tally *t)
{
	uint64_t addr = list->addr + (uint64_t)index * sizeof(struct arena_object), at = addr;
	struct arena_object object = list->v[index];
	struct arena a = {.heap = heap, .index = index};
	const char *wrong = NULL;

	for (unsigned try = 0; try < TRIES; try++) {
		if (try && pymalloc_read(mem, addr, &object, sizeof(object)))
			break;
		if (!object.address)
			return;
		wrong = "pools that are not there";
		if (take_object(&a, &object) && read_arena(mem, &a)) {
			wrong = check_pools(&a, &at);
			if (!wrong && are_counted(&a, mem, addr)) {
				add_arena(&a, t);
				return;
			}
			if (!wrong) {
				wrong = "free pools that its object does not count";
				at = object.address;
			}
		}
		/* An arena is unmapped first, then its object says so. */
		if (a.object.nfreepools == a.object.ntotalpools)
			return;
		t->retries++;
	}
	t->f.held += heap->arena_size;
	t->inconsistent_at = at;
	t->inconsistent = wrong;
}
