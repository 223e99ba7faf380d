#include "command/marking.h"

#include <stdio.h>
#include <stdlib.h>

struct marking {
	pid_t pid;
	struct tracer *tracer;
	const struct mark_points *points; /* NULL: none */
	struct marks *marks;
	uint64_t reported; /* the number of the last that was shown in an interval */
	char missing[320];
};

/* A function that is never called has a tally too; they are the first. */
static int expect(struct marking *m)
{
	int ret = 0;

	for (size_t i = 0; !ret && m->points && i < m->points->cnt; i++)
		ret = marks_expect(m->marks, m->points->v[i].kind);
	return ret;
}

struct marking *marking_new(pid_t pid, struct tracer *tracer, const struct mark_points *points)
{
	struct marking *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	*m = (struct marking){.pid = pid, .tracer = tracer, .points = tracer ? points : NULL};
	m->marks = marks_new();
	if (m->marks && !expect(m))
		return m;
	marking_free(m);
	return NULL;
}

void marking_free(struct marking *m)
{
	if (!m)
		return;
	marks_free(m->marks);
	free(m);
}

bool marking_event(struct marking *m, const struct event *ev, uint64_t live)
{
	const struct traced_function *fn = tracer_function(m->tracer, ev->head->func);

	return fn && fn->mark &&
	       marking_add(m, &(struct mark){
				      .time_ns = ev->head->time,
				      .kind = fn->mark->kind,
				      .text = "",
				      .rss = ev->mark->rss,
				      .live = live,
				      .reads = MARK_READS_NEAREST,
			      });
}

uint64_t marking_add(struct marking *m, const struct mark *mark)
{
	return marks_add(m->marks, mark);
}

void marking_reading(struct marking *m, const struct mark_reading *reading)
{
	marks_reading(m->marks, reading);
}

bool marking_is_read(const struct marking *m, uint64_t mark)
{
	return marks_settled(m->marks) >= mark;
}

static void fill_marks(struct marking *m, struct snapshot *s)
{
	uint64_t total = marks_total(m->marks), upto = s->final ? total : marks_settled(m->marks);
	size_t kept = marks_view(m->marks, &s->marks);
	uint64_t first = total - kept;

	if (!s->final && m->reported > first)
		first = m->reported;
	s->marks += first - (total - kept);
	s->mark_cnt = upto > first ? (size_t)(upto - first) : 0;
	s->marks_total = total;
	if (upto > m->reported)
		m->reported = upto;
}

/* Calls that came too often to be marked each. */
static uint64_t skipped(const struct marking *m, const struct mark_point *point, uint64_t marked)
{
	uint64_t hits = tracer_mark_hits(m->tracer, m->pid, point);

	return hits > marked ? hits - marked : 0;
}

void marking_fill(struct marking *m, struct snapshot *s)
{
	struct mark_tally *tallies;

	fill_marks(m, s);
	s->mark_tally_cnt = marks_tallies(m->marks, &tallies);
	s->mark_tallies = tallies;
	for (size_t i = 0; m->points && i < m->points->cnt; i++)
		tallies[i].skipped = skipped(m, &m->points->v[i], tallies[i].cnt);
}

const char *marking_missing(struct marking *m)
{
	static const char *const why[] = {
		[MARK_NO_OBJECT] = "not loaded",
		[MARK_NO_SYMBOL] = "no such function in its symbol tables",
	};
	size_t used = 0;

	for (size_t i = 0; m->points && i < m->points->cnt && used < sizeof(m->missing); i++) {
		const struct mark_point *point = &m->points->v[i];
		enum mark_sight sight = tracer_sees_mark(m->tracer, m->pid, point);

		if (sight == MARK_NO_OBJECT || sight == MARK_NO_SYMBOL)
			used += (size_t)snprintf(m->missing + used, sizeof(m->missing) - used, "%s%s (%s)",
						 used ? ", " : "calls of ", point->given, why[sight]);
	}
	return used ? m->missing : NULL;
}
