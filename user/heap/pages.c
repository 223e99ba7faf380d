#include "heap/pages.h"

#include <stdlib.h>
#include <string.h>

#include "base/search.h"

#define PAGE 4096ULL
#define REGION_SHIFT 21
#define UNIT 16 /* every block begins at a multiple of it */
#define EXTENT_MAX (1ULL << 40)

void heap_pages_free(struct heap_pages *p)
{
	for (size_t i = 0; i < p->extent_cnt; i++)
		free(p->extents[i].bits);
	free(p->v);
	map_free(&p->regions);
	free(p->extents);
	free(p->mmapped);
	block_sample_free(&p->sample);
	memset(p, 0, sizeof(*p));
}

/* Room for one more element; false: there is none. */
static bool grow(void **v, size_t *cap, size_t cnt, size_t size)
{
	size_t wanted = *cap ? *cap * 2 : 64;
	void *grown;

	if (cnt < *cap)
		return true;
	grown = realloc(*v, wanted * size);
	if (!grown)
		return false;
	*v = grown;
	*cap = wanted;
	return true;
}

void heap_pages_add(struct heap_pages *p, const struct heap_page *page)
{
	if (grow((void **)&p->v, &p->cap, p->cnt, sizeof(*p->v)))
		p->v[p->cnt++] = *page;
}

void heap_pages_begin_extent(struct heap_pages *p, uint64_t start)
{
	if (!grow((void **)&p->extents, &p->extent_cap, p->extent_cnt, sizeof(*p->extents)))
		return;
	p->extents[p->extent_cnt++] = (struct heap_extent){.start = start, .end = start, .sure = true};
}

static struct heap_extent *newest(struct heap_pages *p)
{
	return p->extent_cnt ? &p->extents[p->extent_cnt - 1] : NULL;
}

static size_t words_for(uint64_t bytes)
{
	return (size_t)(bytes / UNIT / 64 + 1);
}

/* Room for bits up to end, all clear behind what there was. */
static bool stretch(struct heap_extent *e, uint64_t end)
{
	size_t had = e->bits ? words_for(e->end - e->start) : 0, need = words_for(end - e->start);
	size_t cap = had ? 1 : 0, want = 1;
	uint64_t *bits;

	if (need > had) {
		/* By powers of two, told by the length alone. */
		while (cap && cap < had)
			cap *= 2;
		while (want < need)
			want *= 2;
		if (want > cap) {
			bits = realloc(e->bits, want * sizeof(*bits));
			if (!bits)
				return false;
			e->bits = bits;
		}
		memset(e->bits + had, 0, (need - had) * sizeof(*e->bits));
	}
	e->end = end;
	return true;
}

void heap_pages_mark(struct heap_pages *p, uint64_t addr, uint64_t size)
{
	struct heap_extent *e = newest(p);
	uint64_t bit;

	if (!e || addr < e->start || addr - e->start > EXTENT_MAX)
		return;
	if (addr >= e->end && !stretch(e, addr + UNIT)) {
		e->sure = false;
		return;
	}
	bit = (addr - e->start) / UNIT;
	e->bits[bit / 64] |= 1ULL << bit % 64;
	if (size)
		block_sample_add(&p->sample, addr, size);
}

void heap_pages_cut(struct heap_pages *p, uint64_t end)
{
	struct heap_extent *e = newest(p);

	if (!e || end < e->start || end - e->start > EXTENT_MAX)
		return;
	if (end >= e->end) {
		if (!stretch(e, end))
			e->sure = false;
		return;
	}
	for (uint64_t bit = (end - e->start + UNIT - 1) / UNIT; bit < (e->end - e->start) / UNIT; bit++)
		e->bits[bit / 64] &= ~(1ULL << bit % 64);
}

void heap_pages_add_bare(struct heap_pages *p, uint64_t start, uint64_t end)
{
	heap_pages_begin_extent(p, start);
	if (newest(p) && newest(p)->start == start)
		newest(p)->end = end;
}

void heap_pages_doubt(struct heap_pages *p)
{
	struct heap_extent *e = newest(p);

	if (e)
		e->sure = false;
}

static uint64_t extent_start(const void *v, size_t i)
{
	return ((const struct heap_extent *)v)[i].start;
}

static const struct heap_extent *extent_of(const struct heap_pages *p, uint64_t addr)
{
	size_t i = p->finished ? search_upto(p->extents, p->extent_cnt, extent_start, addr) : 0;

	if (p->finished)
		return i && addr < p->extents[i - 1].end ? &p->extents[i - 1] : NULL;
	for (i = 0; i < p->extent_cnt; i++)
		if (addr >= p->extents[i].start && addr < p->extents[i].end)
			return &p->extents[i];
	return NULL;
}

void heap_pages_unmark(struct heap_pages *p, uint64_t addr)
{
	const struct heap_extent *e = extent_of(p, addr);
	uint64_t bit = e ? (addr - e->start) / UNIT : 0;

	if (e && e->bits)
		e->bits[bit / 64] &= ~(1ULL << bit % 64);
}

void heap_pages_add_mmapped(struct heap_pages *p, uint64_t addr, uint64_t size)
{
	block_sample_add(&p->sample, addr, size);
	if (grow((void **)&p->mmapped, &p->mmapped_cap, p->mmapped_cnt, sizeof(*p->mmapped)))
		p->mmapped[p->mmapped_cnt++] = addr;
}

void heap_pages_truncate(struct heap_pages *p, size_t page_cnt, size_t extent_cnt)
{
	if (page_cnt < p->cnt)
		p->cnt = page_cnt;
	while (p->extent_cnt > extent_cnt)
		free(p->extents[--p->extent_cnt].bits);
}

static int by_page(const void *x, const void *y)
{
	uint64_t a = ((const struct heap_page *)x)->addr, b = ((const struct heap_page *)y)->addr;

	return (a > b) - (a < b);
}

static int by_address(const void *x, const void *y)
{
	uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;

	return (a > b) - (a < b);
}

static int by_start(const void *x, const void *y)
{
	uint64_t a = ((const struct heap_extent *)x)->start, b = ((const struct heap_extent *)y)->start;

	return (a > b) - (a < b);
}

static bool is_in_use(const void *pages, uint64_t addr)
{
	return heap_pages_judge(pages, addr) == HEAP_IN_USE;
}

static uint64_t page_end(const struct heap_page *page)
{
	return page->addr + page->pages * PAGE;
}

void heap_pages_finish(struct heap_pages *p)
{
	if (p->cnt)
		qsort(p->v, p->cnt, sizeof(*p->v), by_page);
	if (p->mmapped_cnt)
		qsort(p->mmapped, p->mmapped_cnt, sizeof(*p->mmapped), by_address);
	if (p->extent_cnt)
		qsort(p->extents, p->extent_cnt, sizeof(*p->extents), by_start);
	p->finished = true;
	block_sample_finish(&p->sample, is_in_use, p);
	map_free(&p->regions);
	for (size_t i = 0; i < p->cnt; i++) {
		uint64_t region = p->v[i].addr >> REGION_SHIFT,
			 last = (page_end(&p->v[i]) - 1) >> REGION_SHIFT;

		/* One that the page before reaches into has its beginning. */
		if (i && (page_end(&p->v[i - 1]) - 1) >> REGION_SHIFT >= region)
			region = ((page_end(&p->v[i - 1]) - 1) >> REGION_SHIFT) + 1;
		for (; region <= last; region++)
			map_set(&p->regions, region, (void *)(i + 1)); /* NOLINT(performance-no-int-to-ptr) */
	}
}

static uint64_t page_addr(const void *v, size_t i)
{
	return ((const struct heap_page *)v)[i].addr;
}

const struct heap_page *heap_pages_find(const struct heap_pages *p, uint64_t addr)
{
	size_t first = (size_t)map_get(&p->regions, addr >> REGION_SHIFT), cnt;
	const struct heap_page *page;

	if (!first)
		return NULL;
	first--;
	/* At most a region's pages, and one that reaches into it. */
	cnt = (1 << REGION_SHIFT) / PAGE + 1;
	if (cnt > p->cnt - first)
		cnt = p->cnt - first;
	cnt = search_upto(p->v + first, cnt, page_addr, addr);
	page = cnt ? &p->v[first + cnt - 1] : NULL;
	return page && addr < page_end(page) ? page : NULL;
}

enum heap_verdict heap_pages_judge(const struct heap_pages *p, uint64_t addr)
{
	const struct heap_extent *e = extent_of(p, addr);
	uint64_t bit;

	if (!e) {
		if (p->mmapped_cnt &&
		    bsearch(&addr, p->mmapped, p->mmapped_cnt, sizeof(*p->mmapped), by_address))
			return HEAP_IN_USE;
		/* A block that is not where it was: unmapped, or its heap is gone. */
		return p->mmapped_sure ? HEAP_DEAD : HEAP_UNKNOWN;
	}
	bit = (addr - e->start) / UNIT;
	if (addr % UNIT || (e->bits && e->bits[bit / 64] >> bit % 64 & 1))
		return addr % UNIT ? HEAP_UNKNOWN : HEAP_IN_USE;
	return e->sure ? HEAP_DEAD : HEAP_UNKNOWN;
}
