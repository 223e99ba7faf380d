#include "probe/milestones.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/units.h"
#include "probe/call_site.h"
#include "target/shadow_stack.h"

#define STACKS_MAX 256       /* looked at, the first that come */
#define FRAMES_MAX 12        /* of each, innermost */
#define TRIED_MAX 48         /* places in a round */
#define FORKS_MAX 8          /* one that forks oftener has none: children inherit the breakpoints */
#define SEEN_MIN 500         /* allocations with stacks before any is chosen */
#define PASSES_WANTED 6000.0 /* a second of CPU time, of all together */
#define PASSES_ENOUGH 500.0
#define PASSES_MAX 12000.0/* of one: more is taken out */
#define PASSES_MIN 5.0
#define TRIAL_NS (2 * NSEC_PER_SEC / 1000)
#define TRIAL_PASSES 80               /* in it, of those that are far beyond what is wanted */
#define JUDGED_NS (NSEC_PER_SEC / 20) /* of CPU time, after which a rate is believed; */
#define RARE_NS NSEC_PER_SEC          /* … one that is next to nothing */
#define ROUND_NS (30 * NSEC_PER_SEC)  /* between two rounds of trying; each time longer */
#define HOT_MAX 6                     /* that are passed too often, in a round */

/* A stack of allocations that was seen. */
struct noted {
	uint64_t cnt; /* allocations with it */
	uint32_t frame_cnt;
	uint64_t frames[FRAMES_MAX]; /* return addresses, innermost first */
};

/* A place that may become one. */
struct candidate {
	uint64_t addr;
	double share;   /* of all allocations, those that come through it */
	bool direct;    /* it calls the allocator */
	uint32_t depth; /* frames inside it, at least */
};

struct milestone {
	kept_link link; /* 0: there is none */
	uint64_t addr;
	uint64_t placed_cpu_ns, placed_passes;
};

struct milestones {
	pid_t pid;
	pthread_mutex_t lock; /* of stacks */
	struct map stacks;    /* id → struct noted */
	uint64_t seen;        /* allocations with a stack, among them or not */
	bool forked, execed;  /* since the last turn */
	unsigned forks;
	struct milestone v[MILESTONES_MAX];
	uint32_t set, sets; /* that stands; that there ever were */
	uint64_t tried[TRIED_MAX];
	size_t tried_cnt;
	unsigned hot;                /* of these, those that were passed too often */
	uint64_t round_ns, pause_ns; /* when the last round began; until the next */
	bool given_up;               /* under the lock */
};

struct milestones *milestones_new(pid_t pid)
{
	struct milestones *ms = calloc(1, sizeof(*ms));

	if (!ms)
		return NULL;
	ms->pid = pid;
	ms->given_up = shadow_stack_of(pid); /* which a call that is emulated is not on, on every kernel */
	pthread_mutex_init(&ms->lock, NULL);
	return ms;
}

static void forget_stacks(struct milestones *ms)
{
	for (size_t i = 0; i < ms->stacks.cap; i++)
		free(ms->stacks.slots[i].value);
	map_free(&ms->stacks);
	ms->seen = 0;
}

void milestones_free(struct milestones *ms)
{
	if (!ms)
		return;
	forget_stacks(ms);
	pthread_mutex_destroy(&ms->lock);
	free(ms);
}

static void note_stack(struct milestones *ms, const struct event_stack *ev)
{
	struct noted *noted;

	if (ms->stacks.cnt >= STACKS_MAX || map_get(&ms->stacks, ev->id))
		return;
	noted = calloc(1, sizeof(*noted));
	if (!noted)
		return;
	noted->frame_cnt = ev->cnt < FRAMES_MAX ? ev->cnt : FRAMES_MAX;
	memcpy(noted->frames, ev->frames, noted->frame_cnt * sizeof(noted->frames[0]));
	if (map_set(&ms->stacks, ev->id, noted))
		free(noted);
}

void milestones_note(struct milestones *ms, const struct event *ev)
{
	struct noted *noted;

	pthread_mutex_lock(&ms->lock);
	if (ms->given_up) {
		pthread_mutex_unlock(&ms->lock);
		return;
	}
	switch (ev->head->kind) {
	case EVENT_ALLOC:
		noted = ev->block->stack ? map_get(&ms->stacks, ev->block->stack) : NULL;
		ms->seen += ev->block->stack != 0;
		if (noted)
			noted->cnt++;
		break;
	case EVENT_STACK:
		note_stack(ms, ev->stack);
		break;
	case EVENT_FORK:
		ms->forked = true;
		ms->forks++;
		break;
	case EVENT_EXEC:
		ms->execed = true;
		forget_stacks(ms);
		break;
	default:
		break;
	}
	pthread_mutex_unlock(&ms->lock);
}

uint32_t milestones_set(const struct milestones *ms)
{
	return ms->set;
}

static unsigned standing(const struct milestones *ms)
{
	unsigned cnt = 0;

	for (int i = 0; i < MILESTONES_MAX; i++)
		cnt += ms->v[i].link != 0;
	return cnt;
}

static void set_changed(struct milestones *ms)
{
	ms->set = standing(ms) ? ++ms->sets : 0;
}

static void take_out(struct milestones *ms, struct keeper *keeper, struct milestone *m)
{
	keeper_drop(keeper, &m->link, 1);
	m->link = 0;
	set_changed(ms);
}

void milestones_drop(struct milestones *ms, struct keeper *keeper)
{
	for (int i = 0; i < MILESTONES_MAX; i++)
		if (ms->v[i].link)
			take_out(ms, keeper, &ms->v[i]);
	ms->tried_cnt = ms->hot = 0;
	ms->round_ns = ms->pause_ns = 0;
}

/* Passes a second of CPU time since it stands; negative: not known yet. */
static double rate_of(const struct milestone *m, const struct milestone_view *view, uint64_t passes)
{
	uint64_t cpu = view->cpu_ns - m->placed_cpu_ns;

	return cpu < JUDGED_NS ? -1 : (double)(passes - m->placed_passes) * NSEC_PER_SEC / (double)cpu;
}

/* Takes out what is passed too often, or never. Passes a second of those that stay; negative: not known yet.
 */
static double judge(struct milestones *ms, const struct milestone_ground *ground,
		    const struct milestone_view *view)
{
	bool unknown = false;
	double sum = 0;

	for (int i = 0; i < MILESTONES_MAX; i++) {
		struct milestone *m = &ms->v[i];
		double rate = m->link ? rate_of(m, view, view->passes[i]) : 0;

		ms->hot += rate > PASSES_MAX;
		if (rate > PASSES_MAX ||
		    (m->link && rate < PASSES_MIN && view->cpu_ns - m->placed_cpu_ns > RARE_NS)) {
			take_out(ms, ground->keeper, m);
			continue;
		}
		unknown = unknown || rate < 0;
		sum += rate > 0 ? rate : 0;
	}
	return unknown ? -1 : sum;
}

static int by_addr(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/* The frames of a stack, each once. */
static size_t add_frames(struct candidate *v, const struct noted *noted, double all)
{
	size_t cnt = 0;

	for (uint32_t i = 0; i < noted->frame_cnt; i++) {
		bool again = false;

		for (size_t k = 0; k < cnt && !again; k++)
			again = v[k].addr == noted->frames[i];
		if (!again)
			v[cnt++] = (struct candidate){noted->frames[i], (double)noted->cnt / all, !i, i};
	}
	return cnt;
}

static size_t merge(struct candidate *v, size_t cnt)
{
	size_t kept = 0;

	qsort(v, cnt, sizeof(*v), by_addr);
	for (size_t i = 0; i < cnt; i++) {
		if (!kept || v[kept - 1].addr != v[i].addr) {
			v[kept++] = v[i];
			continue;
		}
		v[kept - 1].share += v[i].share;
		v[kept - 1].direct = v[kept - 1].direct && v[i].direct;
		if (v[i].depth < v[kept - 1].depth)
			v[kept - 1].depth = v[i].depth;
	}
	return kept;
}

/* All places on the stacks so far; the caller frees it. */
static struct candidate *list_candidates(struct milestones *ms, size_t *cnt)
{
	struct candidate *v;

	*cnt = 0;
	pthread_mutex_lock(&ms->lock);
	v = ms->seen >= SEEN_MIN ? calloc(ms->stacks.cnt * FRAMES_MAX + 1, sizeof(*v)) : NULL;
	for (size_t i = 0; v && i < ms->stacks.cap; i++)
		if (ms->stacks.slots[i].value)
			*cnt += add_frames(v + *cnt, ms->stacks.slots[i].value, (double)ms->seen);
	pthread_mutex_unlock(&ms->lock);
	*cnt = v ? merge(v, *cnt) : 0;
	return v;
}

static bool was_tried(const struct milestones *ms, uint64_t addr)
{
	for (size_t i = 0; i < ms->tried_cnt; i++)
		if (ms->tried[i] == addr)
			return true;
	for (int i = 0; i < MILESTONES_MAX; i++)
		if (ms->v[i].link && ms->v[i].addr == addr)
			return true;
	return false;
}

/*
 * Which is to be tried first: the highest; 0: it is not to be. Of what calls the allocator it is known how
 * often it is passed; of others that it is at least as often, and that outer ones are passed less.
 */
static double worth(const struct candidate *c, double allocs, double wanted)
{
	double passes = c->share * allocs;

	if (c->direct)
		return passes > PASSES_MAX / 2 ? 0
					       : 2 + (passes < wanted ? passes / wanted : wanted / passes);
	return passes <= PASSES_MAX / 2 ? 1 + passes / PASSES_MAX : (double)c->depth / FRAMES_MAX;
}

static const struct candidate *best(const struct milestones *ms, const struct candidate *v, size_t cnt,
				    double allocs, double wanted)
{
	const struct candidate *found = NULL;

	for (size_t i = 0; i < cnt; i++) {
		double value = was_tried(ms, v[i].addr) ? 0 : worth(&v[i], allocs, wanted);

		if (value > 0 && (!found || value > worth(found, allocs, wanted)))
			found = &v[i];
	}
	return found;
}

static bool place(const struct milestones *ms, const struct milestone_ground *ground, const struct maps *maps,
		  uint64_t addr, uint64_t number, kept_link *link)
{
	struct call_site site;
	struct link_spot spot = {.cookie = number};
	int ret = call_site_find(ms->pid, maps, addr, &site);

	if (ret)
		return false;
	spot.offset = site.offset;
	ret = keeper_open(ground->keeper,
			  &(struct link_request){
				  .backend = ground->backend,
				  .when = LINK_AT_ENTRY,
				  .prog_fd = ground->gates.milestone,
				  .path = object_access_path(site.obj),
				  .pid = ms->pid,
				  .spots = &spot,
				  .spot_cnt = 1,
			  },
			  link);
	object_free(site.obj);
	return !ret;
}

/* One of the process's hottest places may have been hit on: it is not left there. */
static void try_out(struct milestones *ms, const struct milestone_ground *ground, int number)
{
	const struct timespec trial = {.tv_nsec = TRIAL_NS};
	struct milestone *m = &ms->v[number];
	struct gate_sum sum;

	nanosleep(&trial, NULL);
	if (gates_spent(&ground->gates, ms->pid, CELL_BLOCKS, NULL, &sum) &&
	    sum.passes[number] - m->placed_passes > TRIAL_PASSES) {
		ms->hot++;
		take_out(ms, ground->keeper, m);
	}
}

static int free_number(const struct milestones *ms)
{
	for (int i = 0; i < MILESTONES_MAX; i++)
		if (!ms->v[i].link)
			return i;
	return -1;
}

/* False: there is none left, or no room for one. */
static bool try_next(struct milestones *ms, const struct milestone_ground *ground,
		     const struct milestone_view *view, const struct maps *maps, double *wanted)
{
	int number = free_number(ms);
	const struct candidate *next;
	struct candidate *v;
	size_t cnt;

	if (number < 0 || ms->tried_cnt == TRIED_MAX || ms->hot >= HOT_MAX)
		return false;
	v = list_candidates(ms, &cnt);
	next = best(ms, v, cnt, view->allocs, *wanted);
	if (next) {
		struct milestone *m = &ms->v[number];

		ms->tried[ms->tried_cnt++] = next->addr;
		if (place(ms, ground, maps, next->addr, (uint64_t)number, &m->link)) {
			m->addr = next->addr;
			m->placed_cpu_ns = view->cpu_ns;
			m->placed_passes = view->passes[number];
			set_changed(ms);
			try_out(ms, ground, number);
			*wanted -= m->link && next->direct ? next->share * view->allocs : 0;
		}
	}
	free(v);
	return next;
}

/* Those whose rates are known are placed together; another is waited for. */
static void try_some(struct milestones *ms, const struct milestone_ground *ground,
		     const struct milestone_view *view, double wanted)
{
	double before;
	struct maps maps;
	bool more = true;

	if (maps_read(ms->pid, &maps, NULL))
		return;
	while (more && wanted > PASSES_ENOUGH) {
		before = wanted;
		more = try_next(ms, ground, view, &maps, &wanted) && wanted < before;
	}
	maps_free(&maps);
}

/* What has happened to the process since. */
static void take_news(struct milestones *ms, const struct milestone_ground *ground)
{
	bool forked, execed;

	pthread_mutex_lock(&ms->lock);
	forked = ms->forked;
	execed = ms->execed;
	ms->forked = ms->execed = false;
	ms->given_up = ms->given_up || ms->forks > FORKS_MAX;
	pthread_mutex_unlock(&ms->lock);
	if (!forked && !execed)
		return;
	/* Whoever takes them out of one takes them out of its children. */
	milestones_drop(ms, ground->keeper);
}

void milestones_turn(struct milestones *ms, const struct milestone_ground *ground,
		     const struct milestone_view *view)
{
	uint64_t now = clock_monotonic_ns();
	double rate;

	take_news(ms, ground);
	if (ms->given_up)
		return;
	rate = judge(ms, ground, view);
	if (rate < 0 || rate >= PASSES_ENOUGH || !(view->allocs > 0))
		return;
	if (now - ms->round_ns > ms->pause_ns) {
		ms->round_ns = now;
		ms->pause_ns = ms->pause_ns ? 4 * ms->pause_ns : ROUND_NS;
		ms->tried_cnt = ms->hot = 0;
	}
	try_some(ms, ground, view, PASSES_WANTED - rate);
}
