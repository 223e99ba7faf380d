/*
 * What a chain of chunks amounts to, page by page: runs of adjacent free chunks are held
 * against what malloc_trim would do with them (mtrim, systrim and malloc_consolidate in
 * malloc/malloc.c), everything else only counts where it is resident.
 */
#include "heap/glibc_heap.h"

#define TRIM_HEADER 48 /* sizeof(struct malloc_chunk): mtrim keeps it */

/* Bytes of a run that are resident; those that a trim returns apart, and the shared ones of these. */
struct run_bytes {
	uint64_t resident, returned, returned_shared;
};

/* Counts page r->page, which may begin before the region and end behind `end`. */
static void count_page(struct glibc_runs *r, uint8_t state, uint64_t end)
{
	uint64_t start = r->page < r->floor ? r->floor : r->page, stop = r->page + TARGET_PAGE_SIZE;

	tally_page(&r->tally.f, state, (stop > end ? end : stop) - start);
	r->page += TARGET_PAGE_SIZE;
}

/* The pages of a run, counted as they are passed; a trim returns those in [low, high). */
static struct run_bytes measure(struct glibc_walk *w, struct glibc_runs *r, uint64_t start, uint64_t end,
				uint64_t low, uint64_t high)
{
	struct run_bytes sum = {0};

	while (r->page + TARGET_PAGE_SIZE <= start)
		count_page(r, window_state(&w->win, r->page), start);
	for (uint64_t page = align_down(start, TARGET_PAGE_SIZE); page < end; page += TARGET_PAGE_SIZE) {
		uint8_t state = window_state(&w->win, page);
		uint64_t from = page < start ? start : page;
		uint64_t to = page + TARGET_PAGE_SIZE > end ? end : page + TARGET_PAGE_SIZE;

		/* A page that ends behind the run is left to what follows. */
		if (page == r->page && page + TARGET_PAGE_SIZE <= end)
			count_page(r, state, end);
		if (!(state & PAGE_PRESENT))
			continue;
		sum.resident += to - from;
		if (page < low || page >= high)
			continue;
		sum.returned += TARGET_PAGE_SIZE;
		if (!(state & PAGE_EXCLUSIVE))
			sum.returned_shared += TARGET_PAGE_SIZE;
	}
	return sum;
}

static void note_purgeable(struct heap_figures *f, const struct run_bytes *sum, uint64_t *rest, uint64_t len)
{
	f->purgeable += sum->returned;
	f->purgeable_shared += sum->returned_shared;
	*rest += sum->resident - sum->returned;
	if (len > f->largest_free)
		f->largest_free = len;
}

/* The free bytes of a run that stay: those outside [low, high). */
static void note_free(struct glibc_walk *w, struct glibc_runs *r, uint64_t start, uint64_t end, uint64_t low,
		      uint64_t high)
{
	if (!w->pages)
		return;
	if (low >= high) {
		glibc_holders_free(w, &r->holders, &r->tally, start, end);
		return;
	}
	glibc_holders_free(w, &r->holders, &r->tally, start, low);
	glibc_holders_free(w, &r->holders, &r->tally, high, end);
}

/* mtrim: MADV_DONTNEED for the whole pages behind a free chunk's header. */
static void end_run(struct glibc_walk *w, struct glibc_runs *r)
{
	uint64_t start = r->run_start, end = r->run_end, low = 0, high = 0;
	struct run_bytes sum;

	r->run_start = r->run_end = 0;
	if (start == end)
		return;
	if (end - start > TARGET_PAGE_SIZE - 1 + TRIM_HEADER && !r->huge) {
		low = align_up(start + TRIM_HEADER, TARGET_PAGE_SIZE);
		high = align_down(end, TARGET_PAGE_SIZE);
	}
	sum = measure(w, r, start, end, low, high);
	note_purgeable(&r->tally.f, &sum, &r->tally.f.pinned.partial, end - start);
	note_free(w, r, start, end, low, high);
}

void glibc_runs_begin(struct glibc_runs *r, uint64_t floor, bool huge, const struct glibc_tally *tally)
{
	*r = (struct glibc_runs){
		.floor = floor,
		.huge = huge,
		.page = align_down(floor, TARGET_PAGE_SIZE),
		.tally = *tally,
	};
}

void glibc_runs_free(struct glibc_walk *w, struct glibc_runs *r, uint64_t chunk, uint64_t size, bool fast)
{
	blocks_add(fast ? &r->tally.f.fast : &r->tally.f.bins, size);
	blocks_add(&r->tally.free_class[size_class(size)], size);
	/* malloc_consolidate merges fast chunks with what is free around them; two binned ones stay two. */
	if (r->run_end != chunk || !(fast || r->run_fast)) {
		end_run(w, r);
		r->run_start = chunk;
	}
	r->run_end = chunk + size;
	r->run_fast = fast;
}

void glibc_runs_live(struct glibc_walk *w, struct glibc_runs *r, uint64_t chunk, uint64_t size)
{
	if (r->run_end)
		end_run(w, r);
	if (w->pages)
		glibc_holders_live(w, &r->holders, &r->tally, chunk, size);
	blocks_add(&r->tally.f.live, size);
	blocks_add(&r->tally.live_step[size_step(size)], size);
}

void glibc_runs_overhead(struct glibc_walk *w, struct glibc_runs *r, uint64_t start, uint64_t end)
{
	end_run(w, r);
	if (w->pages)
		glibc_holders_header(w, &r->holders, &r->tally, start, end);
	r->tally.f.overhead += end - start;
	r->tally.f.pinned.overhead += window_resident(&w->win, start, end);
}

/* systrim: the break goes down by whole pages (or huge ones), all but MINSIZE + 1 bytes of top. */
void glibc_runs_top(struct glibc_walk *w, struct glibc_runs *r, uint64_t top, uint64_t size, bool trimmed)
{
	uint64_t thp = w->params.thp_pagesize, unit = thp && !(thp & (thp - 1)) ? thp : TARGET_PAGE_SIZE;
	uint64_t start = top, end = top + size, low = end;
	struct run_bytes sum;

	/* Fast chunks before top become part of it, and so does what they have merged with. */
	if (r->run_end == top && r->run_fast)
		start = r->run_start;
	else
		end_run(w, r);
	if (trimmed && end - start > CHUNK_MIN + 1)
		low = end - align_down(end - start - CHUNK_MIN - 1, unit);
	sum = measure(w, r, start, end, low, end);
	note_purgeable(&r->tally.f, &sum, &r->tally.f.pinned.top, end - start);
	/* Of a top that no purge trims only the first page can have holders. */
	if (low == end)
		low = align_up(start, TARGET_PAGE_SIZE);
	note_free(w, r, start, end, low, end);
	r->tally.f.top += size;
	blocks_add(&r->tally.free_class[size_class(size)], size);
	r->run_start = r->run_end = 0;
}

void glibc_runs_end(struct glibc_walk *w, struct glibc_runs *r, uint64_t end)
{
	end_run(w, r);
	if (w->pages)
		glibc_holders_end(w, &r->holders, &r->tally);
	while (r->page < end)
		count_page(r, window_state(&w->win, r->page), end);
}
