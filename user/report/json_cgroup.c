#include "report/json_cgroup.h"

void json_cgroup_figure(struct json *j, cJSON *parent, const char *name, uint64_t value)
{
	if (value == CGROUP_NO_LIMIT)
		json_text(j, parent, name, "max");
	else if (value == CGROUP_UNKNOWN)
		json_null(j, parent, name);
	else
		json_integer(j, parent, name, value);
}

static void pressure(struct json *j, cJSON *parent, const char *name, const struct cgroup_pressure *p)
{
	cJSON *o;

	if (p->avg10 < 0) {
		json_null(j, parent, name);
		return;
	}
	o = json_object(j, parent, name);
	json_number(j, o, "avg10", p->avg10);
	json_number(j, o, "avg60", p->avg60);
	json_number(j, o, "avg300", p->avg300);
	json_integer(j, o, "total_us", p->total_us);
}

void json_cgroup_memory(struct json *j, cJSON *o, const struct cgroup_memory *m)
{
	cJSON *events;

	json_cgroup_figure(j, o, "current", m->current);
	json_cgroup_figure(j, o, "high", m->effective_high.bytes);
	json_cgroup_figure(j, o, "max", m->effective_max.bytes);
	json_text(j, o, "max_of", m->effective_max.path[0] ? m->effective_max.path : NULL);
	json_cgroup_figure(j, o, "swap_current", m->swap_current);
	json_cgroup_figure(j, o, "swap_max", m->effective_swap_max.bytes);
	events = json_object(j, o, "events");
	json_cgroup_figure(j, events, "high", m->events.high);
	json_cgroup_figure(j, events, "max", m->events.max);
	json_cgroup_figure(j, events, "oom", m->events.oom);
	json_cgroup_figure(j, events, "oom_kill", m->events.oom_kill);
	pressure(j, o, "pressure_some", &m->some);
	pressure(j, o, "pressure_full", &m->full);
}

void json_cgroup(struct json *j, cJSON *parent, const struct cgroup_view *view)
{
	cJSON *o, *fresh;

	if (!view) {
		json_null(j, parent, "cgroup");
		return;
	}
	o = json_object(j, parent, "cgroup");
	json_text(j, o, "path", view->path);
	json_cgroup_memory(j, o, &view->memory);
	fresh = json_object(j, o, "since_attach");
	json_integer(j, fresh, "high", view->high_events);
	json_integer(j, fresh, "max", view->max_events);
	json_integer(j, fresh, "oom_kill", view->oom_kills);
	if (view->growing)
		json_integer(j, o, "growth", (uint64_t)view->growth);
	else
		json_null(j, o, "growth");
	if (view->growing && view->seconds_to_limit >= 0)
		json_seconds(j, o, "seconds_to_limit", view->seconds_to_limit);
	else
		json_null(j, o, "seconds_to_limit");
}
