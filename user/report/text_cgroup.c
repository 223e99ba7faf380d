#include "report/text_cgroup.h"

#include <inttypes.h>

#include "base/printable.h"
#include "base/units.h"

static bool is_figure(uint64_t bytes)
{
	return bytes != CGROUP_NO_LIMIT && bytes != CGROUP_UNKNOWN;
}

static void put_limits(FILE *out, const struct cgroup_memory *m)
{
	char bytes[UNITS_TEXT_MAX];

	if (is_figure(m->current))
		fprintf(out, ": %s", units_bytes(bytes, m->current));
	if (is_figure(m->effective_max.bytes))
		fprintf(out, " of %s", units_bytes(bytes, m->effective_max.bytes));
	else
		fputs(", no limit", out);
	if (is_figure(m->effective_high.bytes))
		fprintf(out, ", high %s", units_bytes(bytes, m->effective_high.bytes));
	if (is_figure(m->swap_current) && m->swap_current)
		fprintf(out, ", swap %s", units_bytes(bytes, m->swap_current));
	if (is_figure(m->swap_max))
		fprintf(out, "%s", m->swap_max ? ", swap limited" : ", no swap");
	if (m->some.avg10 > 0)
		fprintf(out, ", waits for memory %.0f %% of the time", m->some.avg10);
}

static void put_forecast(FILE *out, const struct cgroup_view *c, bool colour)
{
	char bytes[UNITS_TEXT_MAX], span[UNITS_TEXT_MAX];

	if (!c->growing)
		return;
	fprintf(out, ", growing by %s a minute", units_bytes(bytes, (uint64_t)(c->growth * 60)));
	if (c->seconds_to_limit >= 0)
		fprintf(out, ": %sthe limit in about %s%s", colour ? "\033[1m" : "",
			units_time(span, (uint64_t)(c->seconds_to_limit * 1e9)), colour ? "\033[0m" : "");
}

static void put_events(FILE *out, const struct cgroup_view *c)
{
	const char *separator = "; since the attach ";

	if (c->high_events) {
		fprintf(out, "%s%" PRIu64 " times above high", separator, c->high_events);
		separator = ", ";
	}
	if (c->max_events) {
		fprintf(out, "%s%" PRIu64 " times at the limit", separator, c->max_events);
		separator = ", ";
	}
	if (c->oom_kills)
		fprintf(out, "%s%" PRIu64 " killed by the OOM killer", separator, c->oom_kills);
}

void text_cgroup(FILE *out, const struct snapshot *s, bool colour)
{
	char path[128];

	if (!s->cgroup)
		return;
	fprintf(out, "  cgroup %s", printable(path, sizeof(path), s->cgroup->path));
	put_limits(out, &s->cgroup->memory);
	put_forecast(out, s->cgroup, colour);
	put_events(out, s->cgroup);
	fputc('\n', out);
}
