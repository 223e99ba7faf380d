#include "check/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"

const char *const check_status_names[CHECK_STATUS_CNT] = {
	[CHECK_WARN] = "warn",
	[CHECK_UNKNOWN] = "unknown",
	[CHECK_PASS] = "pass",
};

/* In the order in which one would ask. */
const struct check checks[] = {
	{"events", check_events},
	{"rss", check_rss_trend},
	{"retained", check_retained},
	{"allocator", check_serves},
	{"preload", check_preloads},
	{"variables", check_variables},
	{"arenas", check_arenas},
	{"arena-threads", check_arena_threads},
	{"memory-max", check_memory_max},
	{"memory-high", check_memory_high},
	{"swap", check_swap},
	{"oom-score", check_oom_score},
	{"managed-oom", check_managed_oom},
	{"descriptors", check_descriptors},
	{"huge-pages", check_huge_pages},
	{NULL, NULL},
};

void check_all(const struct check_facts *facts, struct check_findings *out)
{
	*out = (struct check_findings){.cnt = 0};
	for (const struct check *c = checks; c->name; c++) {
		out->check = c->name;
		c->run(facts, out);
	}
}

void check_add(struct check_findings *out, enum check_status status, const char *fmt, ...)
{
	struct check_finding *f = &out->v[out->cnt];
	va_list args;

	if (out->cnt == CHECK_FINDINGS_MAX)
		return;
	f->status = status;
	f->check = out->check;
	f->fix[0] = '\0';
	va_start(args, fmt);
	vsnprintf(f->evidence, sizeof(f->evidence), fmt, args);
	va_end(args);
	out->cnt++;
	out->of[status]++;
}

void check_fix(struct check_findings *out, const char *fmt, ...)
{
	struct check_finding *f = &out->v[out->cnt ? out->cnt - 1 : 0];
	va_list args;

	va_start(args, fmt);
	vsnprintf(f->fix, sizeof(f->fix), fmt, args);
	va_end(args);
}

uint64_t check_rss(const struct check_facts *facts)
{
	return facts->sample_cnt ? facts->samples[facts->sample_cnt - 1].rss : 0;
}

uint64_t check_much(const struct check_facts *facts)
{
	uint64_t fifth = check_rss(facts) / 5;

	return fifth > 32 * MIB ? fifth : 32 * MIB;
}

const char *check_serving(const struct check_facts *facts, char buf[96])
{
	size_t used = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < facts->heap.allocator_cnt && used < 96; i++) {
		const struct heap_allocator *a = &facts->heap.allocators[i];

		if (a->serving)
			used += (size_t)snprintf(buf + used, 96 - used, "%s%s%s%s", used ? " and " : "",
						 a->kind->name, a->version[0] ? " " : "", a->version);
	}
	return buf;
}

const struct heap_allocator *check_allocator(const struct check_facts *facts, const char *kind)
{
	for (size_t i = 0; i < facts->heap.allocator_cnt; i++)
		if (!strcmp(facts->heap.allocators[i].kind->name, kind))
			return &facts->heap.allocators[i];
	return NULL;
}
