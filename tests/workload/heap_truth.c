/*
 * A target that knows the truth about its own heap. It fills heaps in seeded patterns, on
 * the main thread or on workers with arenas of their own, and says what mallinfo2 says,
 * what it holds itself, and what malloc_trim(0) took off its RSS.
 *
 * One command a line on stdin, one line of JSON each on stdout:
 *
 *   threads N                              workers that the next fills run on
 *   fill PATTERN BYTES FREE% CLUMP SEED    in each thread; frees clumps of CLUMP neighbours
 *   drop FREE% CLUMP SEED                  frees some more
 *   foreign BYTES | block                  sbrk behind malloc's back; map a page behind the break
 *   top BYTES                              a block that leaves so many bytes of the main top beyond whole pages
 *   discard | pageout | fork               MADV_DONTNEED inside live blocks; MADV_PAGEOUT half of them; a child
 *   truth | verify | trim | quit
 */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>

#include "answers.h"
#include "known_blocks.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif
#define PAGE 4096UL

enum how { MALLOC, CALLOC_UNTOUCHED, GROWN, ALIGNED };

static const struct pattern {
	const char *name;
	size_t min, max;
	enum how how;
} patterns[] = {
	{ "small", 1, 500, MALLOC },
	{ "kb", 700, 1400, MALLOC },
	{ "mixed", 16, 60000, MALLOC },
	{ "fast", 1, 104, MALLOC },
	{ "big", 60000, 120000, MALLOC },
	{ "mmapped", 200000, 3000000, MALLOC },
	{ "untouched", 20000, 120000, CALLOC_UNTOUCHED },
	{ "grown", 100, 100000, GROWN },
	{ "aligned", 16, 20000, ALIGNED },
	{ "all-sizes", 16, 2000000, MALLOC },
	{ "grown-mmapped", 200000, 3000000, GROWN },
	{ "aligned-mmapped", 200000, 3000000, ALIGNED },
};

/* What the holders are to do next. */
struct job {
	const struct pattern *pattern; /* NULL: only free */
	size_t bytes, clump;
	unsigned free_pct;
	uint64_t seed;
};

static struct job job;

static void allocate(struct block *b, const struct pattern *p, uint64_t *rng)
{
	b->size = draw_size(rng, p->min, p->max);
	b->checked = false;
	switch (p->how) {
	case MALLOC:
		b->ptr = malloc(b->size);
		break;
	case CALLOC_UNTOUCHED:
		b->ptr = calloc(1, b->size);
		return;
	case GROWN:
		b->ptr = malloc(b->size / 3 + 1);
		b->ptr = realloc(b->ptr, b->size / 2 + 1);
		b->ptr = realloc(b->ptr, b->size);
		break;
	case ALIGNED:
		b->ptr = memalign(32UL << rng_next(rng) % 12, b->size);
		break;
	}
	if (!b->ptr)
		abort();
	fill_contents(b);
}

static void holder_fill(struct holder *h)
{
	for (size_t held = 0; held < job.bytes && h->cnt < BLOCK_MAX; h->cnt++) {
		allocate(&h->blocks[h->cnt], job.pattern, &h->rng);
		held += h->blocks[h->cnt].size;
	}
}

/* Odd clumps forward, even ones backward: lists in both orders. */
static void holder_drop(struct holder *h)
{
	for (size_t at = 0; at < h->cnt; at += job.clump) {
		size_t len = h->cnt - at < job.clump ? h->cnt - at : job.clump;

		if (rng_next(&h->rng) % 100 >= job.free_pct)
			continue;
		for (size_t i = 0; i < len; i++) {
			struct block *b = &h->blocks[at / job.clump & 1 ? at + i : at + len - 1 - i];

			free(b->ptr);
			b->ptr = NULL;
		}
	}
}

static bool holder_work(struct holder *h)
{
	holder_seed(h, job.seed);
	if (job.pattern)
		holder_fill(h);
	if (job.free_pct)
		holder_drop(h);
	return true;
}

static void threads(void)
{
	start_workers(number());
}

#if __GLIBC_PREREQ(2, 33)
#define MALLINFO mallinfo2
#else
#define MALLINFO mallinfo
#endif

static void answer_mallinfo(void)
{
	struct MALLINFO m = MALLINFO();

#define WORD(field) answer_field(#field, sizeof(m.field) == 4 ? (unsigned int)m.field : m.field)
	WORD(arena);
	WORD(uordblks);
	WORD(fordblks);
	WORD(fsmblks);
	WORD(smblks);
	WORD(hblks);
	WORD(hblkhd);
	WORD(keepcost);
#undef WORD
}

/* A chunk's second header bit says that it has a mapping of its own (glibc malloc/malloc.c, IS_MMAPPED). */
static bool block_is_mmapped(const struct block *b)
{
	return ((const size_t *)b->ptr)[-1] & 2;
}

static void answer_own(void)
{
	uint64_t cnt = 0, bytes = 0, mmapped_cnt = 0;

	for (unsigned t = 0; t <= worker_cnt; t++)
		for (size_t i = 0; i < holders[t].cnt; i++) {
			const struct block *b = &holders[t].blocks[i];

			if (!b->ptr)
				continue;
			if (block_is_mmapped(b)) {
				mmapped_cnt++;
			} else {
				cnt++;
				bytes += malloc_usable_size(b->ptr) + sizeof(size_t); /* its chunk */
			}
		}
	answer_field("own_blocks", cnt);
	answer_field("own_bytes", bytes);
	answer_field("own_mmapped", mmapped_cnt);
}

static void verify(void)
{
	answer_field("broken", broken_blocks(worker_cnt));
}

static void trim(void)
{
	uint64_t before = rss();
	int result = malloc_trim(0);

	answer_drop(before);
	answer_field("result", result);
}

/* The first trim faults in its own code: have that behind us. */
static void warm_up(void)
{
	void *blocks[16];

	for (int i = 0; i < 16; i++)
		memset(blocks[i] = malloc(100000), 1, 100000);
	for (int i = 0; i < 16; i++)
		free(blocks[i]);
	trim();
	answer_mallinfo();
	answer_len = 0;
}

static void foreign(void)
{
	size_t bytes = number();
	char *p = sbrk(bytes);

	if (p == (char *)-1)
		abort();
	memset(p, 0x5a, bytes);
}

static void block_break(void)
{
	uintptr_t page = ((uintptr_t)sbrk(0) + PAGE - 1) & ~(PAGE - 1);

	if (mmap((void *)page, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED)
		abort();
}

/* From a heap whose free memory is all top: the bins must have nothing to offer. */
static void shorten_top(void)
{
	size_t rest = number();
	struct block *b = &holders[0].blocks[holders[0].cnt++];
	size_t chunk = ((size_t)MALLINFO().keepcost - rest) % PAGE;

	b->size = (chunk < 4 * sizeof(size_t) ? chunk + PAGE : chunk) - sizeof(size_t);
	b->ptr = malloc(b->size);
	fill_contents(b);
}

static void discard(void)
{
	for (unsigned t = 0; t <= worker_cnt; t++)
		for (size_t i = 0; i < holders[t].cnt; i++) {
			struct block *b = &holders[t].blocks[i];
			uintptr_t from = ((uintptr_t)b->ptr + PAGE - 1) & ~(PAGE - 1);
			uintptr_t to = ((uintptr_t)b->ptr + b->size) & ~(PAGE - 1);

			if (!b->ptr || to <= from)
				continue;
			b->checked = false;
			madvise((void *)from, to - from, MADV_DONTNEED);
		}
}

/* What lies between a thread's first block and its middle one, headers and free chunks included. */
static void pageout(void)
{
	for (unsigned t = 0; t <= worker_cnt; t++) {
		const struct block *first = holders[t].blocks, *last = first + holders[t].cnt, *mid;
		uintptr_t from, to;

		while (first < last && !first->ptr)
			first++;
		for (mid = first + (last - first) / 2; mid < last && !mid->ptr; mid++)
			;
		if (mid >= last)
			continue;
		from = (uintptr_t)first->ptr & ~(PAGE - 1);
		to = (uintptr_t)mid->ptr & ~(PAGE - 1);
		if (to > from && madvise((void *)from, to - from, MADV_PAGEOUT))
			answer_field("errno", errno);
	}
}

static void fork_child(void)
{
	pid_t child = fork();

	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	answer_field("child", child);
}

static const struct pattern *pattern_find(const char *name)
{
	for (size_t i = 0; i < sizeof(patterns) / sizeof(*patterns); i++)
		if (!strcmp(patterns[i].name, name))
			return &patterns[i];
	abort();
}

static void fill(void)
{
	job.pattern = pattern_find(strsep(&words, " "));
	job.bytes = number();
	job.free_pct = number();
	job.clump = number();
	job.seed = number();
	run_job();
}

static void drop(void)
{
	job.pattern = NULL;
	job.free_pct = number();
	job.clump = number();
	job.seed = number();
	run_job();
}

static void truth(void)
{
	answer_mallinfo();
	answer_own();
}

static void quit(void)
{
	_exit(0);
}

static const struct command commands[] = {
	{ "threads", threads },
	{ "fill", fill },
	{ "drop", drop },
	{ "foreign", foreign },
	{ "block", block_break },
	{ "top", shorten_top },
	{ "discard", discard },
	{ "pageout", pageout },
	{ "fork", fork_child },
	{ "truth", truth },
	{ "verify", verify },
	{ "trim", trim },
	{ "quit", quit },
	{ NULL, NULL },
};

int main(void)
{
	holder_init(&holders[0]);
	warm_up();
	obey(commands);
	return 0;
}
