/* `alloctrace purge --json`: one object. */
#include "base/clock.h"
#include "report/json_tree.h"
#include "report/purge.h"

#define SCHEMA 1

static void usage(struct json *j, cJSON *parent, const char *name, const struct process_usage *u)
{
	cJSON *o = json_object(j, parent, name);

	json_integer(j, o, "rss", u->rss);
	json_integer(j, o, "lazy_free", u->lazy_free);
	json_integer(j, o, "swap", u->swap);
}

static const char *const places[] = {
	[ATTEMPT_WAITING] = "waiting",
	[ATTEMPT_RETURNING] = "returning",
	[ATTEMPT_ALLOCATING] = "allocating",
};

static void call(struct json *j, const struct purge_report *r)
{
	const struct search *s = r->search;
	const struct attempt *a = &s->done;
	cJSON *o = json_object(j, j->root, "call");
	char name[WAIT_NAME_MAX];

	json_seconds(j, o, "time", clock_epoch(a->entered_ns));
	json_integer(j, o, "duration_ns", a->returned_ns - a->entered_ns);
	json_integer(j, o, "thread", (uint64_t)a->tid);
	json_text(j, o, "thread_name", s->done_name);
	json_text(j, o, "met", places[a->place]);
	json_text(j, o, "system_call",
		  a->place == ATTEMPT_ALLOCATING ? NULL : wait_call_name(a->call.number, name));
	json_integer(j, o, "away_ns", a->released_ns - a->stopped_ns);
	usage(j, o, "before", &s->before);
	usage(j, o, "after", &r->after);
	json_signed(j, o, "returned",
		    (int64_t)(s->before.rss - s->before.lazy_free) -
			    (int64_t)(r->after.rss - r->after.lazy_free));
}

static void threads(struct json *j, const struct search *s)
{
	cJSON *list = json_array(j, j->root, "threads");

	for (size_t i = 0; i < s->thread_cnt; i++) {
		cJSON *o = json_object(j, list, NULL);
		char name[WAIT_NAME_MAX];

		json_integer(j, o, "tid", (uint64_t)s->threads[i].tid);
		json_text(j, o, "name", s->threads[i].name);
		json_text(j, o, "system_call",
			  s->threads[i].seen.call.number == WAIT_RUNS
				  ? NULL
				  : wait_call_name(s->threads[i].seen.call.number, name));
		json_text(j, o, "why_not", s->threads[i].why[0] ? s->threads[i].why : NULL);
	}
}

int report_purge_json(FILE *out, const struct purge_report *r)
{
	const struct heap_allocator *a = r->allocator;
	struct json j;

	json_init(&j);
	json_integer(&j, j.root, "schema", SCHEMA);
	json_integer(&j, j.root, "pid", (uint64_t)r->process->pid);
	json_text(&j, j.root, "command", r->process->comm);
	json_text(&j, j.root, "allocator", a->kind->name);
	json_text(&j, j.root, "version", a->version[0] ? a->version : NULL);
	json_text(&j, j.root, "function", a->kind->purge_call);
	json_figure(&j, j.root, "rss", r->rss);
	json_figure(&j, j.root, "resident", a->resident);
	json_figure(&j, j.root, "retained", a->retained);
	json_figure(&j, j.root, "predicted", a->purgeable);
	json_figure(&j, j.root, "expected_ns", r->expected_ns);
	json_bool(&j, j.root, "dry_run", r->dry_run);
	json_bool(&j, j.root, "done", r->done);
	json_text(&j, j.root, "refused", r->refused);
	json_integer(&j, j.root, "stops", r->search->stops);
	if (r->done)
		call(&j, r);
	else
		json_null(&j, j.root, "call");
	threads(&j, r->search);
	return json_write(&j, out);
}
