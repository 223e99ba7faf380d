#include "command/camera.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "command/cgroup_watch.h"

struct camera {
	const struct watch_target *target;
	bool follow;
	struct cgroup_watch *cgroup; /* NULL: none */
	uint64_t started_ns, first;
	char title[CHOICE_TITLE_MAX];
};

struct camera *camera_new(const struct watch_target *target, bool follow)
{
	struct camera *c = calloc(1, sizeof(*c));

	if (c)
		*c = (struct camera){.target = target, .follow = follow, .started_ns = clock_monotonic_ns()};
	return c;
}

void camera_free(struct camera *c)
{
	if (!c)
		return;
	cgroup_watch_free(c->cgroup);
	free(c);
}

void camera_begin(struct camera *c, const struct group *group)
{
	c->first = group_ever(group);
	c->cgroup = cgroup_watch_new(choice_cgroup(c->target->choice), c->target->pid);
}

void camera_tick(struct camera *c)
{
	cgroup_watch_tick(c->cgroup);
}

static const char *title(struct camera *c, const struct snapshot *first)
{
	const char *chosen = choice_title(c->target->choice);

	if (chosen[0])
		return chosen;
	if (c->title[0])
		return c->title;
	if (c->target->is_child || c->follow)
		snprintf(c->title, sizeof(c->title), "%s and its children",
			 first ? first->command : "the command");
	else
		snprintf(c->title, sizeof(c->title), "all together");
	return c->title;
}

void camera_take(struct camera *c, struct group *group, enum picture_kind kind, const char *ended,
		 struct picture *p)
{
	*p = (struct picture){
		.kind = kind,
		.started_ns = c->started_ns,
		.ended = ended,
		.with_ended = c->target->is_child,
		.first = c->first,
	};
	p->cnt = kind == PICTURE_ENDS ? group_dead(group, &p->v)
				      : group_snapshots(group, kind == PICTURE_FINAL, ended, &p->v);
	p->ever = group_ever(group);
	p->living = group_living(group);
	p->went = group_went(group);
	p->left_out = group_left_out(group);
	p->too_short = group_too_short(group);
	p->title = title(c, p->cnt ? p->v[0] : NULL);
	p->cgroup = cgroup_watch_look(c->cgroup);
	p->time_ns = clock_monotonic_ns();
	p->epoch_ns = clock_lead();
}
