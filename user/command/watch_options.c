#include "command/watch_options.h"

#include <unistd.h>

#include "base/units.h"
#include "command/option_types.h"

/* Walks are no more frequent than this even where the heap is tiny. */
#define SAMPLE_INTERVAL_NS (NSEC_PER_SEC / 4)

/* By what the machine has, if nobody said: an eighth of its memory, 1 GiB at most. */
static uint64_t memory_limit(const struct options *options)
{
	uint64_t has = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);

	if (options->max_memory)
		return options->max_memory;
	return has / 8 < GIB ? has / 8 : GIB;
}

/* Without stacks nothing could be told of them. */
static struct object_options object_options(const struct options *options)
{
	const struct objects_choice *choice = &options->objects;
	bool budgeted = options->max_overhead > 0;

	if (options->no_alloc || !options->stacks.wanted || (choice->given ? !choice->wanted : !budgeted))
		return (struct object_options){.wanted = false};
	if (!choice->given)
		return (struct object_options){
			.wanted = true, .paced = true, .sample_bytes = OBJECT_SAMPLE_BYTES};
	return (struct object_options){
		.wanted = true,
		.paced = choice->paced && budgeted,
		.sample_bytes = choice->sample_bytes,
	};
}

static struct session_options session_options(const struct options *options, const struct naming *naming)
{
	const struct object_options objects = object_options(options);

	return (struct session_options){
		.window = {.retained_min = options->retained_min, .min_ns = options->window_min_ns},
		.churn_min = options->churn_min,
		.native = options->native,
		.sampler =
			{
				.budget = options->walk_budget / 100, /* of all: divided by group.c */
				.interval_ns = SAMPLE_INTERVAL_NS,
				.want_pages = !options->no_alloc,
				.more = options->custom.kinds,
			},
		.want_allocs = !options->no_alloc,
		.marks = &options->marks,
		.naming = *naming,
		.more = options->custom.kinds,
		.allocs =
			{
				.max_memory = memory_limit(options),
				.size_min = options->size_min,
				.size_max = options->size_max,
				.sample_bytes = options->stacks.sample_bytes,
				.free_sample_bytes = options->stacks.free_sample_bytes,
				.objects =
					{
						.wanted = objects.wanted,
						.paced = objects.paced,
						.sample_bytes = objects.sample_bytes,
						.max_memory = memory_limit(options),
						.top = options->top,
					},
				.older_ns = options->older_ns,
				.top = options->top,
				.max_share = options->max_overhead / 100,
				.survey_share = options->walk_budget / 100,
			},
	};
}

struct tracer_options watch_tracer_options(const struct options *options)
{
	return (struct tracer_options){
		.allocs = !options->no_alloc,
		.objects = object_options(options),
		.stacks = options->stacks.wanted,
		.sample_bytes = options->stacks.sample_bytes,
		.free_sample_bytes = options->stacks.free_sample_bytes,
		.size_min = options->size_min,
		.size_max = options->size_max,
		.max_overhead = options->max_overhead / 100,
		.stacks_sampled = options->stacks.sample_bytes != 0,
		.follow = options->follow,
		.many = options->follow || options->pids.cnt != 1,
		.more = options->custom.kinds,
		.marks = &options->marks,
	};
}

struct group_options watch_group_options(const struct options *options, const struct naming *naming)
{
	return (struct group_options){
		.session = session_options(options, naming),
		.max_memory = memory_limit(options),
		.walk_budget = options->walk_budget / 100,
		.follow = options->follow,
	};
}
