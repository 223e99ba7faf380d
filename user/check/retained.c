/* Where the resident memory is that the program does not use. */
#include <inttypes.h>

#include "base/units.h"
#include "check/check.h"

/* What purges the serving allocator that holds most of what can be purged; NULL: nothing does. */
static const char *purge_call(const struct check_facts *facts)
{
	const struct heap_allocator *best = NULL;

	for (size_t i = 0; i < facts->heap.allocator_cnt; i++) {
		const struct heap_allocator *a = &facts->heap.allocators[i];

		if (a->serving && a->purgeable != UNKNOWN && (!best || a->purgeable > best->purgeable))
			best = a;
	}
	return best ? best->kind->purge_call : NULL;
}

/*
 * One that lies above those that serve, as Python's own: no call returns what it keeps. Returns what all of
 * them keep, which is in the state's sum too.
 */
static uint64_t say_layers(const struct check_facts *facts, struct check_findings *out)
{
	char retained[UNITS_TEXT_MAX], live[UNITS_TEXT_MAX];
	uint64_t sum = 0;

	for (size_t i = 0; i < facts->heap.allocator_cnt; i++) {
		const struct heap_allocator *a = &facts->heap.allocators[i];

		if (!a->kind->layer || !a->walked || a->retained == UNKNOWN)
			continue;
		sum += a->retained;
		if (a->retained < check_much(facts))
			continue;
		check_add(out, CHECK_WARN,
			  "%s are free in %s (%s) and still resident, which no purge returns; live there %s",
			  units_bytes(retained, a->retained), a->kind->name, a->kind->layer,
			  units_bytes(live, a->live_heap));
		check_fix(out, "what helps: %s", a->kind->remedy);
	}
	return sum;
}

void check_retained(const struct check_facts *facts, struct check_findings *out)
{
	const struct heap_state *h = &facts->heap;
	char live[UNITS_TEXT_MAX], retained[UNITS_TEXT_MAX], purgeable[UNITS_TEXT_MAX],
		pinned[UNITS_TEXT_MAX];
	uint64_t much = check_much(facts), layers, rest;
	const char *call = purge_call(facts);
	char names[96];

	if (!h->taken_ns) {
		check_add(out, CHECK_UNKNOWN, "the heap was not read: %s", facts->heap_error.text);
		return;
	}
	layers = say_layers(facts, out);
	if (h->retained == UNKNOWN || h->purgeable == UNKNOWN) {
		check_serving(facts, names);
		check_add(out, CHECK_UNKNOWN,
			  "%s: its heap cannot be walked, so what is live and what is free is not known",
			  h->note[0] ? h->note
			  : names[0] ? names
				     : "no allocator is known");
		return;
	}
	units_bytes(live, h->live_heap);
	rest = h->retained - (layers < h->retained ? layers : h->retained);
	units_bytes(retained, rest);
	units_bytes(purgeable, h->purgeable);
	units_bytes(pinned, rest > h->purgeable ? rest - h->purgeable : 0);
	if (h->purgeable >= much) {
		check_add(out, CHECK_WARN,
			  "%s are free and still resident, %s of them purgeable, %s pinned; live %s",
			  retained, purgeable, pinned, live);
		check_fix(out,
			  "call %s after each unit of work; `alloctrace attach %d` shows who frees, and when",
			  call ? call : "the allocator's purge", facts->pid);
	} else if (rest >= much) {
		check_add(out, CHECK_WARN,
			  "%s are free and still resident, but no purge returns more than %s; live %s",
			  retained, purgeable, live);
		check_fix(out,
			  "few live blocks pin them: `alloctrace attach %d` names their call sites (pinned)",
			  facts->pid);
	} else {
		check_add(out, CHECK_PASS, "live %s, retained %s: %s purgeable, %s pinned", live, retained,
			  purgeable, pinned);
	}
}

/* A quarter of the anonymous memory in huge pages, where a few bytes keep 2 MiB, is worth a word. */
void check_huge_pages(const struct check_facts *facts, struct check_findings *out)
{
	char huge[UNITS_TEXT_MAX], all[UNITS_TEXT_MAX];

	if (facts->thp == THP_UNKNOWN || facts->anonymous == UNKNOWN || facts->anonymous_huge == UNKNOWN) {
		check_add(out, CHECK_UNKNOWN, "the kernel does not tell about transparent huge pages");
		return;
	}
	units_bytes(huge, facts->anonymous_huge);
	units_bytes(all, facts->anonymous);
	if (facts->thp == THP_ALWAYS && facts->thp_enabled != 0 && facts->anonymous_huge >= 32 * MIB &&
	    facts->anonymous_huge >= facts->anonymous / 4) {
		check_add(out, CHECK_WARN,
			  "transparent huge pages are on for all: %s of %s anonymous memory are in 2 MiB "
			  "pages, "
			  "which fill up again after a purge",
			  huge, all);
		check_fix(out, "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled, or "
			       "prctl(PR_SET_THP_DISABLE) in the service");
		return;
	}
	check_add(out, CHECK_PASS, "transparent huge pages: %s%s, %s of %s anonymous memory",
		  facts->thp == THP_ALWAYS    ? "always"
		  : facts->thp == THP_MADVISE ? "madvise"
					      : "never",
		  facts->thp_enabled == 0 ? ", off for this process" : "", huge, all);
}
