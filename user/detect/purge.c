#include "detect/purge.h"

#include <stdlib.h>
#include <string.h>

#include "base/units.h"

#define RETURNED_MIN MIB /* less than this is no effect, whatever was predicted */

/* The newest PURGE_KEPT lie at kept[first…]; when the array is full they move to its front. */
struct purge_log {
	struct purge_finding *kept[2 * PURGE_KEPT];
	size_t first, cnt;
	size_t unread; /* of these, the newest: no reading after them has come */
	uint64_t total;
	uint64_t returned;
	struct purge_totals totals;
};

struct purge_log *purge_log_new(void)
{
	return calloc(1, sizeof(struct purge_log));
}

void purge_log_free(struct purge_log *log)
{
	if (!log)
		return;
	for (size_t i = 0; i < log->cnt; i++)
		free(log->kept[log->first + i]);
	free(log);
}

/*
 * What this call gave back. The fall of RSS is the whole process's: what other threads
 * faulted in meanwhile comes on top of it. What they freed before they were watched is not
 * known; but more than this call asked the kernel to take is not its own.
 */
uint64_t purge_returned(const struct event_purge *ev)
{
	int64_t sum;

	if (!(ev->flags & PURGE_OTHERS_RAN))
		return ev->rss_drop > 0 ? (uint64_t)ev->rss_drop : 0;
	if (__builtin_add_overflow(ev->rss_drop, ev->rss_others, &sum) || sum < 0)
		return 0;
	return (uint64_t)sum < ev->advised ? (uint64_t)sum : ev->advised;
}

bool purge_is_effective(uint64_t returned, uint64_t predicted)
{
	return returned >= RETURNED_MIN && (predicted == UNKNOWN || returned >= predicted / 4);
}

/* Whether a purge of the same allocator has taken, since an instant, what a state of then promised. */
static bool taken_since(const struct purge_log *log, const char *allocator, uint64_t time_ns)
{
	for (size_t i = log->cnt; i > 0; i--) {
		const struct purge_finding *f = log->kept[log->first + i - 1];

		if (f->time_ns + f->duration_ns < time_ns)
			return false;
		if (f->effective && !strcmp(f->allocator, allocator))
			return true;
	}
	return false;
}

/* What the last state says of the allocator that the purge went to. */
static void judge(const struct purge_log *log, struct purge_finding *f, const struct event_purge *ev,
		  const struct allocator *kind, const struct heap_state *state)
{
	const struct heap_allocator *a;

	f->predicted = UNKNOWN;
	if (!state || !state->taken_ns)
		return;
	a = heap_state_find(state, kind);
	/* One that the state does not list came after it: it was loaded for this purge and serves nothing
	 * yet. */
	f->misdirected = !a || !a->serving;
	if (a && a->purgeable != UNKNOWN && state->taken_ns <= ev->head.time &&
	    !taken_since(log, f->allocator, state->taken_ns)) {
		f->predicted = a->purgeable;
		f->prediction_age_ns = ev->head.time - state->taken_ns;
	}
}

static void forget_oldest(struct purge_log *log)
{
	free(log->kept[log->first++]);
	log->cnt--;
	if (log->first == PURGE_KEPT) {
		memcpy(log->kept, log->kept + log->first, log->cnt * sizeof(log->kept[0]));
		log->first = 0;
	}
}

const struct purge_finding *purge_log_add(struct purge_log *log, const struct event_purge *ev,
					  const char *function, const struct allocator *kind, bool has_result,
					  const struct heap_state *state, const struct stack *stack)
{
	struct purge_finding *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->stack = stack;
	f->time_ns = ev->head.time;
	f->function = function;
	f->control = PURGE_CONTROL(ev->flags) < CONTROL_CNT ? PURGE_CONTROL(ev->flags) : CONTROL_NONE;
	f->arena = ev->arg;
	f->allocator = kind->name;
	f->duration_ns = ev->duration;
	f->result = ev->result;
	f->has_result = has_result && (ev->flags & PURGE_HAS_RESULT);
	f->returned = purge_returned(ev);
	f->has_cgroup = ev->flags & PURGE_HAS_CGROUP;
	f->cgroup_drop = ev->cgroup_drop;
	judge(log, f, ev, kind, state);
	f->effective = purge_is_effective(f->returned, f->predicted);
	f->after = mark_unread(&(struct mark){.time_ns = ev->head.time + ev->duration,
					      .kind = function,
					      .text = "",
					      .rss = ev->rss ? ev->rss : UNKNOWN,
					      .live = UNKNOWN});

	if (log->cnt == PURGE_KEPT)
		forget_oldest(log);
	log->kept[log->first + log->cnt++] = f;
	log->total++;
	log->unread = log->unread < log->cnt ? log->unread + 1 : log->cnt;
	log->returned += f->returned;
	log->totals.effective += f->effective;
	log->totals.misdirected += f->misdirected;
	log->totals.ns += f->duration_ns;
	return f;
}

void purge_log_live(struct purge_log *log, uint64_t live)
{
	if (log->cnt)
		log->kept[log->first + log->cnt - 1]->after.live = live;
}

/* They end in another order than they are listed where threads purge at once: none but the read ones go. */
void purge_log_reading(struct purge_log *log, const struct mark_reading *reading)
{
	size_t unread = 0;

	for (size_t i = log->cnt - log->unread; i < log->cnt; i++) {
		struct purge_finding *f = log->kept[log->first + i];

		if (f->after.state_ns)
			continue;
		if (!mark_read(&f->after, MARK_READS_LATER, reading) && !unread)
			unread = log->cnt - i;
	}
	log->unread = unread;
}

size_t purge_log_view(const struct purge_log *log, const struct purge_finding *const **view)
{
	*view = (const struct purge_finding *const *)(log->kept + log->first);
	return log->cnt;
}

uint64_t purge_log_total(const struct purge_log *log)
{
	return log->total;
}

struct purge_totals purge_log_totals(const struct purge_log *log)
{
	return log->totals;
}

uint64_t purge_log_returned(const struct purge_log *log)
{
	return log->returned;
}
