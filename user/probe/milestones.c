#include "probe/milestones.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/units.h"
#include "probe/call_site.h"
#include "probe/milestone_choice.h"
#include "target/shadow_stack.h"

#define FORKS_MAX 8 /* one that forks oftener has none: children inherit the breakpoints */
/* Passes a second of CPU time: 0.6 % of it; 2 % where nearly all of a cell is lost to probes, and little
   tells how far it comes. */
#define WANTED_MIN 6000.0
#define WANTED_MAX 20000.0
#define ALLOCS_PART 0.01 /* in between, that part of its allocations */
#define ENOUGH 0.2       /* of what is wanted */
#define AT_LEAST                                                                                             \
	3 /* of them where there are as many: one alone may be passed at some times and not at others */
#define TOO_OFTEN 2.5    /* times what is wanted, of one: it is taken out; */
#define MUCH_TOO_OFTEN 4 /* … at once */
#define RARELY 5.0
#define TRIAL_PASSES 50 /* beside what is wanted, in a trial */
#define TRIAL_NS (NSEC_PER_SEC / 1000)
#define JUDGED_NS (NSEC_PER_SEC / 20) /* of CPU time, after which a rate is believed; */
#define RARE_NS NSEC_PER_SEC          /* … one that is next to nothing */
#define ROUND_NS (30 * NSEC_PER_SEC)  /* between two rounds of trying; each time longer */
#define HOT_MAX 4                     /* that are passed too often, in a round */

struct milestone {
	kept_link link; /* 0: there is none */
	struct milestone_place place;
	uint64_t placed_cpu_ns, placed_passes;
};

struct milestones {
	pid_t pid;
	pthread_mutex_t lock; /* of the choice, and what has happened since the last turn: */
	struct milestone_choice choice;
	bool forked, execed;
	unsigned forks;
	bool given_up;
	/* The slicer's. */
	struct milestone v[MILESTONES_MAX];
	uint32_t set, sets;          /* that stands; that there ever were */
	double allocs;               /* a second of CPU time, as passes have shown; 0: they have not */
	unsigned hot;                /* in this round */
	uint64_t round_ns, pause_ns; /* when it began; until the next */
};

struct milestones *milestones_new(pid_t pid)
{
	struct milestones *ms = calloc(1, sizeof(*ms));

	if (!ms)
		return NULL;
	ms->pid = pid;
	ms->given_up = shadow_stack_of(pid); /* a call that is emulated is not on it, on every kernel */
	pthread_mutex_init(&ms->lock, NULL);
	return ms;
}

void milestones_free(struct milestones *ms)
{
	if (!ms)
		return;
	milestone_choice_free(&ms->choice);
	pthread_mutex_destroy(&ms->lock);
	free(ms);
}

/* Nothing else costs a lock. */
static bool is_of_use(const struct event *ev)
{
	return ev->head->kind == EVENT_ALLOC || ev->head->kind == EVENT_STACK ||
	       ev->head->kind == EVENT_FORK || ev->head->kind == EVENT_EXEC;
}

static void note(struct milestones *ms, const struct event *ev)
{
	switch (ev->head->kind) {
	case EVENT_ALLOC:
		milestone_choice_note_alloc(&ms->choice, ev->block->stack);
		break;
	case EVENT_STACK:
		milestone_choice_note_stack(&ms->choice, ev->stack);
		break;
	case EVENT_FORK:
		ms->forked = true;
		ms->forks++;
		break;
	case EVENT_EXEC:
		ms->execed = true;
		milestone_choice_free(&ms->choice);
		break;
	default:
		break;
	}
}

void milestones_note(struct milestones *ms, const struct event *ev)
{
	if (!is_of_use(ev))
		return;
	pthread_mutex_lock(&ms->lock);
	if (!ms->given_up)
		note(ms, ev);
	pthread_mutex_unlock(&ms->lock);
}

uint32_t milestones_set(const struct milestones *ms)
{
	return ms->set;
}

static void set_changed(struct milestones *ms)
{
	bool any = false;

	for (int i = 0; i < MILESTONES_MAX; i++)
		any = any || ms->v[i].link;
	ms->set = any ? ++ms->sets : 0;
}

static void take_out(struct milestones *ms, struct keeper *keeper, struct milestone *m)
{
	keeper_drop(keeper, &m->link, 1);
	m->link = 0;
	set_changed(ms);
}

/* All may be tried again, but for those that stand. */
static void begin_round(struct milestones *ms, uint64_t now, uint64_t pause)
{
	ms->round_ns = now;
	ms->pause_ns = pause;
	ms->hot = 0;
	pthread_mutex_lock(&ms->lock);
	milestone_choice_again(&ms->choice);
	for (int i = 0; i < MILESTONES_MAX; i++)
		if (ms->v[i].link)
			milestone_choice_avoid(&ms->choice, ms->v[i].place.addr);
	pthread_mutex_unlock(&ms->lock);
}

void milestones_drop(struct milestones *ms, struct keeper *keeper)
{
	if (!ms->set)
		return;
	for (int i = 0; i < MILESTONES_MAX; i++)
		if (ms->v[i].link)
			take_out(ms, keeper, &ms->v[i]);
	begin_round(ms, 0, 0);
}

/* So rare or so frequent that it goes. rate: passes a second, after so much CPU time. */
static bool is_useless(double rate, double wanted, uint64_t cpu_ns)
{
	return rate > TOO_OFTEN * wanted || (rate < RARELY && cpu_ns > RARE_NS);
}

/* Passes a second of CPU time of those that stand and stay; negative: not known yet. */
static double judge(struct milestones *ms, const struct milestone_ground *ground,
		    const struct milestone_view *view, double wanted)
{
	bool unknown = false;
	double sum = 0;

	for (int i = 0; i < MILESTONES_MAX; i++) {
		struct milestone *m = &ms->v[i];
		uint64_t cpu = view->cpu_ns - m->placed_cpu_ns;
		double rate;

		if (!m->link)
			continue;
		if (cpu < JUDGED_NS) {
			unknown = true;
			continue;
		}
		rate = (double)(view->passes[i] - m->placed_passes) * NSEC_PER_SEC / (double)cpu;
		if (m->place.share > 0 && rate > RARELY)
			ms->allocs = rate / m->place.share;
		if (is_useless(rate, wanted, cpu)) {
			ms->hot += rate > wanted;
			take_out(ms, ground->keeper, m);
		} else {
			sum += rate;
		}
	}
	return unknown ? -1 : sum;
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

/* One of the process's hottest places may have been hit on: it is not left there until it is judged. */
static void try_out(struct milestones *ms, const struct milestone_ground *ground, struct milestone *m,
		    double wanted, uint64_t began)
{
	const struct timespec trial = {.tv_nsec = TRIAL_NS};
	struct gate_sum sum;
	double passes, seconds;

	nanosleep(&trial, NULL);
	if (!gates_spent(&ground->gates, ms->pid, CELL_BLOCKS, NULL, &sum))
		return;
	passes = (double)(sum.passes[m - ms->v] - m->placed_passes);
	seconds = (double)(clock_monotonic_ns() - began) / NSEC_PER_SEC;
	if (passes <= TRIAL_PASSES + MUCH_TOO_OFTEN * wanted * seconds)
		return;
	if (m->place.share > 0)
		ms->allocs = passes / seconds / m->place.share;
	ms->hot++;
	take_out(ms, ground->keeper, m);
}

static struct milestone *free_one(struct milestones *ms)
{
	for (int i = 0; i < MILESTONES_MAX; i++)
		if (!ms->v[i].link)
			return &ms->v[i];
	return NULL;
}

static double allocs_of(const struct milestones *ms, const struct milestone_view *view)
{
	return ms->allocs > 0 ? ms->allocs : view->allocs;
}

/* False: there is none left, or no room for one. *expected: passes a second, 0: not known. */
static bool try_next(struct milestones *ms, const struct milestone_ground *ground,
		     const struct milestone_view *view, const struct maps *maps, double wanted,
		     double *expected)
{
	struct milestone *m = free_one(ms);
	double allocs = allocs_of(ms, view);
	uint64_t began = clock_monotonic_ns();
	bool found;

	*expected = 0;
	if (!m || ms->hot >= HOT_MAX)
		return false;
	pthread_mutex_lock(&ms->lock);
	found = milestone_choice_next(&ms->choice, allocs, wanted / AT_LEAST, &m->place);
	pthread_mutex_unlock(&ms->lock);
	if (!found || !place(ms, ground, maps, m->place.addr, (uint64_t)(m - ms->v), &m->link))
		return found;
	m->placed_cpu_ns = view->cpu_ns;
	m->placed_passes = view->passes[m - ms->v];
	set_changed(ms);
	try_out(ms, ground, m, wanted, began);
	*expected = m->link ? m->place.share * allocs : 0;
	return true;
}

/* Those whose rates are known are placed together; another is waited for. */
static void try_some(struct milestones *ms, const struct milestone_ground *ground,
		     const struct milestone_view *view, double wanted, double least)
{
	struct maps maps;
	double expected = 1;

	if (maps_read(ms->pid, &maps, NULL))
		return;
	while (wanted > least && expected > 0) {
		if (!try_next(ms, ground, view, &maps, wanted, &expected))
			break;
		wanted -= expected;
	}
	maps_free(&maps);
}

/* What has happened to the process since. */
static void take_news(struct milestones *ms, const struct milestone_ground *ground)
{
	bool changed;

	pthread_mutex_lock(&ms->lock);
	changed = ms->forked || ms->execed;
	ms->forked = ms->execed = false;
	ms->given_up = ms->given_up || ms->forks > FORKS_MAX;
	pthread_mutex_unlock(&ms->lock);
	if (changed) /* whoever takes them out of one takes them out of its children */
		milestones_drop(ms, ground->keeper);
}

void milestones_turn(struct milestones *ms, const struct milestone_ground *ground,
		     const struct milestone_view *view)
{
	double wanted = fmin(fmax(ALLOCS_PART * allocs_of(ms, view), WANTED_MIN), WANTED_MAX), rate;
	uint64_t now = clock_monotonic_ns();

	take_news(ms, ground);
	if (ms->given_up || !(view->allocs > 0))
		return;
	rate = judge(ms, ground, view, wanted);
	if (rate < 0 || rate >= ENOUGH * wanted)
		return;
	if (now - ms->round_ns > ms->pause_ns)
		begin_round(ms, now, ms->pause_ns ? 4 * ms->pause_ns : ROUND_NS);
	try_some(ms, ground, view, wanted - rate, ENOUGH * wanted);
}
