/*
 * Objects that are free, and on no span's list: what each thread keeps (ThreadCache), and what
 * is on the way between threads (the transfer slots of a class's CentralFreeList). Both count by
 * class; where they lie is only asked of those that are so large that they may not be resident.
 */
#include <string.h>

#include "heap/gperftools_heap.h"

#define CACHES_MAX 65536
#define LIST_MAX 65536
#define SLOTS_MAX 64 /* kMaxNumTransferEntries */

const struct gperftools_row gperftools_rows[] = {
	{"2.16–2.18", .next = 4128, .prev = 4136},
	{"2.8–2.15", .next = 4144, .prev = 4152}, /* tid_ and in_setspecific_ before them */
};
const size_t gperftools_row_cnt = sizeof(gperftools_rows) / sizeof(*gperftools_rows);

struct free_list { /* ThreadCache::FreeList */
	uint64_t head;
	uint32_t length, low, max, overages;
	int32_t size;
	int32_t padding;
};

struct thread_cache {
	struct free_list list[CLASS_MAX];
	char rest[THREAD_CACHE_BYTES - CLASS_MAX * sizeof(struct free_list)];
};

struct central_list { /* CentralFreeList; the two spans are heads of rings */
	uint64_t lock, class;
	struct span empty, nonempty;
	uint64_t spans, unused;
	struct {
		uint64_t head, tail;
	} slot[SLOTS_MAX];
	int32_t used_slots, slots, max_slots, padding;
};

/* Every list of a cache says the size of its class. */
static bool read_cache(struct gperftools_walk *w, uint64_t addr, struct thread_cache *cache)
{
	if (!addr || addr % 64 || addr >= ADDRESS_END ||
	    window_peek(w->mem, addr, cache, sizeof(*cache)) != 0)
		return false;
	for (unsigned i = 1; i < CLASS_MAX && w->sizes.size[i]; i++)
		if (cache->list[i].size != w->sizes.size[i])
			return false;
	return true;
}

static uint64_t word_at(const struct thread_cache *cache, uint16_t offset)
{
	uint64_t value;

	memcpy(&value, (const char *)cache + offset, sizeof(value));
	return value;
}

/* What is resident of a list's objects, which are large. */
static uint64_t resident_of_list(struct gperftools_walk *w, uint64_t object, uint64_t cnt, uint64_t size)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < cnt && i < LIST_MAX && object && object < ADDRESS_END; i++) {
		sum += window_resident(&w->win, object, object + size);
		if (!page_cache_copy(&w->cache, object, &object, sizeof(object)))
			break;
	}
	return sum;
}

/* Objects of a class that are free in a cache, as far as there are so many. */
static void take(struct gperftools_walk *w, unsigned class, uint64_t cnt, uint64_t head,
		 struct heap_blocks *to, uint64_t *pinned)
{
	uint64_t size = (uint64_t)w->sizes.size[class];
	struct heap_blocks part;

	if (cnt > w->used[class].cnt)
		cnt = w->used[class].cnt;
	if (!cnt)
		return;
	part = (struct heap_blocks){cnt, cnt * size};
	w->used[class].cnt -= part.cnt;
	w->used[class].bytes -= part.bytes;
	heap_blocks_add(to, &part);
	heap_blocks_add(&w->out->free_class[size_class(size)], &part);
	*pinned += size > TARGET_PAGE_SIZE ? resident_of_list(w, head, cnt, size) : part.bytes;
}

static void count_cache(struct gperftools_walk *w, uint64_t addr, const struct thread_cache *cache)
{
	gperftools_note_own(w, addr, sizeof(*cache));
	for (unsigned i = 1; i < CLASS_MAX && w->sizes.size[i]; i++)
		take(w, i, cache->list[i].length, cache->list[i].head, &w->f->thread_cache,
		     &w->f->pinned.thread_cache);
}

/* The row by which two caches are neighbours; NULL while there is one alone. */
static const struct gperftools_row *find_row(struct gperftools_walk *w, uint64_t first,
					     const struct thread_cache *cache)
{
	struct thread_cache next;

	for (size_t i = 0; i < gperftools_row_cnt; i++) {
		const struct gperftools_row *row = &gperftools_rows[i];

		if (!word_at(cache, row->prev) && read_cache(w, word_at(cache, row->next), &next) &&
		    word_at(&next, row->prev) == first)
			return row;
	}
	return NULL;
}

/*
 * The first cache of thread_heaps_: of the words that lead to caches the one to which no other
 * comes before. next_memory_steal_ leads to one in the list's midst, the list of free structs to
 * one that is no more. While there is one cache alone, thread_heap_count_ before the word tells.
 */
static uint64_t first_cache(struct gperftools_walk *w, struct thread_cache *cache)
{
	struct heap *heap = w->heap;
	uint64_t first = 0, words[2]; /* the count, and the pointer behind it */

	for (unsigned i = 0; i < heap->thread_word_cnt; i++) {
		const struct gperftools_row *row;

		if (window_peek(w->mem, heap->threads[i] - 8, words, sizeof(words)) != 0 ||
		    !read_cache(w, words[1], cache))
			continue;
		row = find_row(w, words[1], cache);
		if (row) {
			heap->row = row;
			return words[1];
		}
		if (!first || words[0] == 1)
			first = words[1];
	}
	return first && read_cache(w, first, cache) ? first : 0;
}

static void count_threads(struct gperftools_walk *w)
{
	struct thread_cache cache;
	uint64_t addr = first_cache(w, &cache);

	w->out->estimate |= !addr;
	for (unsigned i = 0; addr && i < CACHES_MAX; i++) {
		count_cache(w, addr, &cache);
		addr = w->heap->row ? word_at(&cache, w->heap->row->next) : 0;
		if (addr && !read_cache(w, addr, &cache)) {
			/* Its thread has ended just now, and those behind it in the list cannot be reached.
			 */
			w->out->retries++;
			w->out->estimate = true;
			break;
		}
	}
}

static bool scan_for_threads(const char *bytes, size_t len, uint64_t addr, void *arg)
{
	struct gperftools_walk *w = arg;
	struct thread_cache cache;
	struct heap *heap = w->heap;

	for (size_t off = 0; off + 8 <= len && heap->thread_word_cnt < THREAD_WORDS_MAX; off += 8) {
		uint64_t word, at = addr + off;

		memcpy(&word, bytes + off, sizeof(word));
		if (!word || (at >= heap->root && at < heap->root + (8ULL << heap->tree.bits[0])) ||
		    (heap->thread_word_cnt && heap->threads[heap->thread_word_cnt - 1] >= at) ||
		    !read_cache(w, word, &cache))
			continue;
		heap->threads[heap->thread_word_cnt++] = at;
	}
	return false;
}

static bool read_central(struct gperftools_walk *w, uint64_t base, uint64_t step, unsigned class,
			 struct central_list *list)
{
	return window_peek(w->mem, base + class * step, list, sizeof(*list)) == 0 && list->class == class &&
	       list->used_slots >= 0 && list->used_slots <= SLOTS_MAX && list->slots <= SLOTS_MAX;
}

static bool scan_for_central(const char *bytes, size_t len, uint64_t addr, void *arg)
{
	static const uint16_t steps[] = {1216, 1168, 1184, 1200, 1280};
	struct gperftools_walk *w = arg;
	struct central_list list;

	for (size_t off = 8; off + 8 <= len; off += 8) {
		uint64_t class;

		memcpy(&class, bytes + off, sizeof(class));
		for (size_t i = 0; class == 1 && i < sizeof(steps) / sizeof(*steps); i++) {
			uint64_t base = addr + off - 8 - steps[i];
			unsigned c = 1;

			while (c < CLASS_MAX && w->sizes.size[c] && read_central(w, base, steps[i], c, &list))
				c++;
			if (c < CLASS_MAX && w->sizes.size[c])
				continue;
			w->heap->central = base;
			w->heap->central_step = steps[i];
			return true;
		}
	}
	return false;
}

/* Transfer slots: lists of as many objects as are moved at once. */
static void count_central(struct gperftools_walk *w, unsigned class)
{
	struct central_list list;

	if (!read_central(w, w->heap->central, w->heap->central_step, class, &list)) {
		w->out->estimate = true;
		return;
	}
	for (int32_t i = 0; i < list.used_slots; i++)
		take(w, class, (uint64_t)w->sizes.move[class], list.slot[i].head, &w->f->bins,
		     &w->f->pinned.partial);
}

void gperftools_count_caches(struct gperftools_walk *w)
{
	struct heap *heap = w->heap;

	if (!heap->thread_word_cnt)
		data_scan(w->mem, heap->data, scan_for_threads, w);
	count_threads(w);
	if (!heap->central && !data_scan(w->mem, heap->data, scan_for_central, w))
		w->out->estimate = true;
	for (unsigned i = 1; i < CLASS_MAX && w->sizes.size[i]; i++) {
		if (heap->central)
			count_central(w, i);
		heap_blocks_add(&w->f->live, &w->used[i]);
		heap_blocks_add(&w->out->live_step[size_step((uint64_t)w->sizes.size[i])], &w->used[i]);
	}
}
