#include "probe/sliced.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../bpf/event.h"
#include "base/clock.h"
#include "budget/evidence.h"
#include "probe/warm.h"

#define MILESTONES_NS 10000000 /* of time off, at least, to look after milestones in */
#define BUSY_NS 1000000        /* until a process whose probes are being looked after is tried again */

struct pace_reading sliced_read(const struct slicing *sl, struct sliced *s)
{
	struct pace_reading r = reading_take(&sl->reader, s->pid, s->stream, s->marked.cpu_ns, &s->system);
	const struct milestones *ms = attached_milestones(s->attached);

	r.ours_ns = s->ours_ns;
	r.milestones = ms ? milestones_set(ms) : 0;
	return r;
}

/*
 * CPU time of the slicer's thread and of the keeper since that was last asked for. The keeper ends some
 * removals after it was waited for, and places what others ask for: whose turn is next has that too.
 */
static uint64_t used_since(struct slicing *sl)
{
	uint64_t used = clock_ns(sl->clock) + clock_process_cpu_ns(keeper_pid(sl->options.keeper)),
		 fresh = used > sl->charged ? used - sl->charged : 0;

	sl->charged = used;
	return fresh;
}

/* Of what has passed since a cell began, that until its gate closed itself: by hits, which are counted on. */
static double recorded_part(const struct sliced *s, const struct pace_reading *at)
{
	double all = (double)(at->hits - s->marked.hits), recorded = (double)(s->limit - s->marked.hits);

	return recorded < all ? recorded / all : 1;
}

/* What a cell that is not sure takes and what is the process's own is a small difference: it is looked at. */
static void look(const struct slicing *sl, struct sliced *s, bool on)
{
	if (on == s->looking)
		return;
	s->looking = on;
	if (on)
		looks_begin(sl->looks);
	else
		looks_end(sl->looks);
}

static void mark(const struct slicing *sl, struct sliced *s, enum cell_state state,
		 const struct pace_reading *at)
{
	struct event_cell cell = {
		.head.func = s->stream,
		.number = s->number,
		.chance = s->step.sure ? CELL_SURE : (uint64_t)(s->step.chance * CELL_SURE),
		.sample_bytes = s->step.sample_bytes,
		.free_sample_bytes = s->step.free_sample_bytes,
		.state = state,
	};
	double part = state == CELL_CUT ? recorded_part(s, at) : 1;
	struct progress progress = pace_progress(s->pace, &s->marked, at);
	uint64_t own = (uint64_t)(part * (double)progress.own);

	look(sl, s, state == CELL_BEGIN && !s->step.sure);
	cell.chance += !cell.chance;
	cell.progress = s->carried + own;
	cell.progress_error = (uint64_t)(part * (double)progress.error);
	cell.by_share = state != CELL_BEGIN && progress.by_share;
	cell.hits = state == CELL_BEGIN ? 0 : (uint64_t)(part * (double)evidence_hits(&s->marked, at));
	cell.share = (uint32_t)(progress.share * UINT32_MAX);
	cell.share_error = (uint32_t)(fmin(progress.share_error, 1) * UINT32_MAX);
	cell.cpu = state == CELL_BEGIN ? s->step.cell_ns
				       : (uint64_t)(part * (double)(at->cpu_ns - s->marked.cpu_ns));
	if (gates_mark(&sl->reader.gates, s->pid, &cell, s->step.quota)) {
		s->open = false; /* what has passed is in the next mark's progress */
		return;
	}
	s->open = state == CELL_BEGIN;
	s->limit = at->hits + s->step.quota;
	s->carried = progress.own - own;
	s->marked = *at;
}

static bool goes_on(const struct pace_step *was, const struct pace_step *next)
{
	return was->on && next->on && was->sure && next->sure && was->sample_bytes == next->sample_bytes &&
	       was->free_sample_bytes == next->free_sample_bytes;
}

/* False: not now. */
static bool begin(struct slicing *sl, struct sliced *s)
{
	struct pace_reading now;

	if (!s->placed) {
		if (!attached_switch(s->attached, s->stream, true))
			return false;
		s->placed = true;
		s->ours_ns += used_since(sl);
		now = sliced_read(sl, s);
		s->warm_until = now.time_ns + WARM_NS;
		pace_begun(s->pace, &now);
	} else {
		now = sliced_read(sl, s);
	}
	s->number++;
	mark(sl, s, CELL_BEGIN, &now);
	return true;
}

static void cool_down(const struct slicing *sl, struct sliced *s)
{
	if (s->warm)
		keeper_drop(sl->options.keeper, &s->warm, 1);
	s->warm = 0;
}

/* False: not now. */
static bool remove_probes(const struct slicing *sl, struct sliced *s)
{
	if (!attached_switch(s->attached, s->stream, false))
		return false;
	s->placed = false;
	cool_down(sl, s);
	return true;
}

/* The step has ended: the next one is chosen. */
static void choose(struct slicing *sl, struct sliced *s)
{
	struct pace_step was = s->step, next;
	struct pace_reading now;

	s->ours_ns += used_since(sl);
	now = sliced_read(sl, s);
	next = pace_next(s->pace, &now);
	s->goes_on = goes_on(&was, &next) && gates_go_on(&sl->reader.gates, s->pid, s->stream, next.quota);
	if (s->goes_on)
		s->limit = now.hits + next.quota;
	if (!s->goes_on && s->open)
		mark(sl, s, s->alarmed ? CELL_CUT : CELL_END, &now);
	s->step = next;
}

static bool make(struct slicing *sl, struct sliced *s)
{
	if (s->goes_on)
		return true;
	if (s->step.on)
		return begin(sl, s);
	return !s->placed || remove_probes(sl, s);
}

/* They stand where there are cells that are not sure; changed between two of these, if there is the time. */
static void look_after_milestones(struct slicing *sl, struct sliced *s)
{
	const struct milestone_ground ground = {sl->options.keeper, sl->options.backend, sl->reader.gates};
	struct milestones *ms = attached_milestones(s->attached);
	struct milestone_view view = {.allocs = pace_hits(s->pace) / 2};
	struct gate_sum sum;

	if (!ms || s->stream != CELL_BLOCKS)
		return;
	if (s->step.sure)
		milestones_drop(ms, sl->options.keeper);
	if (s->placed || s->step.length_ns < MILESTONES_NS ||
	    !gates_spent(&sl->reader.gates, s->pid, CELL_BLOCKS, sl->reader.scratch, &sum))
		return;
	view.cpu_ns = clock_process_cpu_ns(s->pid);
	memcpy(view.passes, sum.passes, sizeof(view.passes));
	s->ours_ns += used_since(sl); /* for removing the cell's probes */
	milestones_turn(ms, &ground, &view);
	used_since(sl); /* seldom more than a look: no part of what cells cost */
}

/* A cell that goes on for a while is followed by one that is off, most often. */
static void plan_end(struct sliced *s)
{
	uint64_t now = clock_monotonic_ns();

	s->end = s->due = now + s->step.length_ns;
	s->warming = s->step.on && !s->step.sure && s->end > s->warm_until;
	if (s->warming)
		s->due = s->step.length_ns > WARM_WAIT_NS ? s->end - WARM_WAIT_NS : now;
}

static void warm(const struct slicing *sl, struct sliced *s)
{
	cool_down(sl, s);
	s->warm = warm_up(sl->options.keeper, sl->options.programs, sl->options.backend);
	s->warm_until = clock_monotonic_ns() + WARM_NS;
	s->warming = false;
	s->due = s->end;
}

void sliced_turn(struct slicing *sl, struct sliced *s)
{
	if (s->warming && !s->alarmed) {
		warm(sl, s);
		return;
	}
	if (!s->unmade)
		choose(sl, s);
	s->alarmed = s->postponed = s->warming = false;
	s->unmade = !make(sl, s);
	if (s->unmade) {
		s->due = clock_monotonic_ns() + BUSY_NS;
		return;
	}
	plan_end(s);
	look_after_milestones(sl, s);
}

/* Cells that are to end before all others. */
int sliced_urgency(const struct sliced *s)
{
	return s->warming && !s->alarmed ? 1 : s->step.on ? 2 : 0;
}

static struct pace_options pace_options(const struct slicing *sl, const struct sliced *s)
{
	struct pace_options options = {
		.max_share = sl->options.max_share,
		.core_share = PACE_CORE_SHARE,
		.stacks_sampled = sl->options.stacks_sampled,
		.sample_bytes = sl->options.sample_bytes,
		.free_sample_bytes = sl->options.free_sample_bytes,
		.seed = clock_monotonic_ns() ^ (uint64_t)s->pid << 32 ^ s->stream,
	};

	if (s->stream == CELL_OBJECTS) {
		options.max_share *= SLICED_OBJECTS_PART;
		options.core_share *= SLICED_OBJECTS_PART;
		options.dear = options.stacks_sampled = true;
		options.sample_bytes = sl->options.object_sample_bytes;
		options.free_sample_bytes = 0;
	}
	return options;
}

int sliced_new(struct slicing *sl, struct attached *attached, uint32_t stream, struct sliced **result)
{
	struct sliced *s = calloc(1, sizeof(*s));
	struct pace_options options;

	if (!s)
		return -ENOMEM;
	s->attached = attached;
	s->pid = attached_pid(attached);
	s->stream = stream;
	s->placed = stream == CELL_BLOCKS;
	if (!clock_process_cpu_ns(s->pid)) {
		free(s);
		return -ESRCH;
	}
	options = pace_options(sl, s);
	s->marked = sliced_read(sl, s);
	s->pace = pace_new(&options, &s->marked);
	if (!s->pace) {
		free(s);
		return -ENOMEM;
	}
	used_since(sl); /* for attaching to it: nobody's */
	*result = s;
	return 0;
}

void sliced_free(struct sliced *s)
{
	pace_free(s->pace);
	free(s);
}

void sliced_end(const struct slicing *sl, struct sliced *s)
{
	struct pace_reading now;

	if (s->open) {
		now = sliced_read(sl, s);
		mark(sl, s, CELL_END, &now);
	}
	look(sl, s, false);
	cool_down(sl, s);
}
