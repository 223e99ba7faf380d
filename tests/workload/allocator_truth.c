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
 *
 * Answering must not disturb the heap: static buffers, raw reads and writes, no stdio.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif
#define PAGE 4096UL
#define THREAD_MAX 64
#define BLOCK_MAX (8UL << 20)

/* Request sizes are drawn evenly over the powers of two between min and max. */
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

enum task { FILL, FLUSH, CHURN, PURGE, END };

/* What the holders are to do next; the barriers around it order the accesses. */
struct job {
	enum task task;
	const struct pattern *pattern; /* NULL: only free */
	size_t bytes, clump;
	unsigned free_pct;
	uint64_t seed;
};

static struct holder holders[THREAD_MAX]; /* [0] is the main thread's */
static unsigned worker_cnt, holder_cnt; /* that run; that have blocks beside the main thread */
static struct job job;
static pthread_barrier_t job_start, job_end;
static atomic_bool churning;
static int rollup_fd;
static char *words; /* of the command line, from the next one on */

/* Whichever of them the preloaded allocator has. */
static int (*ctl)(const char *name, void *old, size_t *old_len, void *new, size_t new_len);
static int (*property)(const char *name, size_t *value);
static void (*release)(void), (*flush)(void), (*collect)(bool force);
static size_t (*usable)(void *ptr);

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

static void holder_work(struct holder *h)
{
	h->rng = job.seed * 2654435761u + (uint64_t)(h - holders) * 97 + 88172645463325252u;
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
}

static void holder_init(struct holder *h)
{
	h->blocks = mmap(NULL, BLOCK_MAX * sizeof(*h->blocks), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (h->blocks == MAP_FAILED)
		abort();
	free(malloc(1000)); /* the thread's arena and cache come with its first block: have them now */
}

static void *worker(void *arg)
{
	struct holder *h = arg;

	holder_init(h);
	pthread_barrier_wait(&job_end);
	for (;;) {
		bool last;

		pthread_barrier_wait(&job_start);
		last = job.task == END;
		holder_work(h);
		pthread_barrier_wait(&job_end);
		if (last)
			return NULL;
	}
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
	worker_cnt = holder_cnt = cnt;
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
static char answer[2048];
static size_t answer_len;

static void answer_field(const char *name, uint64_t value)
{
	char digits[24];
	size_t n = 0;

	answer[answer_len] = answer_len ? ',' : '{';
	answer_len++;
	answer[answer_len++] = '"';
	answer_len += strlen(strcpy(answer + answer_len, name));
	answer_len += strlen(strcpy(answer + answer_len, "\":"));
	do
		digits[n++] = (char)('0' + value % 10);
	while (value /= 10);
	while (n)
		answer[answer_len++] = digits[--n];
}

static void answer_send(void)
{
	strcpy(answer + answer_len, answer_len ? "}\n" : "{}\n");
	if (write(1, answer, strlen(answer)) < 0)
		_exit(1);
	answer_len = 0;
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
	uint64_t broken = 0;

	for (unsigned t = 0; t <= holder_cnt; t++)
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

static void answer_drop(uint64_t before)
{
	uint64_t after = rss();

	answer_field("before", before);
	answer_field("after", after);
	answer_field("returned", before > after ? before - after : 0);
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
		holders[i].rng = job.seed * 2654435761u + i * 97 + 88172645463325252u;
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

static const struct command {
	const char *name;
	void (*run)(void);
} commands[] = {
	{ "threads", start_workers },
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

static void *find(const char *name)
{
	return dlsym(RTLD_DEFAULT, name);
}

int main(void)
{
	static char line[256];
	size_t len = 0;

	*(void **)&ctl = find("mallctl");
	*(void **)&property = find("MallocExtension_GetNumericProperty");
	*(void **)&release = find("MallocExtension_ReleaseFreeMemory");
	*(void **)&flush = find("MallocExtension_MarkThreadIdle");
	*(void **)&collect = find("mi_collect");
	*(void **)&usable = find("malloc_usable_size");
	if (!ctl && !property && !collect)
		return 2;
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
