/*
 * Records a made-up process: recording FILE SITES PICTURES [CHANGED], where CHANGED of a hundred
 * sites change from each picture to the next (100). Stacks are 12 frames deep, of a tree in which
 * each function calls 8 others. Prints what the recorder took.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/units.h"
#include "record/recorder.h"
#include "picture/ranking.h"
#include "picture/snapshot.h"
#include "stack/location.h"

#define DEPTH 12

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
	char function[64], file[64];
	struct frame_name name = {.kind = FRAME_PYTHON, .function = function, .file = file};
	uint32_t node = level < 10 ? i >> (27 - 3 * level) : i;

	snprintf(function, sizeof(function), "function_%d_%x", level, level < 7 ? node % 512 : node % 65536);
	snprintf(file, sizeof(file), "/srv/app/module_%u.py", node % 97);
	name.line = node % 900 + 1;
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
	m->sites = room(cnt, sizeof(*m->sites));
	m->surveys = room(cnt, sizeof(*m->surveys));
	m->views = room(cnt, sizeof(*m->views));
	m->by_number = room(cnt, sizeof(*m->by_number));
	for (uint32_t i = 0; i < cnt; i++)
		m->views[i] = (struct site_view){
			.number = i,
			.figures = &m->sites[i],
			.survey = &m->surveys[i],
			.stack = i ? stack_of(m, i) : NULL,
		};
	m->survey = (struct survey_result){.sites = m->surveys, .site_cnt = cnt};
	m->allocs = (struct allocation_view){.sites = m->views,
					     .site_cnt = cnt,
					     .by_number = m->by_number,
					     .number_cnt = cnt,
					     .survey = &m->survey};
	m->allocator = (struct heap_allocator){.kind = &glibc, .serving = true};
	m->heap = (struct heap_state){.taken_ns = 1, .allocators = &m->allocator, .allocator_cnt = 1};
	m->s = (struct snapshot){.pid = 4242, .command = "made-up", .heap = &m->heap, .allocs = &m->allocs};
}

static void change(struct made *m, uint32_t i, unsigned *seed)
{
	uint64_t got = (uint64_t)rand_r(seed) % 64 + 1, size = 16 + (uint64_t)rand_r(seed) % 4096;
	uint64_t gone = m->sites[i].live.cnt > 8 ? got - rand_r(seed) % 2 : got / 2;
	struct site *site = &m->sites[i];

	site->allocated.cnt += got;
	site->allocated.bytes += got * size;
	site->live.cnt += got - gone;
	site->live.bytes += (got - gone) * size;
	site->freed.cnt += gone;
	site->freed.bytes += gone * size;
	m->surveys[i].pinned = (uint64_t)rand_r(seed) % 512;
}

static void rank(struct made *m)
{
	for (uint32_t i = 0; i < m->cnt; i++)
		m->by_number[i] = &m->views[i];
}

int main(int argc, char **argv)
{
	static struct made m;
	struct log log = {.out = stderr};
	const struct snapshot *v[] = {&m.s};
	struct recorder *recorder;
	unsigned seed = 1, pictures, changed;
	uint64_t ns = 0;

	if (argc < 4) {
		fprintf(stderr, "usage: recording FILE SITES PICTURES [CHANGED]\n");
		return 2;
	}
	pictures = (unsigned)atoi(argv[3]);
	changed = argc > 4 ? (unsigned)atoi(argv[4]) : 100;
	make(&m, (uint32_t)atoi(argv[2]));
	rank(&m);
	recorder = recorder_open(argv[1], NULL, &log);
	for (unsigned n = 1; recorder && n <= pictures; n++) {
		struct picture p = {.kind = n < pictures ? PICTURE_INTERVAL : PICTURE_FINAL,
				    .v = v,
				    .cnt = 1,
				    .first = 1,
				    .ever = 1,
				    .living = 1};
		uint64_t began;

		for (uint32_t i = 0; i < m.cnt; i++)
			if ((unsigned)rand_r(&seed) % 100 < changed)
				change(&m, i, &seed);
		m.s.time_ns = m.heap.taken_ns = p.time_ns = n * 5 * NSEC_PER_SEC;
		m.s.final = n == pictures;
		began = clock_thread_cpu_ns();
		recorder_picture(recorder, &p);
		ns += clock_thread_cpu_ns() - began;
	}
	if (!recorder || recorder_close(recorder))
		return 1;
	printf("%.0f ms of CPU a picture\n", (double)ns / 1e6 / pictures);
	return 0;
}
