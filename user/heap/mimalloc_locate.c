/*
 * Finds mimalloc in the writable data of some object, without symbols: by its table of options,
 * whose entries number themselves, and by the main thread's heap, whose queues of pages are for
 * sizes that no one else counts by. Which version it is shows in the heap's fields around them,
 * and in the first segment or arena that they lead to.
 */
#include <errno.h>
#include <string.h>

#include "heap/mimalloc_heap.h"

#define OPTION_SIZE 32 /* mi_option_desc_t in src/options.c: value, init, option, name, legacy_name */
#define OPTION_NAME_MAX 32

/* MI_PAGE_QUEUES_EMPTY in src/init.c: block sizes of the queues, in words. */
static const uint8_t queue_words[MI_QUEUES_CHECKED] = {1, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28};

/* Names of options since 2.0.9, with their index there where the names are not in RAM. */
static const struct {
	const char *name;
	enum mi_option option;
} option_names[] = {
	{"decommit_delay", MI_PURGE_DELAY},
	{"purge_delay", MI_PURGE_DELAY},
	{"purge_decommits", MI_PURGE_DECOMMITS},
	{"allow_decommit", MI_ALLOW_DECOMMIT},
	{"segment_decommit_delay", MI_SEGMENT_DELAY},
	{"arena_purge_mult", MI_ARENA_MULT},
	{"minimal_purge_size", MI_MINIMAL_PURGE},
	{"arena_purge_min_size", MI_MINIMAL_PURGE},
	{"allow_thp", MI_ALLOW_THP},
};

/* ---- the options ---- */

static bool is_option(const char *at, uint32_t index)
{
	uint64_t name = mi_word(at + 16);

	return mi_half(at + 12) == index && mi_half(at + 8) <= 2 && name >= TARGET_PAGE_SIZE &&
	       name < ADDRESS_END;
}

static uint32_t count_options(const char *at, size_t len)
{
	uint32_t cnt = 0;

	while (cnt < MI_OPTIONS_MAX && (cnt + 1) * OPTION_SIZE <= len &&
	       is_option(at + cnt * OPTION_SIZE, cnt))
		cnt++;
	return cnt;
}

static void name_option(struct heap *heap, struct memory *mem, uint64_t name, uint32_t index)
{
	char text[OPTION_NAME_MAX] = "";
	uint64_t room = TARGET_PAGE_SIZE - (name & (TARGET_PAGE_SIZE - 1));

	/* The text may end with its page. */
	if (window_peek(mem, name, text, room < sizeof(text) - 1 ? room : sizeof(text) - 1) != 0)
		return;
	for (size_t i = 0; i < sizeof(option_names) / sizeof(option_names[0]); i++)
		if (!strcmp(text, option_names[i].name))
			heap->option[option_names[i].option] = (uint8_t)index;
}

struct option_scan {
	struct memory *mem;
	struct heap *heap;
};

static bool scan_for_options(const char *bytes, size_t len, uint64_t addr, void *arg)
{
	struct option_scan *s = arg;

	for (size_t off = 0; off + MI_OPTIONS_MIN * OPTION_SIZE <= len; off += 8) {
		uint32_t cnt;

		if (!is_option(bytes + off, 0) || !is_option(bytes + off + OPTION_SIZE, 1))
			continue;
		cnt = count_options(bytes + off, len - off);
		if (cnt < MI_OPTIONS_MIN)
			continue;
		s->heap->options = addr + off;
		for (uint32_t i = 0; i < cnt; i++)
			name_option(s->heap, s->mem, mi_word(bytes + off + i * OPTION_SIZE + 16), i);
		return true;
	}
	return false;
}

void mi_read_options(const struct heap *heap, struct memory *mem, struct mi_options *options)
{
	/* As they are unless somebody has changed them, where they cannot be read. */
	*options = (struct mi_options){.v = {
					       [MI_PURGE_DELAY] = 10,
					       [MI_PURGE_DECOMMITS] = 1,
					       [MI_ALLOW_DECOMMIT] = 1,
					       [MI_SEGMENT_DELAY] = 500,
					       [MI_ARENA_MULT] = 10,
				       }};
	for (size_t i = 0; i < MI_OPTION_CNT; i++) {
		int64_t value;

		if (heap->option[i] && window_peek(mem, heap->options + heap->option[i] * OPTION_SIZE, &value,
						   sizeof(value)) == 0)
			options->v[i] = value;
	}
}

/* ---- the main thread's heap ---- */

struct heap_scan {
	struct memory *mem;
	struct heap *heap;
	const struct mi_row *row;
};

bool mi_are_queues(const char *at, const struct mi_heap_layout *l)
{
	for (unsigned i = 0; i < MI_QUEUES_CHECKED; i++)
		if (mi_word(at + i * l->queue_size + l->queue_block) != 8ULL * queue_words[i])
			return false;
	return true;
}

static bool in_data(const struct heap_scan *s, uint64_t addr)
{
	return addr >= s->heap->data.start && addr < s->heap->data.end;
}

/*
 * Whether a heap of the row has these queues, and is the first one of the main thread: its thread's
 * data are the object's, as itself is, and (2.x) it is the first heap of that thread or (3.2 and
 * later) part of the first heap.
 */
static bool is_heap(const struct heap_scan *s, uint64_t addr)
{
	const struct mi_heap_layout *l = s->row->heap;
	uint64_t tld, thread, first;

	if (window_peek(s->mem, addr + l->tld, &tld, sizeof(tld)) != 0 || !in_data(s, tld) ||
	    window_peek(s->mem, l->thread ? addr + l->thread : tld + l->tld_thread, &thread,
			sizeof(thread)) != 0 ||
	    thread < TARGET_PAGE_SIZE || thread >= ADDRESS_END)
		return false;
	if (l->owner)
		return window_peek(s->mem, addr + l->owner, &first, sizeof(first)) == 0 && in_data(s, first);
	return window_peek(s->mem, tld + l->tld_backing, &first, sizeof(first)) == 0 && first == addr;
}

static bool scan_for_heap(const char *bytes, size_t len, uint64_t addr, void *arg)
{
	struct heap_scan *s = arg;
	const struct mi_heap_layout *l = s->row->heap;

	for (size_t off = 0; off + MI_QUEUES_CHECKED * l->queue_size <= len; off += 8) {
		if (!mi_are_queues(bytes + off, l) || addr + off < l->queues ||
		    !is_heap(s, addr + off - l->queues))
			continue;
		s->heap->main_heap = addr + off - l->queues;
		return true;
	}
	return false;
}

/* Whether the row's first heap is there, and something that it has allocated looks as the row says. */
static bool try_row(struct memory *mem, const struct maps *maps, struct heap *heap, const struct mi_row *row)
{
	struct heap_scan s = {.mem = mem, .heap = heap, .row = row};

	if (!data_scan(mem, heap->data, scan_for_heap, &s))
		return false;
	if (window_peek(mem, heap->main_heap + row->heap->cookie, &heap->cookie, sizeof(heap->cookie)) != 0)
		return false;
	heap->row = row;
	return row->slices ? mi_has_slices(mem, heap) : mi_has_segments(mem, maps, heap);
}

int mi_locate(struct memory *mem, const struct maps *maps, struct heap *heap)
{
	for (size_t i = 0; i < maps->cnt; i++) {
		struct option_scan s = {mem, heap};

		*heap = (struct heap){.row = NULL};
		if (!data_range_of(maps, i, &heap->data) || !data_scan(mem, heap->data, scan_for_options, &s))
			continue;
		for (size_t r = 0; r < mi_row_cnt; r++)
			if (try_row(mem, maps, heap, &mi_rows[r]))
				return 0;
	}
	return -ENOENT;
}
