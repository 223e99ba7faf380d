/* glibc's arenas and the threads that allocate from them. Other allocators keep heaps a thread by design. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "check/check.h"

#define ARENAS_PER_CORE 8 /* NARENAS_FROM_NCORES, malloc/arena.c, 64 bits */

static const struct heap_walk *glibc_walk(const struct check_facts *facts)
{
	const struct heap_allocator *a = check_allocator(facts, "glibc");

	return a && a->walked && a->serving ? &a->walk : NULL;
}

static uint64_t arena_max(const struct heap_walk *walk)
{
	for (size_t i = 0; i < walk->setting_cnt; i++)
		if (!strcmp(walk->settings[i].key, "arena_max"))
			return (uint64_t)walk->settings[i].value;
	return 0;
}

/* What lies outside of the main arena, and what of it in arenas that no thread uses any more. */
struct others {
	size_t cnt, idle_cnt;
	uint64_t retained, idle_resident;
};

static struct others sum_others(const struct heap_walk *walk)
{
	struct others sum = {0};

	for (size_t i = 0; i < walk->arena_cnt; i++) {
		const struct heap_arena *a = &walk->arenas[i];

		if (a->main)
			continue;
		sum.cnt++;
		sum.retained += a->f.retained;
		if (a->threads_known && !a->threads) {
			sum.idle_cnt++;
			sum.idle_resident += a->f.resident;
		}
	}
	return sum;
}

/* "at most 16 (8 × 2 cores)" */
static void say_most(const struct check_facts *facts, const struct heap_walk *walk, char *buf, size_t size)
{
	uint64_t set = arena_max(walk);

	if (set)
		snprintf(buf, size, "at most %" PRIu64 " (arena_max)", set);
	else if (facts->cores)
		snprintf(buf, size, "at most %u (%d × %u cores)", ARENAS_PER_CORE * facts->cores,
			 ARENAS_PER_CORE, facts->cores);
	else
		snprintf(buf, size, "no limit known");
}

void check_arenas(const struct check_facts *facts, struct check_findings *out)
{
	const struct heap_walk *walk = glibc_walk(facts);
	char most[64], retained[UNITS_TEXT_MAX], idle[UNITS_TEXT_MAX];
	struct others others;

	if (!walk)
		return;
	others = sum_others(walk);
	say_most(facts, walk, most, sizeof(most));
	units_bytes(retained, others.retained);
	units_bytes(idle, others.idle_resident);
	if (others.idle_resident >= check_much(facts)) {
		check_add(out, CHECK_WARN,
			  "%zu of %zu arenas belong to threads that have ended, and keep %s resident",
			  others.idle_cnt, walk->arena_cnt, idle);
		check_fix(
			out,
			"keep threads (a pool) instead of making new ones, set MALLOC_ARENA_MAX=2, and call "
			"malloc_trim(0)");
	} else if (others.cnt && others.retained >= check_much(facts)) {
		check_add(out, CHECK_WARN, "%zu arenas for %zu threads, %s: those of threads retain %s",
			  walk->arena_cnt, facts->threads.cnt, most, retained);
		if (arena_max(walk))
			check_fix(out, "call malloc_trim(0); fewer threads keep less");
		else
			check_fix(out, "MALLOC_ARENA_MAX=2 lets threads share what is free; malloc_trim(0) "
				       "returns it");
	} else {
		check_add(out, CHECK_PASS, "%zu arena%s for %zu thread%s, %s; those of threads retain %s",
			  walk->arena_cnt, walk->arena_cnt > 1 ? "s" : "", facts->threads.cnt,
			  facts->threads.cnt > 1 ? "s" : "", most, retained);
	}
}

/* ---- which thread ---- */

#define ARENAS_NAMED 4
#define THREADS_NAMED 2

static int by_resident(const void *x, const void *y)
{
	const struct heap_arena *a = *(const struct heap_arena *const *)x;
	const struct heap_arena *b = *(const struct heap_arena *const *)y;

	return a->f.resident < b->f.resident   ? 1
	       : a->f.resident > b->f.resident ? -1
	       : a->addr > b->addr             ? 1
					       : -1;
}

/* "main arena 12.0 MiB: redis-server (4242), bio (4243) and 3 more" */
static size_t say_arena(const struct check_facts *facts, const struct heap_arena *arena, char *buf,
			size_t size)
{
	char resident[UNITS_TEXT_MAX];
	size_t found = 0;
	int used;

	units_bytes(resident, arena->f.resident);
	if (arena->main)
		used = snprintf(buf, size, "main %s:", resident);
	else
		used = snprintf(buf, size, "%#" PRIx64 " %s:", arena->addr, resident);
	for (size_t i = 0; i < facts->threads.cnt && (size_t)used < size; i++) {
		if (facts->thread_arenas[i] != arena->addr)
			continue;
		if (found++ < THREADS_NAMED)
			used += snprintf(buf + used, size - (size_t)used, "%s %s (%d)", found > 1 ? "," : "",
					 facts->threads.v[i].name, facts->threads.v[i].tid);
	}
	if (found > THREADS_NAMED && (size_t)used < size)
		used += snprintf(buf + used, size - (size_t)used, " and %zu more", found - THREADS_NAMED);
	if (!found && (size_t)used < size)
		used += snprintf(buf + used, size - (size_t)used, "%s",
				 arena->threads_known && !arena->threads ? " no thread any more" : " –");
	return (size_t)used < size ? (size_t)used : size - 1;
}

void check_arena_threads(const struct check_facts *facts, struct check_findings *out)
{
	const struct heap_walk *walk = glibc_walk(facts);
	const struct heap_arena **sorted;
	char text[CHECK_TEXT_MAX - 48] = "";
	size_t used = 0, i;

	if (!walk || walk->arena_cnt < 2)
		return;
	if (!facts->arenas_known || !facts->thread_arenas) {
		check_add(out, CHECK_UNKNOWN,
			  "which threads use which of the %zu arenas is not to be seen in this C library",
			  walk->arena_cnt);
		return;
	}
	sorted = calloc(walk->arena_cnt, sizeof(*sorted));
	if (!sorted)
		return;
	for (i = 0; i < walk->arena_cnt; i++)
		sorted[i] = &walk->arenas[i];
	qsort(sorted, walk->arena_cnt, sizeof(*sorted), by_resident);
	for (i = 0; i < walk->arena_cnt && i < ARENAS_NAMED && used + 64 < sizeof(text); i++) {
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s", i ? "; " : "");
		used += say_arena(facts, sorted[i], text + used, sizeof(text) - used);
	}
	if (i < walk->arena_cnt)
		check_add(out, CHECK_PASS, "%s; %zu more", text, walk->arena_cnt - i);
	else
		check_add(out, CHECK_PASS, "%s", text);
	free(sorted);
}
