#include "probe/early.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../bpf/share.h"

#define EVENTS_MAX 8 /* files: each adds to every fork and every new thread */

/* The events of one file. */
struct early_event {
	unsigned user_cnt;
	uint32_t number;
	pid_t pid; /* on whose threads they were opened */
	const struct plan *plan;
	kept_link links[2];
	size_t link_cnt;
};

struct early {
	struct early_context *ctx;
	bool is_opener;
	struct early_event *v[EVENTS_MAX];
	size_t cnt;
	kept_link guard; /* 0: not yet */
};

struct early *early_new(struct early_context *ctx, const struct early *from)
{
	struct early *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	if (from)
		*e = *from;
	e->ctx = ctx;
	e->guard = 0;
	e->is_opener = false;
	for (size_t i = 0; i < e->cnt; i++)
		e->v[i]->user_cnt++;
	return e;
}

/* −1: nothing for a child's first milliseconds. */
static int act_of(enum plan_role role)
{
	switch (role) {
	case PLAN_ALLOC:
	case PLAN_ALLOC_THROWS:
		return EARLY_BEGIN;
	case PLAN_ALLOC_EXIT:
		return EARLY_END;
	case PLAN_FREE:
		return EARLY_FREE;
	default:
		return -1;
	}
}

static void forget_spots(const struct early *e, const struct early_event *event)
{
	for (size_t i = 0; i < event->plan->cnt; i++)
		if (act_of(event->plan->v[i].role) >= 0)
			programs_early_forget(e->ctx->programs, event->number, event->plan->v[i].at.offset);
}

static void event_free(const struct early *e, struct early_event *event)
{
	if (--event->user_cnt)
		return;
	keeper_drop(e->ctx->keeper, event->links, event->link_cnt);
	forget_spots(e, event);
	free(event);
}

void early_free(struct early *e)
{
	if (!e)
		return;
	e->ctx->opener_cnt -= e->is_opener;
	if (e->guard)
		keeper_drop(e->ctx->keeper, &e->guard, 1);
	for (size_t i = 0; i < e->cnt; i++)
		event_free(e, e->v[i]);
	free(e);
}

/* A function that returns where others begin has both at one offset: the one that acts first, its begin, is
 * no function that we know. */
static size_t spots_of(const struct early_event *event, enum link_when when, struct link_spot *spots)
{
	size_t cnt = 0;

	for (size_t i = 0; i < event->plan->cnt; i++) {
		const struct plan_spot *spot = &event->plan->v[i];
		bool wanted = when == LINK_AT_RETURN ? spot->role == PLAN_ALLOC : act_of(spot->role) >= 0;

		if (wanted)
			spots[cnt++] = (struct link_spot){.offset = spot->at.offset, .cookie = event->number};
	}
	return cnt;
}

static int open_when(const struct early *e, struct early_event *event, pid_t pid, const char *path,
		     enum link_when when, struct link_spot *spots)
{
	struct link_request request = {
		.backend = LINK_INHERITED,
		.when = when,
		.prog_fd = programs_early_fd(e->ctx->programs, when),
		.path = path,
		.pid = pid,
		.spots = spots,
		.spot_cnt = spots_of(event, when, spots),
	};
	int ret;

	if (!request.spot_cnt || request.prog_fd < 0) /* without return probes there is no program for them */
		return 0;
	ret = keeper_open(e->ctx->keeper, &request, &event->links[event->link_cnt]);
	event->link_cnt += !ret;
	return ret;
}

static int fill_spots(const struct early *e, const struct early_event *event)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < event->plan->cnt; i++) {
		const struct plan_spot *spot = &event->plan->v[i];

		if (act_of(spot->role) >= 0)
			ret = programs_early_spot(e->ctx->programs, event->number, spot->at.offset,
						  spot->at.cookie, (uint32_t)act_of(spot->role));
	}
	return ret;
}

/* The end before the begin, as everywhere. */
static int event_open(const struct early *e, struct early_event *event, pid_t pid, const char *path)
{
	struct link_spot *spots = calloc(event->plan->cnt + 1, sizeof(*spots));
	int ret = spots ? fill_spots(e, event) : -ENOMEM;

	ret = ret ?: open_when(e, event, pid, path, LINK_AT_RETURN, spots);
	ret = ret ?: open_when(e, event, pid, path, LINK_AT_ENTRY, spots);
	free(spots);
	return ret;
}

static bool has_allocs(const struct plan *plan)
{
	for (size_t i = 0; i < plan->cnt; i++)
		if (act_of(plan->v[i].role) >= 0)
			return true;
	return false;
}

static void say_uncovered(pid_t pid, const char *path, int code, struct missing *missing)
{
	if (code == -ESRCH)
		return;
	if (code == -E2BIG)
		missing_add(missing,
			    "what children of process %d allocate in their first milliseconds is not seen: "
			    "it has "
			    "more than %u threads",
			    pid, LINK_THREADS_MAX);
	else
		missing_add(missing,
			    "what children of process %d allocate in their first milliseconds is not seen: "
			    "events of %s cannot be inherited: %s",
			    pid, path, strerror(-code));
}

/* Not too many: those of others cost a hit too, if less. */
static bool may_open(struct early *e)
{
	if (!e->is_opener && e->ctx->opener_cnt < EARLY_OPENERS_MAX) {
		e->is_opener = true;
		e->ctx->opener_cnt++;
	}
	return e->is_opener;
}

static struct early_event *event_of(struct early *e, const struct plan *plan)
{
	for (size_t i = 0; i < e->cnt; i++)
		if (e->v[i]->plan == plan)
			return e->v[i];
	return NULL;
}

static struct early_event *event_add(struct early *e, pid_t pid, const struct plan *plan, const char *path,
				     struct missing *missing)
{
	struct early_event *event = e->cnt < EVENTS_MAX ? calloc(1, sizeof(*event)) : NULL;
	int ret = event ? 0 : -ENOSPC;

	if (event) {
		*event = (struct early_event){
			.user_cnt = 1,
			.number = programs_early_number(e->ctx->programs),
			.pid = pid,
			.plan = plan,
		};
		ret = event_open(e, event, pid, path);
	}
	if (ret)
		say_uncovered(pid, path, ret, missing);
	if (event && ret) {
		event_free(e, event);
		return NULL;
	}
	if (event)
		e->v[e->cnt++] = event;
	return event;
}

/* Of use is what comes after it: it stands before the first event. */
static void guard(struct early *e, pid_t pid)
{
	struct link_request request = {
		.backend = LINK_GUARD,
		.prog_fd = programs_early_fd(e->ctx->programs, LINK_AT_ENTRY),
		.path = "/",
		.pid = pid,
	};

	if (!e->guard && keeper_open(e->ctx->keeper, &request, &e->guard))
		e->guard = 0;
}

void early_take(struct early *e, pid_t pid, const struct plan *plan, const char *path,
		const struct mapping *m, struct missing *missing)
{
	struct early_event *event;

	if (!has_allocs(plan))
		return;
	event = event_of(e, plan);
	if (!event && !may_open(e))
		return;
	guard(e, pid);
	event = event ?: event_add(e, pid, plan, path, missing);
	if (!event || event->pid != pid)
		return;
	for (size_t i = 0; i < plan->cnt; i++) {
		uint64_t offset = plan->v[i].at.offset;
		int act = act_of(plan->v[i].role);

		if (act >= 0 && offset >= m->offset && offset - m->offset < m->end - m->start)
			programs_early_place(e->ctx->programs, event->number, m->start + offset - m->offset,
					     plan->v[i].at.cookie, (uint32_t)act);
	}
}

size_t early_cnt(const struct early *e)
{
	return e->cnt;
}
