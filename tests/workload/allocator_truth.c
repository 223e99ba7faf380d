/*
 * A target that knows the truth about the heap of an allocator that is preloaded: what it
 * holds itself, what the allocator's own statistics say (jemalloc's mallctl, gperftools'
 * MallocExtension; mimalloc has none), and what that allocator's purge took off its RSS.
 *
 * One command a line on stdin, one line of JSON each on stdout:
 *
 *   threads N                              workers that the next fills run on
 *   fill PATTERN BYTES FREE% CLUMP SEED    in each thread; frees clumps of CLUMP neighbours
 *   drop FREE% CLUMP SEED                  frees some more
 *   drop-foreign FREE% CLUMP SEED          the main thread frees some of the workers' blocks
 *   end                                    the workers end, and leave their blocks behind
 *   flush                                  each thread gives its cache back
 *   churn SECONDS                          in each thread, frees and allocates; answers at once
 *   settle                                 lets some time pass: mimalloc puts off what it purges
 *   pageout                                MADV_PAGEOUT half of the blocks
 *   truth | verify | purge | quit
 *   purge-workers                          in each of them, none in the main thread
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "answers.h"
#include "known_blocks.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif
#define PAGE 4096UL

static const struct pattern {
	const char *name;
	size_t min, max;
	bool untouched, grown, aligned;
} patterns[] = {
	{ "tiny", 1, 64, false, false, false },
	{ "small", 1, 500, false, false, false },
	{ "kb", 700, 1400, false, false, false },
	{ "mixed", 16, 60000, false, false, false },
	{ "big", 60000, 120000, false, false, false },
	{ "large", 200000, 6000000, false, false, false },
	{ "huge", 17000000, 60000000, false, false, false },
	{ "untouched", 20000, 1200000, true, false, false },
	{ "vast", 600000000, 900000000, true, false, false },
	{ "grown", 100, 300000, false, true, false },
	{ "aligned", 16, 200000, false, false, true },
};

enum task { FILL, FLUSH, CHURN, PURGE, END };

/* What the holders are to do next. */
struct job {
	enum task task;
	const struct pattern *pattern; /* NULL: only free */
	size_t bytes, clump;
	unsigned free_pct;
	uint64_t seed;
};

static unsigned holder_cnt; /* threads that have blocks beside the main one, be they ended */
static struct job job;
static atomic_bool churning;

/* Whichever of them the preloaded allocator has. */
static int (*ctl)(const char *name, void *old, size_t *old_len, void *new, size_t new_len);
static int (*property)(const char *name, size_t *value);
static void (*release)(void), (*flush)(void), (*collect)(bool force);
static size_t (*usable)(void *ptr);

static void allocate(struct block *b, const struct pattern *p, uint64_t *rng)
{
	b->size = draw_size(rng, p->min, p->max);
	b->checked = false;
	if (p->untouched) {
		b->ptr = calloc(1, b->size);
		return;
	}
	if (p->aligned) {
		if (posix_memalign((void **)&b->ptr, 32UL << rng_next(rng) % 12, b->size))
			abort();
	} else {
		b->ptr = malloc(p->grown ? b->size / 3 + 1 : b->size);
	}
	if (p->grown)
		b->ptr = realloc(b->ptr, b->size);
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

static void holder_drop(struct holder *h)
{
	for (size_t at = 0; at < h->cnt; at += job.clump) {
		size_t len = h->cnt - at < job.clump ? h->cnt - at : job.clump;

		if (rng_next(&h->rng) % 100 >= job.free_pct)
			continue;
		for (size_t i = 0; i < len; i++) {
			free(h->blocks[at + i].ptr);
			h->blocks[at + i].ptr = NULL;
		}
	}
}

static void holder_churn(struct holder *h)
{
	static const struct pattern mixed = { "mixed", 16, 60000, false, false, false };

	while (churning)
		for (int i = 0; i < 100 && h->cnt; i++) {
			struct block *b = &h->blocks[rng_next(&h->rng) % h->cnt];

			free(b->ptr);
			b->ptr = NULL;
			if (rng_next(&h->rng) % 2)
				allocate(b, &mixed, &h->rng);
		}
}

static void flush_cache(void)
{
	if (ctl)
		ctl("thread.tcache.flush", NULL, NULL, NULL, 0);
	else if (flush)
		flush();
}

/* One thread at a time: mimalloc skips what another is at. */
static void purge_memory(void)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

	pthread_mutex_lock(&mutex);
	if (ctl)
		ctl("arena.4096.purge", NULL, NULL, NULL, 0);
	else if (collect)
		collect(true);
	else
		release();
	pthread_mutex_unlock(&mutex);
}

static bool holder_work(struct holder *h)
{
	holder_seed(h, job.seed);
	switch (job.task) {
	case FILL:
		if (job.pattern)
			holder_fill(h);
		if (job.free_pct)
			holder_drop(h);
		break;
	case FLUSH:
		flush_cache();
		break;
	case CHURN:
		holder_churn(h);
		break;
	case PURGE:
		purge_memory();
		break;
	case END:
		break;
	}
	return job.task != END;
}

static void threads(void)
{
	holder_cnt = number();
	start_workers(holder_cnt);
}

static void answer_ctl(const char *name)
{
	size_t value = 0, len = sizeof(value);

	if (!ctl(name, &value, &len, NULL, 0))
		answer_field(name, value);
}

/* All arenas together: index 4096. */
static void answer_jemalloc(void)
{
	uint64_t epoch = 1;
	size_t len = sizeof(epoch);

	ctl("epoch", &epoch, &len, &epoch, len);
	answer_ctl("stats.allocated");
	answer_ctl("stats.active");
	answer_ctl("stats.metadata");
	answer_ctl("stats.resident");
	answer_ctl("stats.mapped");
	answer_ctl("stats.retained");
	answer_ctl("stats.arenas.4096.base");
	answer_ctl("stats.arenas.4096.internal");
	answer_ctl("stats.arenas.4096.pactive");
	answer_ctl("stats.arenas.4096.pdirty");
	answer_ctl("stats.arenas.4096.pmuzzy");
	answer_ctl("stats.arenas.4096.tcache_bytes");
}

static void answer_gperftools(void)
{
	static const char *const names[] = {
		"generic.current_allocated_bytes",     "generic.heap_size",
		"tcmalloc.pageheap_free_bytes",        "tcmalloc.pageheap_unmapped_bytes",
		"tcmalloc.central_cache_free_bytes",   "tcmalloc.transfer_cache_free_bytes",
		"tcmalloc.thread_cache_free_bytes",    "tcmalloc.current_total_thread_cache_bytes",
		"tcmalloc.pageheap_committed_bytes",   "tcmalloc.metadata_bytes",
		NULL,
	};

	for (const char *const *name = names; *name; name++) {
		size_t value;

		if (property(*name, &value))
			answer_field(*name, value);
	}
}

static void truth(void)
{
	uint64_t cnt = 0, bytes = 0;

	for (unsigned t = 0; t <= holder_cnt; t++)
		for (size_t i = 0; i < holders[t].cnt; i++)
			if (holders[t].blocks[i].ptr) {
				cnt++;
				bytes += usable(holders[t].blocks[i].ptr);
			}
	answer_field("own_blocks", cnt);
	answer_field("own_bytes", bytes);
	if (ctl)
		answer_jemalloc();
	if (property)
		answer_gperftools();
}

static void verify(void)
{
	answer_field("broken", broken_blocks(holder_cnt));
}

/* What mimalloc has put off at a free it may then do. */
static void settle(void)
{
	struct timespec later = { .tv_nsec = 60 * 1000 * 1000 };

	while (nanosleep(&later, &later))
		;
}

static void purge(void)
{
	uint64_t before = rss();

	purge_memory();
	answer_drop(before);
}

static void purge_workers(void)
{
	uint64_t before = rss();

	job.task = PURGE;
	run_job();
	answer_drop(before);
}

static void end_workers(void)
{
	job.task = END;
	run_job();
	for (unsigned i = 1; i <= worker_cnt; i++)
		pthread_join(holders[i].thread, NULL);
	worker_cnt = 0;
}

static void drop_foreign(void)
{
	job.free_pct = (unsigned)number();
	job.clump = number();
	job.seed = number();
	for (unsigned i = 1; i <= holder_cnt; i++) {
		holder_seed(&holders[i], job.seed);
		holder_drop(&holders[i]);
	}
}

/* The first purge faults in its own code, the first question about statistics has its own blocks. */
static void warm_up(void)
{
	void *blocks[16];

	for (int i = 0; i < 16; i++)
		memset(blocks[i] = malloc(100000), 1, 100000);
	for (int i = 0; i < 16; i++)
		free(blocks[i]);
	truth();
	flush_cache();
	purge();
	answer_len = 0;
}

/* Half of the blocks, in their order. */
static void pageout(void)
{
	for (unsigned t = 0; t <= holder_cnt; t++)
		for (size_t i = 0; i < holders[t].cnt / 2; i++) {
			uintptr_t from = (uintptr_t)holders[t].blocks[i].ptr & ~(PAGE - 1);

			if (from)
				madvise((void *)from, PAGE, MADV_PAGEOUT);
		}
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
	job = (struct job){ .task = FILL, .pattern = pattern_find(strsep(&words, " ")) };
	job.bytes = number();
	job.free_pct = number();
	job.clump = number();
	job.seed = number();
	run_job();
}

static void drop(void)
{
	job = (struct job){ .task = FILL, .pattern = NULL };
	job.free_pct = number();
	job.clump = number();
	job.seed = number();
	run_job();
}

static void flush_all(void)
{
	job = (struct job){ .task = FLUSH };
	run_job();
}

static void stop_churning(int signal)
{
	(void)signal;
	churning = false;
}

/* Answers, and then goes on for so long: the next command waits in the pipe. */
static void churn(void)
{
	unsigned seconds = number();

	job = (struct job){ .task = CHURN, .seed = 77 };
	churning = true;
	signal(SIGALRM, stop_churning);
	alarm(seconds);
	answer_send();
	run_job();
}

static void quit(void)
{
	_exit(0);
}

static const struct command commands[] = {
	{ "threads", threads },
	{ "fill", fill },
	{ "drop", drop },
	{ "drop-foreign", drop_foreign },
	{ "flush", flush_all },
	{ "purge", purge },
	{ "purge-workers", purge_workers },
	{ "settle", settle },
	{ "churn", churn },
	{ "pageout", pageout },
	{ "end", end_workers },
	{ "truth", truth },
	{ "verify", verify },
	{ "quit", quit },
	{ NULL, NULL },
};

static void *find(const char *name)
{
	return dlsym(RTLD_DEFAULT, name);
}

int main(void)
{
	*(void **)&ctl = find("mallctl");
	*(void **)&property = find("MallocExtension_GetNumericProperty");
	*(void **)&release = find("MallocExtension_ReleaseFreeMemory");
	*(void **)&flush = find("MallocExtension_MarkThreadIdle");
	*(void **)&collect = find("mi_collect");
	*(void **)&usable = find("malloc_usable_size");
	if (!ctl && !property && !collect)
		return 2;
	holder_init(&holders[0]);
	warm_up();
	obey(commands);
	return 0;
}
