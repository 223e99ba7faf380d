/* The cgroup: what limits the memory, and what has happened there (systemd.resource-control(5)). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "check/check.h"

/* MemoryHigh is to be 50 to 66 % of MemoryMax, as our users' checklist has it; a percent is rounding. */
#define HIGH_LEAST 0.49
#define HIGH_MOST 0.67
#define NEARLY_FULL 0.9

static bool is_limit(uint64_t bytes)
{
	return bytes < CGROUP_UNKNOWN;
}

/* " of /user.slice", where another cgroup than the process's own sets a limit. */
static const char *whose(const struct check_facts *facts, const struct cgroup_limit *limit, char buf[160])
{
	buf[0] = '\0';
	if (strcmp(limit->path, facts->cgroup.accounts_path) != 0)
		snprintf(buf, 160, " (set for %.140s)", limit->path);
	return buf;
}

static bool is_service(const struct check_facts *facts)
{
	const char *dot = facts->has_unit ? strrchr(facts->unit.name, '.') : NULL;

	return dot && !strcmp(dot, ".service");
}

/* How a limit is set here. */
static void fix_limit(const struct check_facts *facts, struct check_findings *out, const char *setting)
{
	if (facts->has_unit)
		check_fix(out, "systemctl%s set-property %s %s", facts->unit.user >= 0 ? " --user" : "",
			  facts->unit.name, setting);
	else
		check_fix(out, "%s, or the container's memory options", setting);
}

static bool unknown_cgroup(const struct check_facts *facts, struct check_findings *out)
{
	if (facts->in_cgroup)
		return false;
	check_add(out, CHECK_UNKNOWN, "the process's cgroup is not to be seen from here");
	return true;
}

void check_memory_max(const struct check_facts *facts, struct check_findings *out)
{
	const struct cgroup_memory *m = &facts->memory;
	const struct cgroup_limit *max = &m->effective_max;
	char limit[UNITS_TEXT_MAX], used[UNITS_TEXT_MAX], total[UNITS_TEXT_MAX], who[160];

	if (unknown_cgroup(facts, out))
		return;
	units_bytes(total, facts->memory_total);
	if (!is_limit(max->bytes)) {
		if (!is_service(facts)) {
			check_add(out, CHECK_PASS, "no limit but the machine's %s", total);
			return;
		}
		check_add(out, CHECK_WARN, "no MemoryMax: only the machine's %s end its growth", total);
		fix_limit(facts, out, "MemoryMax=…");
		return;
	}
	units_bytes(limit, max->bytes);
	whose(facts, max, who);
	if (!is_limit(m->current)) {
		check_add(out, CHECK_PASS, "%s%s", limit, who);
		return;
	}
	units_bytes(used, m->current);
	if ((double)m->current >= NEARLY_FULL * (double)max->bytes) {
		check_add(out, CHECK_WARN, "%s of at most %s%s are used (%.0f %%)", used, limit, who,
			  100.0 * (double)m->current / (double)max->bytes);
		check_fix(out, "see retained and rss: a higher limit only postpones a leak");
	} else {
		check_add(out, CHECK_PASS, "%s of at most %s%s are used (%.0f %%)", used, limit, who,
			  100.0 * (double)m->current / (double)max->bytes);
	}
}

/* "MemoryHigh=2G": three fifths of the limit, in whole MiB. */
static void fix_high(const struct check_facts *facts, struct check_findings *out)
{
	char setting[64];

	snprintf(setting, sizeof(setting), "MemoryHigh=%" PRIu64 "M",
		 (uint64_t)((double)facts->memory.effective_max.bytes * 0.6 / (double)MIB));
	fix_limit(facts, out, setting);
}

void check_memory_high(const struct check_facts *facts, struct check_findings *out)
{
	const struct cgroup_memory *m = &facts->memory;
	uint64_t high = m->effective_high.bytes, max = m->effective_max.bytes;
	char high_text[UNITS_TEXT_MAX], max_text[UNITS_TEXT_MAX];
	double share;

	if (!facts->in_cgroup || !is_limit(max))
		return;
	units_bytes(max_text, max);
	if (facts->cgroup.v1) {
		check_add(out, CHECK_UNKNOWN,
			  "version 1 of cgroups has no MemoryHigh: at %s the kernel kills", max_text);
		return;
	}
	if (high == CGROUP_UNKNOWN) {
		check_add(out, CHECK_UNKNOWN, "memory.high cannot be read");
		return;
	}
	if (high == CGROUP_NO_LIMIT || high >= max) {
		check_add(out, CHECK_WARN,
			  "no MemoryHigh below the limit of %s: the kernel kills without slowing it down "
			  "before",
			  max_text);
		fix_high(facts, out);
		return;
	}
	units_bytes(high_text, high);
	share = (double)high / (double)max;
	if (share < HIGH_LEAST || share > HIGH_MOST) {
		check_add(out, CHECK_WARN,
			  "MemoryHigh is %s, %.0f %% of the limit of %s: 50 to 66 %% leave time to reclaim",
			  high_text, 100 * share, max_text);
		fix_high(facts, out);
	} else {
		check_add(out, CHECK_PASS, "MemoryHigh is %s, %.0f %% of the limit", high_text, 100 * share);
	}
}

/* The question is whether a limit makes the service thrash for hours instead of failing. */
void check_swap(const struct check_facts *facts, struct check_findings *out)
{
	const struct cgroup_memory *m = &facts->memory;
	uint64_t swapped = facts->sample_cnt ? facts->samples[facts->sample_cnt - 1].swap : 0;
	char total[UNITS_TEXT_MAX], own[UNITS_TEXT_MAX], most[UNITS_TEXT_MAX];

	if (!facts->in_cgroup || !is_limit(m->effective_max.bytes))
		return;
	if (!facts->swap_total) {
		check_add(out, CHECK_PASS, "the machine has no swap");
		return;
	}
	units_bytes(own, swapped);
	units_bytes(total, facts->swap_total);
	if (m->effective_swap_max.bytes == CGROUP_UNKNOWN) {
		check_add(out, CHECK_UNKNOWN,
			  "the kernel does not account swap here; %s of the process are swapped", own);
	} else if (m->effective_swap_max.bytes == 0) {
		check_add(out, CHECK_PASS, "MemorySwapMax is 0: it fails fast");
	} else {
		snprintf(most, sizeof(most), "%s", "no limit");
		if (is_limit(m->effective_swap_max.bytes))
			units_bytes(most, m->effective_swap_max.bytes);
		check_add(out, CHECK_WARN,
			  "may swap (MemorySwapMax: %s; the machine has %s): at the limit it thrashes "
			  "instead of failing; %s are swapped",
			  most, total, own);
		fix_limit(facts, out, "MemorySwapMax=0");
	}
}

/* ---- what has happened ---- */

#define PRESSURE_HIGH 10.0 /* percent of the last 10 s in which somebody waited for memory */

static void say_kills(const struct check_facts *facts, struct check_findings *out)
{
	check_add(out, CHECK_WARN,
		  "the OOM killer has struck %" PRIu64 " time%s in this cgroup since it was made",
		  facts->memory.events.oom_kill, facts->memory.events.oom_kill > 1 ? "s" : "");
	if (facts->has_unit)
		check_fix(out, "journalctl%s -u %s | grep -iE 'oom|killed' says whom and when",
			  facts->unit.user >= 0 ? " --user" : "", facts->unit.name);
	else
		check_fix(out, "dmesg | grep -i oom says whom and when");
}

void check_events(const struct check_facts *facts, struct check_findings *out)
{
	const struct cgroup_memory *m = &facts->memory;
	uint64_t kills = m->events.oom_kill, high = m->events.high, max = m->events.max;
	size_t before = out->cnt;

	if (!facts->in_cgroup || (!is_limit(kills) && !is_limit(high))) {
		check_add(out, CHECK_UNKNOWN, "the cgroup does not tell of past OOM kills");
		return;
	}
	if (is_limit(kills) && kills)
		say_kills(facts, out);
	if (is_limit(high) && high) {
		check_add(out, CHECK_WARN,
			  "MemoryHigh was reached %" PRIu64 " times: the kernel slowed it down", high);
		check_fix(out, "see retained: purge, or raise MemoryHigh if it is all live");
	}
	if (is_limit(max) && max && !(kills && is_limit(kills))) {
		check_add(out, CHECK_WARN,
			  "the limit was reached %" PRIu64 " times; reclaiming caches helped so far", max);
		check_fix(out, "see retained and rss: the next time it may be killed");
	}
	if (m->some.avg10 >= PRESSURE_HIGH) {
		check_add(out, CHECK_WARN,
			  "somebody waited for memory in %.0f %% of the last 10 s (pressure)", m->some.avg10);
		check_fix(out, "purge, or give it more memory: it is slowed down now");
	}
	if (out->cnt == before)
		check_add(out, CHECK_PASS, "no OOM kills%s in this cgroup since it was made",
			  is_limit(high) ? " and no throttling" : "");
}
