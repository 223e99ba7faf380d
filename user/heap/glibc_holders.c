/*
 * Who holds which page: of each page that keeps free bytes from going back, how many chunks in
 * use lie on it. Fed in the order of addresses, a page is done when the walk has left it.
 */
#include "heap/glibc_heap.h"

/* A page that has been left: what it holds back is shared out by size of chunk. */
static void close_page(struct glibc_walk *w, struct glibc_holders *h, struct glibc_tally *t)
{
	const struct heap_page *page = &h->page;

	if (page->free && page->holders) {
		heap_pages_add(w->pages, page);
		h->page_cnt = w->pages->cnt;
		for (unsigned i = 0; i < page->holders; i++)
			blocks_add(&t->pinned_class[h->class[i]],
				   page->free / page->holders + (i ? 0 : page->free % page->holders));
	}
	h->page = (struct heap_page){.addr = 0};
}

static struct heap_page *turn_to(struct glibc_walk *w, struct glibc_holders *h, struct glibc_tally *t,
				 uint64_t addr)
{
	addr = align_down(addr, TARGET_PAGE_SIZE);
	if (h->page.addr != addr) {
		close_page(w, h, t);
		h->page = (struct heap_page){.addr = addr, .pages = 1};
	}
	return &h->page;
}

void glibc_holders_free(struct glibc_walk *w, struct glibc_holders *h, struct glibc_tally *t, uint64_t start,
			uint64_t end)
{
	while (start < end) {
		uint64_t stop = align_down(start, TARGET_PAGE_SIZE) + TARGET_PAGE_SIZE;
		struct heap_page *page = turn_to(w, h, t, start);

		if (stop > end)
			stop = end;
		if (window_state(&w->win, start) & PAGE_PRESENT)
			page->free += (uint32_t)(stop - start);
		start = stop;
	}
}

static void add_holder(struct glibc_walk *w, struct glibc_holders *h, struct glibc_tally *t, uint64_t addr,
		       uint64_t size)
{
	struct heap_page *page = turn_to(w, h, t, addr);

	if (page->holders < HOLDERS_MAX)
		h->class[page->holders++] = (uint8_t)size_class(size);
}

/* Between the first page and the last of a chunk there is nothing but it. */
void glibc_holders_live(struct glibc_walk *w, struct glibc_holders *h, struct glibc_tally *t, uint64_t chunk,
			uint64_t size)
{
	uint64_t last = chunk + size - 1;

	add_holder(w, h, t, chunk, size);
	if (align_down(last, TARGET_PAGE_SIZE) != align_down(chunk, TARGET_PAGE_SIZE))
		add_holder(w, h, t, last, size);
	heap_pages_mark(w->pages, chunk + 16, size);
}

void glibc_holders_header(struct glibc_walk *w, struct glibc_holders *h, struct glibc_tally *t,
			  uint64_t start, uint64_t end)
{
	turn_to(w, h, t, start)->headers = 1;
	if (align_down(end - 1, TARGET_PAGE_SIZE) != align_down(start, TARGET_PAGE_SIZE))
		turn_to(w, h, t, end - 1)->headers = 1;
}

void glibc_holders_end(struct glibc_walk *w, struct glibc_holders *h, struct glibc_tally *t)
{
	close_page(w, h, t);
}
