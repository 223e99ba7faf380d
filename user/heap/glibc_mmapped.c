/*
 * Blocks with a mapping of their own: a page that begins with prev_size 0 and a size of whole
 * pages marked IS_MMAPPED. Neighbours share a VMA, so the search hops from block to block.
 * mp_ counts them too, and has the last word.
 */
#include "heap/glibc_heap.h"
#include "heap/glibc_pages.h"

#define MMAP_HP 1ULL /* in prev_size, 2.43: made of huge pages */
#define MMAPPED_TRIES 3

struct found {
	struct heap_blocks blocks;
	struct heap_figures f; /* resident, swapped and shared */
	struct heap_blocks step[STEP_CNT];
};

/* Bytes of the mapping that begins with these words; 0 if it is no mmapped block's. */
static uint64_t block_size(const struct glibc_walk *w, const uint64_t words[2])
{
	uint64_t size = words[1] & ~CHUNK_FLAGS;

	if ((words[1] & CHUNK_FLAGS) != CHUNK_IS_MMAPPED || words[0] & ~MMAP_HP)
		return 0;
	/* 2.43: the size of the usable part, mmap_set_chunk() in malloc/malloc.c. */
	if (!w->heap->row->fastbins)
		size += 2 * sizeof(uint64_t);
	return size >= TARGET_PAGE_SIZE && size % TARGET_PAGE_SIZE == 0 ? size : 0;
}

static void search(struct glibc_walk *w, const struct maps *maps, struct found *found)
{
	struct page_heads heads;
	uint64_t addr, words[2];

	*found = (struct found){0};
	if (w->pages)
		w->pages->mmapped_cnt = 0;
	glibc_heads_init(&heads, w->mem, maps);
	w->win.limit = UINT64_MAX;
	window_drop(&w->win);
	while (found->blocks.cnt < w->params.n_mmaps && glibc_heads_next(&heads, &addr, words)) {
		uint64_t size = block_size(w, words);

		if (!size || size > heads.mapping->end - addr)
			continue;
		blocks_add(&found->blocks, size);
		blocks_add(&found->step[size_step(size)], size);
		tally_range(&w->win, addr, addr + size, &found->f);
		if (w->pages)
			heap_pages_add_mmapped(w->pages, addr + 16, size);
		glibc_heads_skip(&heads, addr + size);
	}
}

/* From 2.43 on mremap_chunk() loses a few bytes of mmapped_mem at every move: the number has to do. */
static bool agrees(const struct glibc_walk *w, const struct found *found)
{
	return found->blocks.cnt == w->params.n_mmaps &&
	       (found->blocks.bytes == w->params.mmapped_mem || !w->heap->row->fastbins);
}

void glibc_count_mmapped(struct glibc_walk *w, const struct maps *maps, struct heap_walk *walk)
{
	struct maps fresh = {0};
	struct found found;

	if (w->pages)
		w->pages->mmapped_sure = !w->params.n_mmaps;
	if (!w->params.n_mmaps)
		return;
	search(w, maps, &found);
	for (unsigned try = 1; try < MMAPPED_TRIES && !agrees(w, &found); try++) {
		/* Mapped or unmapped meanwhile. */
		maps_free(&fresh);
		if (glibc_read_params(w->heap, w->mem, &w->params) != 0 ||
		    memory_maps(w->mem, &fresh, NULL) != 0)
			break;
		walk->retries++;
		search(w, &fresh, &found);
	}
	maps_free(&fresh);
	/* A block whose first page is swapped out cannot be seen; mp_ knows of it. */
	if (!agrees(w, &found))
		walk->estimate = true;
	else if (w->pages)
		w->pages->mmapped_sure = true;
	walk->mmapped = (struct heap_blocks){w->params.n_mmaps, w->params.mmapped_mem};
	walk->mmapped_resident = found.f.resident;
	walk->total.swapped += found.f.swapped;
	walk->total.shared += found.f.shared;
	for (size_t i = 0; i < STEP_CNT; i++)
		heap_blocks_add(&walk->live_step[i], &found.step[i]);
}
