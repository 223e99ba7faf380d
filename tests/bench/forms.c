/*
 * Writes a made-up process in one output form: forms FORM FILE SITES. Stacks are 16 frames deep: ten of a
 * tree in which each function calls 4 others, then six among 2000 places each, two of them native. A history
 * of 20 steps, each of which changes a tenth of the sites. Prints what the form took.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/units.h"
#include "report/form.h"
#include "picture/history.h"
#include "picture/ranking.h"
#include "stack/location.h"

#define DEPTH 16
#define STEPS 20
#define PLACES 2000 /* on each of the inner levels */

static const struct allocator glibc = {.name = "glibc", .purge_call = "malloc_trim(0)"};

struct made {
	uint32_t cnt;
	struct site *sites;
	struct site_survey *surveys;
	struct site_view *views;
	const struct site_view **by_number;
	struct locations *locations;
	struct survey_result survey;
	struct allocation_view allocs;
	struct heap_allocator allocator;
	struct heap_state heap;
	struct snapshot s;
	struct history *history;
};

static void *room(size_t cnt, size_t size)
{
	void *v = calloc(cnt, size);

	if (!v)
		exit(1);
	return v;
}

/* The function on that level on the way to site i. */
static struct location *place(struct made *m, uint32_t i, int level)
{
	uint32_t node = level < 10 ? i >> (20 - 2 * level) : (i >> (level - 10)) * 2654435761U % PLACES;
	char function[64], file[64];
	struct frame_name name = {.kind = FRAME_PYTHON, .function = function, .file = file};

	snprintf(function, sizeof(function), "function_%d_%x", level, node % 65536);
	snprintf(file, sizeof(file), "/srv/app/module_%u.py", node % 97);
	name.line = node % 900 + 1;
	if (level >= DEPTH - 2)
		name = (struct frame_name){.kind = FRAME_NATIVE,
					   .function = function,
					   .module = "libapp.so",
					   .file = "app.c",
					   .line = node % 900 + 1,
					   .offset = 16 * node};
	return locations_named(m->locations, &name);
}

static const struct stack *stack_of(struct made *m, uint32_t i)
{
	struct stack *stack = room(1, sizeof(*stack) + DEPTH * sizeof(stack->locations[0]));

	stack->id = i + 1;
	stack->cnt = DEPTH;
	for (int level = 0; level < DEPTH; level++)
		stack->locations[level] = place(m, i, level);
	return stack;
}

static void make(struct made *m, uint32_t cnt)
{
	m->cnt = cnt;
	m->locations = locations_new();
	m->history = history_new();
	if (!m->locations || !m->history)
		exit(1);
	m->sites = room(cnt, sizeof(*m->sites));
	m->surveys = room(cnt, sizeof(*m->surveys));
	m->views = room(cnt, sizeof(*m->views));
	m->by_number = room(cnt, sizeof(*m->by_number));
	for (uint32_t i = 0; i < cnt; i++)
		m->views[i] = (struct site_view){.number = i,
						 .figures = &m->sites[i],
						 .survey = &m->surveys[i],
						 .stack = stack_of(m, i)};
	m->survey = (struct survey_result){.sites = m->surveys, .site_cnt = cnt};
	m->allocs = (struct allocation_view){.sites = m->views,
					     .site_cnt = cnt,
					     .by_number = m->by_number,
					     .number_cnt = cnt,
					     .survey = &m->survey,
					     .probe_cpu_share = -1};
	m->allocator = (struct heap_allocator){.kind = &glibc, .serving = true};
	m->heap = (struct heap_state){.taken_ns = 1, .allocators = &m->allocator, .allocator_cnt = 1};
	m->s = (struct snapshot){.started_ns = NSEC_PER_SEC,
				 .pid = 4242,
				 .command = "made",
				 .rss = GIB,
				 .heap = &m->heap,
				 .allocs = &m->allocs};
}

/* A site has been at work: eight calls, one of which is live. */
static void work(struct made *m, struct site *site, uint64_t size)
{
	const struct site_count live = {1, size}, allocated = {8, 8 * size}, freed = {7, 7 * size};

	site_count_add(&site->live, live);
	site_count_add(&site->allocated, allocated);
	site_count_add(&site->freed, freed);
	site_count_add(&site->temporary, (struct site_count){3, 3 * size});
	site_count_add(&m->allocs.totals.live, live);
	site_count_add(&m->allocs.totals.allocated, allocated);
}

static void live_on(struct made *m)
{
	for (uint32_t step = 1; step <= STEPS; step++) {
		m->s.time_ns = m->s.started_ns + step * NSEC_PER_SEC;
		m->s.rss += MIB;
		for (uint32_t i = step % 10; i < m->cnt; i += 10)
			work(m, &m->sites[i], 16 + i % 4096);
		history_add(m->history, &m->s);
	}
	m->allocs.totals.peak = m->allocs.totals.live;
	m->allocs.totals.peak_ns = m->s.time_ns;
	for (uint32_t i = 0; i < m->cnt; i++)
		m->views[i].peak = m->views[i].figures->live;
	m->s.final = true;
	m->s.history = m->history;
	ranking_arrange(m->views, m->cnt, m->by_number);
}

static long peak_kib(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss;
}

static const struct form *form_of(const char *name)
{
	for (int i = 0; i < FORM_CNT; i++)
		if (!strcmp(forms[i].name, name))
			return &forms[i];
	fprintf(stderr, "there is no form %s\n", name);
	exit(2);
}

int main(int argc, char **argv)
{
	const struct form_options options = {.weight = WEIGHT_LIVE};
	const struct form *form = argc == 4 ? form_of(argv[1]) : NULL;
	struct made m = {0};
	uint64_t begin;
	FILE *out;
	long before;
	int rc;

	if (!form) {
		fprintf(stderr, "usage: forms FORM FILE SITES\n");
		return 2;
	}
	out = fopen(argv[2], "w");
	if (!out) {
		fprintf(stderr, "cannot write %s: %s\n", argv[2], strerror(errno));
		return 1;
	}
	make(&m, (uint32_t)strtoul(argv[3], NULL, 10));
	live_on(&m);
	before = peak_kib();
	begin = clock_thread_cpu_ns(); /* waiting for a core says nothing */
	rc = form->write(out, &m.s, &options);
	printf("{\"rc\": %d, \"seconds\": %.3f, \"memory\": %ld, \"bytes\": %ld, \"before\": %ld}\n", rc,
	       (double)(clock_thread_cpu_ns() - begin) / 1e9, (peak_kib() - before) * 1024, ftell(out),
	       before * 1024);
	return rc || fclose(out) ? 1 : 0;
}
