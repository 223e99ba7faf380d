#include "probe/watch.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/units.h"

#define DOUBT_AFTER (NSEC_PER_SEC / 2) /* from then on the thread is looked for at each poll */
#define FORGET_AFTER (60 * NSEC_PER_SEC)
#define INTERVAL (NSEC_PER_SEC / 20) /* between two beginnings: each stops every CPU for a moment */

static void forget(struct watch *watch, size_t i)
{
	watch->purges[i] = watch->purges[--watch->cnt];
}

static void forget_process(struct watch *watch, uint32_t tgid)
{
	for (size_t i = watch->cnt; i-- > 0;)
		if (watch->purges[i].tgid == tgid)
			forget(watch, i);
}

static void begin(struct watch *watch, const struct event_purge_begin *purge)
{
	if (!(purge->flags & PURGE_OTHERS_RAN))
		return;
	/* A thread is in one purge at a time: the one before was left by longjmp. */
	for (size_t i = watch->cnt; i-- > 0;)
		if (watch->purges[i].tid == purge->head.tid)
			forget(watch, i);
	if (watch->cnt == WATCH_PURGES_MAX)
		return;
	watch->purges[watch->cnt].id = purge->id;
	watch->purges[watch->cnt].time = purge->head.time;
	watch->purges[watch->cnt].tgid = purge->head.tgid;
	watch->purges[watch->cnt].tid = purge->head.tid;
	watch->cnt++;
}

void watch_event(struct watch *watch, const struct event *ev)
{
	switch (ev->head->kind) {
	case EVENT_PURGE_BEGIN:
		begin(watch, ev->purge_begin);
		break;
	case EVENT_PURGE:
		for (size_t i = watch->cnt; i-- > 0;)
			if (watch->purges[i].id == ev->purge->id)
				forget(watch, i);
		break;
	case EVENT_EXEC:
	case EVENT_EXIT:
		forget_process(watch, ev->head->tgid);
		break;
	default:
		break;
	}
}

static bool thread_lives(uint32_t tgid, uint32_t tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%u/task/%u", tgid, tid);
	return !access(path, F_OK);
}

int watch_apply(struct watch *watch, struct programs *programs)
{
	uint64_t now = clock_monotonic_ns();

	for (size_t i = watch->cnt; i-- > 0;) {
		uint64_t age = now - watch->purges[i].time;

		if (age > FORGET_AFTER ||
		    (age > DOUBT_AFTER && !thread_lives(watch->purges[i].tgid, watch->purges[i].tid)))
			forget(watch, i);
	}
	if (!watch->cnt) {
		watch->on = false;
	} else if (!watch->on && now - watch->last_begin >= INTERVAL) {
		watch->on = true;
		watch->last_begin = now;
	}
	return programs_watch(programs, watch->on);
}
