/* Who serves the process's allocations, and whether what was to be preloaded came to do so. */
#include <string.h>

#include "check/check.h"

static const struct heap_allocator *first_serving(const struct check_facts *facts)
{
	for (size_t i = 0; i < facts->heap.allocator_cnt; i++)
		if (facts->heap.allocators[i].serving)
			return &facts->heap.allocators[i];
	return NULL;
}

/* A library that somebody loaded to purge by it, which purges nothing. One that is part of another object has
 * its own users. */
static const struct heap_allocator *find_idle(const struct check_facts *facts, const char **library)
{
	for (size_t i = 0; i < facts->heap.allocator_cnt && i < CHECK_ALLOCATORS_MAX; i++) {
		const struct heap_allocator *a = &facts->heap.allocators[i];

		*library = facts->library[i];
		if (!a->serving && facts->library[i][0] && a->kind->purge_call &&
		    strcmp(a->kind->name, "glibc") != 0)
			return a;
	}
	return NULL;
}

void check_serves(const struct check_facts *facts, struct check_findings *out)
{
	const struct heap_allocator *serving = first_serving(facts), *idle;
	const char *library, *call;
	char names[96];

	if (!serving) {
		check_add(out, CHECK_UNKNOWN, "%s",
			  facts->heap.taken_ns ? "no allocator was recognised in this process"
					       : facts->heap_error.text);
		return;
	}
	check_serving(facts, names);
	call = serving->kind->purge_call;
	idle = find_idle(facts, &library);
	if (!idle) {
		check_add(out, CHECK_PASS, "%s serve%s: purge with %s", names,
			  strstr(names, " and ") ? "" : "s", call ? call : "nothing, it has no such call");
		return;
	}
	check_add(out, CHECK_WARN, "%s serves; %s is loaded and serves nobody: purging it returns nothing",
		  names, library);
	check_fix(out, "call %s instead, or preload %s (LD_PRELOAD) so that it serves",
		  call ? call : "the serving allocator's purge", library);
}

/* Why a library that was named is not there. */
static const char *why_not(const struct check_facts *facts, const struct check_preload *p)
{
	if (facts->is_static)
		return "the program is static, nothing can be preloaded";
	if (facts->secure)
		return "the program runs in secure mode (setuid or capabilities), the loader ignores it";
	if (!p->exists)
		return "there is no such file for this process";
	return "it is not mapped, as the loader did not find it or could not use it";
}

void check_preloads(const struct check_facts *facts, struct check_findings *out)
{
	char names[96];

	for (size_t i = 0; i < facts->preload_cnt; i++) {
		const struct check_preload *p = &facts->preloads[i];
		const struct heap_allocator *a = p->kind ? check_allocator(facts, p->kind->name) : NULL;

		if (!p->mapped) {
			check_add(out, CHECK_WARN, "%s has %.100s, which did not take: %s", p->from, p->name,
				  why_not(facts, p));
			if (p->elsewhere[0])
				check_fix(out, "it is in %.200s: correct the path and restart", p->elsewhere);
			else if (!facts->is_static && !facts->secure)
				check_fix(out, "install it, or correct the path, and restart");
		} else if (a && !a->serving) {
			check_serving(facts, names);
			check_add(out, CHECK_WARN, "%s took %.100s, but %s serves: its calls do not reach %s",
				  p->from, p->name, names[0] ? names : "another allocator", p->kind->name);
			check_fix(out, "preload it before other allocators; a program with its own allocator "
				       "built in does not use it");
		} else {
			check_add(out, CHECK_PASS, "%s took %.100s%s", p->from, p->name,
				  p->kind ? ", and it serves" : "");
		}
	}
}
