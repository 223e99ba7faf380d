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
 *
 * Answering must not disturb the heap: static buffers, raw reads and writes, no stdio.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif
#define PAGE 4096UL
#define THREAD_MAX 64
#define BLOCK_MAX (8UL << 20)

enum how { MALLOC, CALLOC_UNTOUCHED, GROWN, ALIGNED };

/* Request sizes are drawn evenly over the powers of two between min and max. */
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

struct block {
	char *ptr; /* NULL once freed */
	uint32_t size;
	bool checked; /* its contents are as fill_contents left them */
};

/* A thread's blocks, in a mapping of their own: the table must not be on the heap that it describes. */
struct holder {
	pthread_t thread;
	struct block *blocks;
	size_t cnt;
	uint64_t rng;
};

/* What the holders are to do next; the barriers around it order the accesses. */
struct job {
	const struct pattern *pattern; /* NULL: only free */
	size_t bytes, clump;
	unsigned free_pct;
	uint64_t seed;
};

static struct holder holders[THREAD_MAX]; /* [0] is the main thread's */
static unsigned worker_cnt;
static struct job job;
static pthread_barrier_t job_start, job_end;
static int rollup_fd;
static char *words; /* of the command line, from the next one on */

static uint64_t rng_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static size_t draw_size(uint64_t *rng, size_t min, size_t max)
{
	size_t low = min;

	while (low * 2 <= max && rng_next(rng) % 3)
		low *= 2;
	size_t high = low * 2 < max ? low * 2 : max;
	return low + rng_next(rng) % (high - low + 1);
}

static uint64_t stamp(const struct block *b)
{
	return (uintptr_t)b->ptr * 0x9e3779b97f4a7c15u ^ b->size;
}

static void fill_contents(struct block *b)
{
	uint64_t s = stamp(b);

	memset(b->ptr, 0xa5, b->size);
	if (b->size >= 16) {
		memcpy(b->ptr, &s, 8);
		memcpy(b->ptr + b->size - 8, &s, 8);
	}
	b->checked = true;
}

static bool contents_intact(const struct block *b)
{
	uint64_t s = stamp(b);

	return !b->checked || b->size < 16 ||
	       (!memcmp(b->ptr, &s, 8) && !memcmp(b->ptr + b->size - 8, &s, 8) &&
		(b->size < 32 || b->ptr[b->size / 2] == (char)0xa5));
}

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

static void holder_work(struct holder *h)
{
	h->rng = job.seed * 2654435761u + (uint64_t)(h - holders) * 97 + 88172645463325252u;
	if (job.pattern)
		holder_fill(h);
	if (job.free_pct)
		holder_drop(h);
}

static void holder_init(struct holder *h)
{
	h->blocks = mmap(NULL, BLOCK_MAX * sizeof(*h->blocks), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (h->blocks == MAP_FAILED)
		abort();
	free(malloc(1000)); /* the thread's arena and tcache come with its first block: have them now */
}

static void *worker(void *arg)
{
	struct holder *h = arg;

	holder_init(h);
	pthread_barrier_wait(&job_end);
	for (;;) {
		pthread_barrier_wait(&job_start);
		holder_work(h);
		pthread_barrier_wait(&job_end);
	}
	return NULL;
}

/* The next number of the command line; 0 if there is none. */
static size_t number(void)
{
	char *word = strsep(&words, " ");

	return word ? strtoull(word, NULL, 10) : 0;
}

static void start_workers(void)
{
	unsigned cnt = number();

	if (worker_cnt || !cnt || cnt >= THREAD_MAX)
		abort();
	worker_cnt = cnt;
	pthread_barrier_init(&job_start, NULL, cnt + 1);
	pthread_barrier_init(&job_end, NULL, cnt + 1);
	for (unsigned i = 1; i <= cnt; i++)
		if (pthread_create(&holders[i].thread, NULL, worker, &holders[i]))
			abort();
	pthread_barrier_wait(&job_end);
}

static void run_job(void)
{
	if (!worker_cnt) {
		holder_work(&holders[0]);
		return;
	}
	pthread_barrier_wait(&job_start);
	pthread_barrier_wait(&job_end);
}

/* One answer: {"name": value, …} and a newline, built in place. */
static char answer[1024];
static size_t answer_len;

static void answer_field(const char *name, uint64_t value)
{
	char digits[24];
	size_t n = 0;

	answer[answer_len] = answer_len ? ',' : '{';
	answer_len++;
	answer[answer_len++] = '"';
	answer_len += strlen(strcpy(answer + answer_len, name));
	answer[answer_len++] = '"';
	answer[answer_len++] = ':';
	do {
		digits[n++] = '0' + value % 10;
	} while (value /= 10);
	while (n)
		answer[answer_len++] = digits[--n];
}

static void answer_send(void)
{
	if (!answer_len)
		answer_field("ok", 1);
	answer[answer_len++] = '}';
	answer[answer_len++] = '\n';
	if (write(1, answer, answer_len) != (ssize_t)answer_len)
		_exit(1);
	answer_len = 0;
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
	uint64_t broken = 0;

	for (unsigned t = 0; t <= worker_cnt; t++)
		for (size_t i = 0; i < holders[t].cnt; i++)
			broken += holders[t].blocks[i].ptr && !contents_intact(&holders[t].blocks[i]);
	answer_field("broken", broken);
}

/* smaps_rollup counts pages; statm may lag behind by per-CPU batches. */
static uint64_t rss(void)
{
	static char text[4096];
	ssize_t len = pread(rollup_fd, text, sizeof(text) - 1, 0);
	const char *line;

	if (len <= 0)
		abort();
	text[len] = '\0';
	line = strstr(text, "\nRss:");
	return line ? strtoull(line + 5, NULL, 10) * 1024 : 0;
}

static void trim(void)
{
	uint64_t before = rss();
	int result = malloc_trim(0);
	uint64_t after = rss();

	answer_field("before", before);
	answer_field("after", after);
	answer_field("returned", before > after ? before - after : 0);
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

static const struct command {
	const char *name;
	void (*run)(void);
} commands[] = {
	{ "threads", start_workers },
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
};

static void obey(char *line)
{
	const char *name;

	words = line;
	name = strsep(&words, " ");
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (!strcmp(commands[i].name, name)) {
			commands[i].run();
			answer_send();
			return;
		}
	_exit(1);
}

int main(void)
{
	static char line[256];
	size_t len = 0;

	rollup_fd = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
	holder_init(&holders[0]);
	warm_up();
	answer_field("pid", getpid());
	answer_send();
	while (len < sizeof(line) && read(0, line + len, 1) == 1) {
		if (line[len++] != '\n')
			continue;
		line[len - 1] = '\0';
		len = 0;
		obey(line);
	}
	return 0;
}
