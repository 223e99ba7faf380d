/*
 * A hundred and one places that allocate, and how much each of them has allocated, freed and still holds,
 * exactly.
 *
 *   known_sites MODE [THREADS [RATE [WORK_NS [PERIOD_MS]]]]
 *
 * RATE: pairs a second of all threads; 0: flat out. WORK_NS: own work beside each pair. Of all that is taken
 * site_0 takes 60 %; the others the rest, the k-th of them in proportion to 1/k. Modes:
 *
 *   steady   some blocks are freed at once, some live for a while, some long; how many of each differs by
 * site leak     the same, and site_1 keeps one block in so many for ever period   the same, and the sites
 * take turns: those of even numbers in one half of PERIOD_MS, the others in the other one phases   takes for
 * a second (or until the pile is full), gives back for a second, last one first reuse    a cache that is
 * full: each new block takes the oldest one's address, whosever site it was
 *
 * With more threads than one, what one of them takes another frees.
 *
 * Commands, a line each on stdin, an answer each: begin (goes on, and counts from here on; what was live
 * before is not its blocks' any more), pause (all threads wait), report (while they do: {"N.allocs",
 * "N.allocated", "N.frees", "N.freed"} of each site, "pairs", "cpu_ns" since begin). It begins paused.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>

#define ANSWER_SIZE (1 << 15)
#include "answers.h"

#define SITE_CNT   101
#define THREAD_MAX 16
#define SHORT_CNT  20000
#define LONG_CNT   100000
#define PILE_CNT   (SHORT_CNT + LONG_CNT)
#define LEAK_CNT   4000000
#define LEAK_EVERY 50    /* of site_1's blocks */
#define CHOICES    16384 /* entries of the table that sites are drawn from */
#define BATCH      32    /* steps between two looks at the clock */
#define REUSE_SIZE 56
#define SECOND     1000000000ULL

#define TEN(X, tens)                                                                                         \
	X(tens##0) X(tens##1) X(tens##2) X(tens##3) X(tens##4)                                               \
	X(tens##5) X(tens##6) X(tens##7) X(tens##8) X(tens##9)
#define SITES(X)                                                                                             \
	TEN(X, ) TEN(X, 1) TEN(X, 2) TEN(X, 3) TEN(X, 4) TEN(X, 5) TEN(X, 6) TEN(X, 7) TEN(X, 8) TEN(X, 9) X(100)

#define SITE(number)                                                                                         \
	__attribute__((noinline, no_icf)) static void *site_##number(size_t size)                            \
	{                                                                                                    \
		void *block = malloc(size);                                                                  \
                                                                                                             \
		__asm__ volatile("" : "+r"(block)); /* no tail call */                                       \
		return block;                                                                                \
	}
#define SITE_NAME(number) site_##number,

SITES(SITE)
static void *(*const sites[SITE_CNT])(size_t) = {SITES(SITE_NAME)};

/* At a block's begin, so that whoever frees it knows whose it is. */
struct head {
	uint32_t size;
	uint16_t site, era;
};

struct account {
	uint64_t allocs, allocated, frees, freed;
};

struct worker {
	pthread_t thread;
	uint64_t rng, pairs;
	size_t top;      /* of the pile, or where in the ring it is */
	bool giving;     /* phases */
	uint64_t turned; /* … since when, ns */
	bool odd;        /* period */
	struct account accounts[SITE_CNT];
};

/* What is to be done next: a block of that site to be taken into a slot whose block goes, or one only to go.
 */
struct step {
	_Atomic(struct head *) *slot; /* NULL: to be freed at once */
	unsigned site;
	bool only_free;
};

struct mode {
	const char *name;
	struct step (*next)(struct worker *w);
};

static struct worker workers[THREAD_MAX];
static unsigned worker_cnt = 1;
static uint64_t rate, period_ns = 650000000, work_turns;
static uint8_t choices[CHOICES];
static uint32_t base_size[SITE_CNT];
static _Atomic(struct head *) *slots; /* SHORT_CNT, LONG_CNT, then LEAK_CNT */
static atomic_size_t leaked;
static const struct mode *mode;
static uint16_t era;
static uint64_t cpu_begun;
static atomic_bool pausing;
static pthread_barrier_t stopped, going;

static uint64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * SECOND + ts.tv_nsec;
}

static uint64_t draw(struct worker *w, uint64_t below)
{
	w->rng ^= w->rng << 13;
	w->rng ^= w->rng >> 7;
	w->rng ^= w->rng << 17;
	return (w->rng >> 11) % below;
}

static struct step next_steady(struct worker *w)
{
	static const unsigned at_once[] = {50, 20, 80, 100}; /* of a hundred blocks; by site */
	struct step step = {.site = choices[draw(w, CHOICES)]};

	if (draw(w, 100) >= at_once[step.site % 4])
		step.slot = draw(w, 4) ? &slots[draw(w, SHORT_CNT)] : &slots[SHORT_CNT + draw(w, LONG_CNT)];
	return step;
}

static struct step next_leak(struct worker *w)
{
	struct step step = next_steady(w);
	size_t kept;

	if (step.site == 1 && !draw(w, LEAK_EVERY) && (kept = atomic_fetch_add(&leaked, 1)) < LEAK_CNT)
		step.slot = &slots[PILE_CNT + kept];
	return step;
}

static struct step next_period(struct worker *w)
{
	struct step step = next_steady(w);

	if (w->pairs % BATCH == 0)
		w->odd = now_ns(CLOCK_MONOTONIC) % period_ns >= period_ns / 2;
	step.site = w->odd ? step.site | 1 : step.site & ~1u;
	if (step.site >= SITE_CNT)
		step.site = 1;
	return step;
}

static struct step next_phases(struct worker *w)
{
	size_t own = PILE_CNT / worker_cnt;
	_Atomic(struct head *) *pile = &slots[(size_t)(w - workers) * own];

	if (w->pairs % BATCH == 0 && now_ns(CLOCK_MONOTONIC) - w->turned >= SECOND) {
		w->giving = !w->giving;
		w->turned = now_ns(CLOCK_MONOTONIC);
	} else if (w->top == (w->giving ? 0 : own)) {
		w->giving = !w->giving;
	}
	if (w->giving && w->top)
		return (struct step){.slot = &pile[--w->top], .only_free = true};
	if (w->top == own)
		return (struct step){.site = choices[draw(w, CHOICES)]};
	return (struct step){.slot = &pile[w->top++], .site = choices[draw(w, CHOICES)]};
}

static struct step next_reuse(struct worker *w)
{
	size_t own = SHORT_CNT / worker_cnt;

	w->top = (w->top + 1) % own;
	return (struct step){.slot = &slots[(size_t)(w - workers) * own + w->top],
			     .site = choices[draw(w, CHOICES)]};
}

static const struct mode modes[] = {
	{"steady", next_steady}, {"leak", next_leak},   {"period", next_period},
	{"phases", next_phases}, {"reuse", next_reuse}, {NULL, NULL},
};

static void drop(struct worker *w, struct head *block)
{
	struct account *account;

	if (!block)
		return;
	account = &w->accounts[block->site];
	if (block->era == era) {
		account->frees++;
		account->freed += block->size;
	}
	free(block);
}

static struct head *take(struct worker *w, unsigned site)
{
	uint32_t size = mode->next == next_reuse ? REUSE_SIZE : base_size[site] + (uint32_t)draw(w, 32);
	struct head *block = sites[site](size);

	if (!block)
		abort();
	*block = (struct head){.size = size, .site = (uint16_t)site, .era = era};
	w->accounts[site].allocs++;
	w->accounts[site].allocated += size;
	return block;
}

/* Each site has one stack only: its blocks are taken at one place. */
static void make_step(struct worker *w)
{
	struct step step = mode->next(w);
	struct head *block;

	if (step.slot)
		drop(w, atomic_exchange(step.slot, NULL));
	if (step.only_free)
		return;
	block = take(w, step.site);
	/* Another thread may have filled the slot meanwhile. */
	drop(w, step.slot ? atomic_exchange(step.slot, block) : block);
}

static void work(uint64_t turns)
{
	for (volatile uint64_t i = 0; i < turns; i++)
		;
}

/* Turns of work() that take so long. */
static uint64_t turns_of(uint64_t ns)
{
	uint64_t begin = now_ns(CLOCK_THREAD_CPUTIME_ID), turns = 20000000;

	if (!ns)
		return 0;
	work(turns);
	return turns * ns / (now_ns(CLOCK_THREAD_CPUTIME_ID) - begin);
}

static void run_until_paused(struct worker *w)
{
	uint64_t begun = now_ns(CLOCK_MONOTONIC), first = w->pairs;

	w->turned = begun;
	while (!atomic_load(&pausing)) {
		if (rate && (w->pairs - first) * worker_cnt * 1e9 / rate > now_ns(CLOCK_MONOTONIC) - begun) {
			/* A slow one uses next to no CPU time beside its steps. */
			nanosleep(&(struct timespec){.tv_nsec = rate < 1000 ? 20000000 : 500000}, NULL);
			continue;
		}
		for (int i = 0; i < BATCH; i++, w->pairs++) {
			make_step(w);
			work(work_turns);
		}
	}
}

static void *worker(void *arg)
{
	for (;;) {
		pthread_barrier_wait(&going);
		run_until_paused(arg);
		pthread_barrier_wait(&stopped);
	}
	return NULL;
}

/* The workers wait, but for the first time. */
static void begin(void)
{
	era++;
	for (unsigned i = 0; i < worker_cnt; i++) {
		memset(workers[i].accounts, 0, sizeof(workers[i].accounts));
		workers[i].pairs = 0;
	}
	cpu_begun = now_ns(CLOCK_PROCESS_CPUTIME_ID);
	atomic_store(&pausing, false);
	pthread_barrier_wait(&going);
}

static void pause_all(void)
{
	atomic_store(&pausing, true);
	pthread_barrier_wait(&stopped);
}

static void answer_site(unsigned site, const char *field, uint64_t value)
{
	char name[32];

	snprintf(name, sizeof(name), "%u.%s", site, field);
	answer_field(name, value);
}

static void report(void)
{
	uint64_t pairs = 0;

	for (unsigned s = 0; s < SITE_CNT; s++) {
		struct account sum = {0};

		for (unsigned i = 0; i < worker_cnt; i++) {
			const struct account *a = &workers[i].accounts[s];

			sum.allocs += a->allocs;
			sum.allocated += a->allocated;
			sum.frees += a->frees;
			sum.freed += a->freed;
		}
		answer_site(s, "allocs", sum.allocs);
		answer_site(s, "allocated", sum.allocated);
		answer_site(s, "frees", sum.frees);
		answer_site(s, "freed", sum.freed);
	}
	for (unsigned i = 0; i < worker_cnt; i++)
		pairs += workers[i].pairs;
	answer_field("pairs", pairs);
	answer_field("cpu_ns", now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_begun);
}

/* So that bytes are as said: drawn in proportion to a site's share over its blocks' mean size. */
static void fill_choices(void)
{
	double weight[SITE_CNT], all = 0, rest = 0, upto = 0;

	for (unsigned s = 1; s < SITE_CNT; s++)
		rest += 1.0 / s;
	for (unsigned s = 0; s < SITE_CNT; s++) {
		base_size[s] = 16 + s * 48 % 480;
		weight[s] = (s ? 0.4 / rest / s : 0.6) /
			    (mode->next == next_reuse ? REUSE_SIZE : base_size[s] + 15.5);
		all += weight[s];
	}
	for (unsigned s = 0, i = 0; s < SITE_CNT; s++)
		for (upto += weight[s]; i < CHOICES && (i < upto / all * CHOICES || s == SITE_CNT - 1); i++)
			choices[i] = (uint8_t)s;
}

static uint64_t argument(char **argv, int argc, int i, uint64_t otherwise)
{
	return i < argc ? strtoull(argv[i], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
	static const struct command commands[] = {
		{"begin", begin}, {"pause", pause_all}, {"report", report}, {NULL, NULL}};

	for (mode = modes; mode->name && argc > 1 && strcmp(mode->name, argv[1]);)
		mode++;
	worker_cnt = (unsigned)argument(argv, argc, 2, 1);
	rate = argument(argv, argc, 3, 0);
	period_ns = argument(argv, argc, 5, 650) * 1000000;
	if (argc < 2 || !mode->name || !worker_cnt || worker_cnt > THREAD_MAX || !period_ns)
		return 2;
	work_turns = turns_of(argument(argv, argc, 4, 0));
	fill_choices();
	slots = mmap(NULL, (PILE_CNT + LEAK_CNT) * sizeof(*slots), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (slots == MAP_FAILED)
		abort();
	pthread_barrier_init(&stopped, NULL, worker_cnt + 1);
	pthread_barrier_init(&going, NULL, worker_cnt + 1);
	for (unsigned i = 0; i < worker_cnt; i++) {
		workers[i].rng = 88172645463325252u + ((uint64_t)getpid() << 8 | i) * 2654435761u;
		if (pthread_create(&workers[i].thread, NULL, worker, &workers[i]))
			abort();
	}
	obey(commands);
	return 0;
}
