#include "purge/search.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/units.h"
#include "purge/catch.h"
#include "target/threads.h"

#define STEP_MIN_NS (2 * NSEC_PER_SEC / 1000) /* between two looks; more where looking takes long */
#define STEP_PER_LOOK 4
#define CATCH_AFTER 8 /* this part of the time threads are only looked at */
#define AGAIN_NS (NSEC_PER_SEC / 20)
#define AGAIN_MAX 6 /* times doubled */
#define USAGE_AGE_NS (NSEC_PER_SEC / 4)

static const struct search_thread *find(const struct search *search, pid_t tid)
{
	for (size_t low = 0, high = search->thread_cnt; low < high;) {
		size_t mid = low + (high - low) / 2;

		if (search->threads[mid].tid == tid)
			return &search->threads[mid];
		if (search->threads[mid].tid < tid)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

/* What is known of a thread from the look before goes on while it stays where it was. */
static void take_look(const struct purge_plan *plan, const struct search_thread *before,
		      struct search_thread *now)
{
	now->seen.tid = now->tid;
	now->good = attempt_looks_good(plan, &now->seen);
	memcpy(now->why, now->seen.why, sizeof(now->why));
	now->looks = 1;
	if (before && before->good && now->good && wait_call_same(&before->seen.call, &now->seen.call))
		now->looks = before->looks + 1;
	if (!before)
		return;
	now->refusals = before->refusals;
	now->again_ns = before->again_ns;
	/* A closer look had a reason to refuse it, which may hold: it is the one to tell. */
	now->closely = before->closely;
	if (before->closely)
		memcpy(now->why, before->why, sizeof(now->why));
}

int search_look(const struct purge_plan *plan, struct search *search, struct error *err)
{
	struct search_thread *v;
	struct threads threads;
	int result = threads_read(plan->process->pid, &threads);

	if (result)
		return error_set(err, result,
				 result == -ESRCH ? "process %d has ended"
						  : "no memory for the threads of process %d",
				 plan->process->pid);
	v = calloc(threads.cnt, sizeof(*v));
	if (!v) {
		threads_free(&threads);
		return error_set(err, -ENOMEM, "no memory for the threads of process %d", plan->process->pid);
	}
	for (size_t i = 0; i < threads.cnt; i++) {
		v[i].tid = threads.v[i].tid;
		memcpy(v[i].name, threads.v[i].name, sizeof(v[i].name));
		take_look(plan, find(search, v[i].tid), &v[i]);
	}
	free(search->threads);
	search->threads = v;
	search->thread_cnt = threads.cnt;
	threads_free(&threads);
	return 0;
}

/*
 * One that has been waiting longer than a step will hardly go on in the moment in which it is
 * stopped. Where none does, and for a purge of what belongs to the main thread, less has to do
 * when half of the time is over.
 */
static bool is_due(const struct purge_plan *plan, const struct search_thread *t, bool late, uint64_t now)
{
	if (!t->good || now < t->again_ns)
		return false;
	if (plan->method->main_thread && t->tid != plan->process->pid && !late)
		return false;
	return t->looks > 1 || late;
}

static void finish(struct search *search, const struct attempt *a, const struct search_thread *t)
{
	search->done = *a;
	memcpy(search->done_name, t->name, sizeof(search->done_name));
}

/* It is left alone for a while, and longer each time. */
static void refuse(struct search_thread *t, const struct attempt *a)
{
	t->again_ns =
		clock_monotonic_ns() + (AGAIN_NS << (t->refusals < AGAIN_MAX ? t->refusals : AGAIN_MAX));
	t->refusals++;
	t->closely = a->closely;
	memcpy(t->why, a->why, sizeof(t->why));
}

/* The main thread last, as the busiest. 0 or −ESRCH when it is over, −EAGAIN: look again. */
static int try_threads(const struct purge_plan *plan, struct search *search, bool late)
{
	for (size_t i = search->thread_cnt; i-- > 0;) {
		struct search_thread *t = &search->threads[i];
		struct attempt a = t->seen;
		int err;

		if (!is_due(plan, t, late, clock_monotonic_ns()))
			continue;
		err = attempt_call(plan, &a);
		if (err != -EAGAIN) {
			finish(search, &a, t);
			return err;
		}
		search->stops += a.released_ns != 0;
		refuse(t, &a);
	}
	return -EAGAIN;
}

/* Who is waited for: the main thread, where it is not good anyway; else, in turn, those that are not. */
static struct search_thread *choose_to_catch(const struct purge_plan *plan, struct search *search,
					     unsigned turn)
{
	size_t bad_cnt = 0;

	for (size_t i = 0; i < search->thread_cnt; i++) {
		struct search_thread *t = &search->threads[i];

		if (t->good)
			continue;
		bad_cnt++;
		if (t->tid == plan->process->pid && (turn == 0 || plan->method->main_thread))
			return t;
	}
	for (size_t i = 0, bad = 0; i < search->thread_cnt; i++)
		if (!search->threads[i].good && bad++ == turn % bad_cnt)
			return &search->threads[i];
	return NULL;
}

static int catch_thread(const struct purge_plan *plan, struct catcher *catcher, struct search *search,
			unsigned turn, uint64_t deadline)
{
	struct search_thread *t = choose_to_catch(plan, search, turn);
	struct attempt a;
	int err;

	if (!t)
		return -EAGAIN;
	a = t->seen;
	err = catch_call(plan, catcher, &a, deadline);
	if (err != -EAGAIN)
		finish(search, &a, t);
	else
		refuse(t, &a);
	return err;
}

/* What is used while it goes on. */
struct going {
	const struct purge_plan *plan;
	const struct log *log;
	struct search *search;
	uint64_t began, timeout, sampled;
	struct catcher *catcher;
	unsigned turn;
	uint64_t look_ns; /* that the last look at all threads took */
};

static int sample_usage(struct going *g, struct error *err)
{
	if (clock_monotonic_ns() - g->sampled < USAGE_AGE_NS)
		return 0;
	if (process_usage(g->plan->process, true, &g->search->before))
		return error_set(err, -ESRCH, "process %d has ended", g->plan->process->pid);
	g->sampled = clock_monotonic_ns();
	return 0;
}

/* Waiting for one thread takes half of the time that is left, so that another has its turn. */
static int try_catching(struct going *g)
{
	uint64_t now = clock_monotonic_ns(), spent = now - g->began;
	struct error why;

	if (!g->catcher && !g->search->cannot_catch) {
		g->search->cannot_catch = catcher_new(g->log, &g->catcher, &why) != 0;
		now = clock_monotonic_ns();
		spent = now - g->began;
	}
	if (!g->catcher || spent >= g->timeout)
		return -EAGAIN;
	return catch_thread(g->plan, g->catcher, g->search, g->turn++, now + (g->timeout - spent) / 2);
}

static int one_round(struct going *g, struct error *err)
{
	uint64_t now;
	int result = sample_usage(g, err);

	now = clock_monotonic_ns();
	if (!result)
		result = search_look(g->plan, g->search, err);
	g->look_ns = clock_monotonic_ns() - now;
	if (!result)
		result = try_threads(g->plan, g->search, now - g->began > g->timeout / 2);
	if (result == -EAGAIN && now - g->began > g->timeout / CATCH_AFTER)
		result = try_catching(g);
	return result;
}

int search_call(const struct purge_plan *plan, const struct log *log, uint64_t timeout_ns,
		struct search *search, struct error *err)
{
	struct going g = {.plan = plan,
			  .log = log,
			  .search = search,
			  .began = clock_monotonic_ns(),
			  .timeout = timeout_ns};
	uint64_t pause;
	int result;

	*search = (struct search){.stops = 0};
	for (;;) {
		result = one_round(&g, err);
		if (result == -ESRCH)
			error_set(err, result, "process %d has ended", plan->process->pid);
		if (result != -EAGAIN)
			break;
		pause = STEP_PER_LOOK * g.look_ns;
		if (pause < STEP_MIN_NS)
			pause = STEP_MIN_NS;
		if (clock_monotonic_ns() - g.began + pause >= timeout_ns) {
			error_set(err, -EAGAIN, "no thread of process %d could be called on within %.3g s%s",
				  plan->process->pid, (double)timeout_ns / NSEC_PER_SEC,
				  search->cannot_catch ? " (root could wait for one at its next step)" : "");
			break;
		}
		nanosleep(&(struct timespec){.tv_sec = (time_t)(pause / NSEC_PER_SEC),
					     .tv_nsec = (long)(pause % NSEC_PER_SEC)},
			  NULL);
	}
	catcher_free(g.catcher);
	return result;
}

void search_free(struct search *search)
{
	free(search->threads);
	search->threads = NULL;
	search->thread_cnt = 0;
}
