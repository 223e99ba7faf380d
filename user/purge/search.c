#include "purge/search.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/units.h"
#include "target/threads.h"

#define STEP_MIN_NS (2 * NSEC_PER_SEC / 1000) /* between two looks; more where looking takes long */
#define STEP_PER_LOOK 4
#define AGAIN_NS (NSEC_PER_SEC / 10)
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
	struct attempt a = {.tid = now->tid};

	now->good = attempt_looks_good(plan, &a);
	now->call = a.call;
	memcpy(now->why, a.why, sizeof(now->why));
	now->looks = 1;
	if (before && before->good && now->good && wait_call_same(&before->call, &now->call))
		now->looks = before->looks + 1;
	if (before)
		now->again_ns = before->again_ns;
	/* A closer look had a reason to refuse it, which may hold: it is the one to tell. */
	if (before && now->looks > 1 && before->why[0])
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

/* The main thread last, as the busiest. 0 or −ESRCH when it is over, −EAGAIN: look again. */
static int try_threads(const struct purge_plan *plan, struct search *search, bool late)
{
	for (size_t i = search->thread_cnt; i-- > 0;) {
		struct search_thread *t = &search->threads[i];
		struct attempt a = {.tid = t->tid, .call = t->call};
		int err;

		if (!is_due(plan, t, late, clock_monotonic_ns()))
			continue;
		err = attempt_call(plan, &a);
		if (err != -EAGAIN) {
			search->done = a;
			memcpy(search->done_name, t->name, sizeof(search->done_name));
			return err;
		}
		search->stops += a.released_ns != 0;
		t->again_ns = clock_monotonic_ns() + AGAIN_NS;
		memcpy(t->why, a.why, sizeof(t->why));
	}
	return -EAGAIN;
}

int search_call(const struct purge_plan *plan, uint64_t timeout_ns, struct search *search, struct error *err)
{
	uint64_t began = clock_monotonic_ns(), now, sampled = 0;
	int result;

	*search = (struct search){.stops = 0};
	for (;;) {
		now = clock_monotonic_ns();
		if (now - sampled > USAGE_AGE_NS) {
			if (process_usage(plan->process, true, &search->before))
				return error_set(err, -ESRCH, "process %d has ended", plan->process->pid);
			sampled = clock_monotonic_ns();
		}
		now = clock_monotonic_ns();
		result = search_look(plan, search, err);
		if (result)
			return result;
		result = try_threads(plan, search, now - began > timeout_ns / 2);
		if (result == -ESRCH)
			return error_set(err, result, "process %d ended while the purge ran in it",
					 plan->process->pid);
		if (result != -EAGAIN)
			return result;
		now = clock_monotonic_ns() - now;
		now = now * STEP_PER_LOOK > STEP_MIN_NS ? now * STEP_PER_LOOK : STEP_MIN_NS;
		if (clock_monotonic_ns() - began + now >= timeout_ns)
			return error_set(err, -EAGAIN, "no thread of process %d can be called on",
					 plan->process->pid);
		nanosleep(&(struct timespec){.tv_sec = (time_t)(now / NSEC_PER_SEC),
					     .tv_nsec = (long)(now % NSEC_PER_SEC)},
			  NULL);
	}
}

void search_free(struct search *search)
{
	free(search->threads);
	search->threads = NULL;
	search->thread_cnt = 0;
}
