/* What grew in the two seconds: resident memory and descriptors. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "check/check.h"

/* ---- RSS ---- */

struct trend {
	int64_t step[2];   /* bytes from one sample to the next */
	double rate[2];    /* the same a second */
	double per_second; /* over both */
};

static double rate_of(int64_t bytes, uint64_t ns)
{
	return ns ? (double)bytes * NSEC_PER_SEC / (double)ns : 0;
}

/* own: without shared memory, which is mapped at once and becomes resident as it is touched. */
static struct trend trend_of(const struct check_sample *s, bool own)
{
	struct trend t;

	for (size_t i = 0; i < 2; i++) {
		t.step[i] = (int64_t)(s[i + 1].rss - s[i].rss);
		if (own)
			t.step[i] -= (int64_t)(s[i + 1].shmem - s[i].shmem);
		t.rate[i] = rate_of(t.step[i], s[i + 1].time_ns - s[i].time_ns);
	}
	t.per_second = rate_of(t.step[0] + t.step[1], s[2].time_ns - s[0].time_ns);
	return t;
}

/* Both steps up by a MiB, at rates of which neither is more than three times the other: three points say no
 * more. */
static bool is_clear(const struct trend *t)
{
	return t->step[0] >= (int64_t)MIB && t->step[1] >= (int64_t)MIB && t->rate[0] <= 3 * t->rate[1] &&
	       t->rate[1] <= 3 * t->rate[0];
}

/* " and reaches the limit of 4 GiB in 3 min 20 s at this rate", where there is a limit. */
static void say_limit(const struct check_facts *facts, double per_second, char *buf, size_t size)
{
	uint64_t max = facts->in_cgroup ? facts->memory.effective_max.bytes : CGROUP_UNKNOWN;
	uint64_t used = facts->samples[facts->sample_cnt - 1].cgroup_current;
	char limit[UNITS_TEXT_MAX], left[UNITS_TEXT_MAX];

	buf[0] = '\0';
	if (max >= CGROUP_UNKNOWN || used >= CGROUP_UNKNOWN || used >= max)
		return;
	snprintf(buf, size, ": the cgroup reaches its limit of %s in %s at this rate",
		 units_bytes(limit, max),
		 units_time(left, (uint64_t)((double)(max - used) / per_second * 1e9)));
}

void check_rss_trend(const struct check_facts *facts, struct check_findings *out)
{
	const struct check_sample *s = facts->samples;
	char points[3][UNITS_TEXT_MAX], rate[UNITS_TEXT_MAX], limit[128];
	struct trend t;
	bool grows;

	if (facts->sample_cnt < 3) {
		check_add(out, CHECK_UNKNOWN, "RSS was read %zu times instead of 3", facts->sample_cnt);
		return;
	}
	t = trend_of(s, false);
	grows = is_clear(&t);
	t = trend_of(s, true);
	for (size_t i = 0; i < 3; i++)
		units_bytes(points[i], s[i].rss);
	if (is_clear(&t)) {
		say_limit(facts, t.per_second, limit, sizeof(limit));
		check_add(out, CHECK_WARN, "RSS %s → %s → %s, %s a second%s", points[0], points[1], points[2],
			  units_bytes(rate, (uint64_t)t.per_second), limit);
		check_fix(out,
			  "`alloctrace attach %d` says whether it is live or retained, and who allocates",
			  facts->pid);
		return;
	}
	if (grows) {
		check_add(out, CHECK_PASS,
			  "RSS %s → %s → %s in %.1f s: only by shared memory, as it is touched", points[0],
			  points[1], points[2], (double)(s[2].time_ns - s[0].time_ns) / NSEC_PER_SEC);
		return;
	}
	check_add(out, CHECK_PASS, "RSS %s → %s → %s in %.1f s: no clear growth", points[0], points[1],
		  points[2], (double)(s[2].time_ns - s[0].time_ns) / NSEC_PER_SEC);
}

/* ---- descriptors ---- */

#define MANY 500        /* from here on connection churn is suspected: the checklist's figure */
#define GROWTH_CLEAR 10 /* more open than two seconds ago */
#define LIMIT_SHARE 0.8

/* All names are plurals in -s. */
static size_t name_len(size_t kind, uint64_t cnt)
{
	return strlen(descriptor_kind_names[kind]) - (cnt == 1);
}

/* "600 sockets, 12 files, 1 pipe, 3 others": all but the three largest kinds together. */
static void say_kinds(const struct check_sample *s, char *buf, size_t size)
{
	size_t used = 0, named = 0;
	uint64_t rest = s->descriptor_cnt;
	bool said[DESCRIPTOR_KIND_CNT] = {false};

	for (; named < 3 && used < size; named++) {
		size_t best = DESCRIPTOR_KIND_CNT;

		for (size_t k = 0; k < DESCRIPTOR_KIND_CNT; k++)
			if (!said[k] && s->descriptors[k] &&
			    (best == DESCRIPTOR_KIND_CNT || s->descriptors[k] > s->descriptors[best]))
				best = k;
		if (best == DESCRIPTOR_KIND_CNT)
			break;
		said[best] = true;
		rest -= s->descriptors[best];
		used += (size_t)snprintf(buf + used, size - used, "%s%" PRIu64 " %.*s", named ? ", " : "",
					 s->descriptors[best], (int)name_len(best, s->descriptors[best]),
					 descriptor_kind_names[best]);
	}
	if (rest && used < size)
		snprintf(buf + used, size - used, ", %" PRIu64 " other%s", rest, rest > 1 ? "s" : "");
}

/* What was opened in the two seconds, of all kinds, and sockets alone. */
static uint64_t fresh(const struct check_facts *facts, uint64_t *sockets)
{
	uint64_t sum = 0;

	*sockets = 0;
	for (size_t i = 1; i < facts->sample_cnt; i++) {
		*sockets += facts->samples[i].fresh[DESCRIPTOR_SOCKET];
		for (size_t k = 0; k < DESCRIPTOR_KIND_CNT; k++)
			sum += facts->samples[i].fresh[k];
	}
	return sum;
}

void check_descriptors(const struct check_facts *facts, struct check_findings *out)
{
	const struct check_sample *first = &facts->samples[0], *last;
	char kinds[160] = "none", limit[48] = "";
	uint64_t opened, sockets, cnt, max = facts->descriptor_limit;
	bool grows;

	last = &facts->samples[facts->sample_cnt ? facts->sample_cnt - 1 : 0];
	cnt = last->descriptor_cnt;
	if (!facts->sample_cnt || first->descriptor_cnt == UNKNOWN || cnt == UNKNOWN) {
		check_add(out, CHECK_UNKNOWN, "/proc/%d/fd cannot be read", facts->pid);
		return;
	}
	say_kinds(last, kinds, sizeof(kinds));
	opened = fresh(facts, &sockets);
	grows = cnt >= first->descriptor_cnt + GROWTH_CLEAR;
	if (max && max != UINT64_MAX)
		snprintf(limit, sizeof(limit), " of at most %" PRIu64, max);
	if (max && max != UINT64_MAX && (double)cnt >= LIMIT_SHARE * (double)max) {
		check_add(out, CHECK_WARN, "%" PRIu64 " descriptors%s: %s", cnt, limit, kinds);
		check_fix(out, "close responses and sessions, one a thread; LimitNOFILE= only hides a leak");
	} else if (cnt >= MANY && last->descriptors[DESCRIPTOR_SOCKET] >= cnt / 2) {
		check_add(out, CHECK_WARN,
			  "%" PRIu64 " descriptors%s: %s; %" PRIu64 " sockets were opened in the 2 s", cnt,
			  limit, kinds, sockets);
		if (sockets)
			check_fix(out,
				  "connection churn: reuse one session a thread, close responses; fine for a "
				  "server with as many clients");
		else
			check_fix(out, "none comes or goes now: fine for a server with as many clients, else "
				       "a leak");
	} else if (cnt >= MANY) {
		check_add(out, CHECK_WARN, "%" PRIu64 " descriptors%s: %s", cnt, limit, kinds);
		check_fix(out, "ls -l /proc/%d/fd tells what they are; close what is not needed", facts->pid);
	} else if (grows) {
		check_add(out, CHECK_WARN, "descriptors grow: %" PRIu64 " → %" PRIu64 "%s in the 2 s: %s",
			  first->descriptor_cnt, cnt, limit, kinds);
		check_fix(out, "look again in a minute; if it goes on, something is opened and never closed");
	} else {
		check_add(out, CHECK_PASS, "%" PRIu64 " descriptors%s: %s; %" PRIu64 " opened in the 2 s",
			  cnt, limit, kinds, opened);
	}
}
