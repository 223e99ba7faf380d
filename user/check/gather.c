#include "check/gather.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "heap/thread_arenas.h"

struct gather {
	struct process process;
	struct memory *mem;
	struct objects *objects;
	struct heap_reader *reader;
	struct descriptors descriptors; /* of the last sample */
	struct check_facts facts;
};

int gather_open(pid_t pid, struct gather **out, struct error *err)
{
	struct gather *g = calloc(1, sizeof(*g));
	int result;

	if (!g)
		return error_set(err, -ENOMEM, "no memory to check process %d", pid);
	result = process_open(pid, &g->process, err);
	if (result != 0) {
		free(g);
		return result;
	}
	result = memory_open_process(pid, &g->mem, err);
	if (result == 0) {
		g->objects = objects_new(pid);
		g->reader = heap_reader_new(&g->process, g->mem, false);
		if (!g->objects || !g->reader)
			result = error_set(err, -ENOMEM, "no memory to check process %d", pid);
	}
	if (result != 0) {
		gather_free(g);
		return result;
	}
	g->facts.pid = pid;
	g->facts.is_static = g->process.is_static;
	memcpy(g->facts.command, g->process.comm, sizeof(g->facts.command));
	memcpy(g->facts.exe, g->process.exe, sizeof(g->facts.exe));
	*out = g;
	return 0;
}

void gather_free(struct gather *g)
{
	if (!g)
		return;
	heap_state_free(&g->facts.heap);
	threads_free(&g->facts.threads);
	free(g->facts.thread_arenas);
	descriptors_free(&g->descriptors);
	heap_reader_free(g->reader);
	objects_free(g->objects);
	memory_free(g->mem);
	process_close(&g->process);
	free(g);
}

const struct check_facts *gather_facts(const struct gather *g)
{
	return &g->facts;
}

/* ---- samples ---- */

static void sample_descriptors(struct gather *g, struct check_sample *s)
{
	struct descriptors now;

	s->descriptor_cnt = UNKNOWN;
	if (descriptors_read(g->process.pid, g->facts.sample_cnt ? &g->descriptors : NULL, &now) != 0)
		return;
	s->descriptor_cnt = now.cnt;
	memcpy(s->descriptors, now.kind, sizeof(s->descriptors));
	memcpy(s->fresh, now.fresh, sizeof(s->fresh));
	descriptors_free(&g->descriptors);
	g->descriptors = now;
}

int gather_sample(struct gather *g, struct error *err)
{
	struct check_sample *s = &g->facts.samples[g->facts.sample_cnt];
	struct process_usage usage;

	if (g->facts.sample_cnt == CHECK_SAMPLES)
		return 0;
	if (!g->facts.sample_cnt)
		gather_cgroup(&g->facts, "/proc", "");
	if (process_usage(&g->process, false, &usage) != 0)
		return error_set(err, -ESRCH, "process %d (%s) has ended while it was checked",
				 g->process.pid, g->process.comm);
	s->time_ns = clock_monotonic_ns();
	s->rss = usage.rss;
	s->shmem = usage.shmem;
	s->swap = usage.swap;
	s->cgroup_current = g->facts.in_cgroup ? cgroup_memory_current(&g->facts.cgroup) : CGROUP_UNKNOWN;
	sample_descriptors(g, s);
	g->facts.sample_cnt++;
	return 0;
}

/* ---- the look ---- */

/* The KiB behind "key:" in a text of such lines, as bytes; UNKNOWN: no such line. */
static uint64_t find_kib(const char *text, const char *key)
{
	size_t len = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n'), line += line ? 1 : 0)
		if (!strncmp(line, key, len) && line[len] == ':')
			return strtoull(line + len + 1, NULL, 10) << 10;
	return UNKNOWN;
}

static void read_huge_pages(struct check_facts *facts)
{
	char folder[32], text[8192], *at;

	facts->thp = THP_UNKNOWN;
	if (file_read(AT_FDCWD, "/sys/kernel/mm/transparent_hugepage/enabled", text, sizeof(text)) > 0)
		facts->thp = strstr(text, "[always]")    ? THP_ALWAYS
			     : strstr(text, "[madvise]") ? THP_MADVISE
			     : strstr(text, "[never]")   ? THP_NEVER
							 : THP_UNKNOWN;
	snprintf(folder, sizeof(folder), "/proc/%d", facts->pid);
	facts->thp_enabled = -1;
	if (file_read_in(folder, "status", text, sizeof(text)) > 0 && (at = strstr(text, "\nTHP_enabled:")))
		facts->thp_enabled = atoi(at + strlen("\nTHP_enabled:"));
	facts->anonymous = facts->anonymous_huge = UNKNOWN;
	if (file_read_in(folder, "smaps_rollup", text, sizeof(text)) > 0) {
		facts->anonymous = find_kib(text, "Anonymous");
		facts->anonymous_huge = find_kib(text, "AnonHugePages");
	}
}

static void read_machine(struct check_facts *facts)
{
	char text[8192];
	cpu_set_t *set = CPU_ALLOC(8192);
	size_t size = CPU_ALLOC_SIZE(8192);

	if (file_read(AT_FDCWD, "/proc/meminfo", text, sizeof(text)) > 0) {
		facts->memory_total = find_kib(text, "MemTotal");
		facts->swap_total = find_kib(text, "SwapTotal");
	}
	if (set && !sched_getaffinity(facts->pid, size, set))
		facts->cores = (unsigned)CPU_COUNT_S(size, set);
	CPU_FREE(set);
}

static bool begins_in(const char *name, const char *const *prefixes)
{
	for (; prefixes && *prefixes; prefixes++)
		if (!strncmp(name, *prefixes, strlen(*prefixes)))
			return true;
	return false;
}

/* The mapped library whose name is the allocator's own. */
static void find_library(const struct maps *maps, const struct allocator *kind, char library[64])
{
	for (size_t i = 0; i < maps->cnt; i++) {
		const char *name = strrchr(maps->v[i].name, '/');

		if (name && begins_in(name + 1, kind->file_prefixes)) {
			snprintf(library, 64, "%.63s", name + 1);
			return;
		}
	}
}

static void find_arenas(struct gather *g, const struct maps *maps)
{
	struct check_facts *f = &g->facts;

	if (threads_read(f->pid, &f->threads) != 0)
		return;
	f->thread_arenas = calloc(f->threads.cnt, sizeof(*f->thread_arenas));
	if (!f->thread_arenas)
		return;
	threads_find_pointers(&f->threads, g->mem, maps, g->objects);
	for (size_t i = 0; i < f->heap.allocator_cnt; i++) {
		const struct heap_allocator *a = &f->heap.allocators[i];

		if (a->walked && !strcmp(a->kind->name, "glibc"))
			f->arenas_known = thread_arenas_find(&a->walk, &f->threads, g->mem, f->thread_arenas);
	}
}

int gather_look(struct gather *g, struct error *err)
{
	struct check_facts *f = &g->facts;
	struct maps maps;
	int result = memory_maps(g->mem, &maps, err);

	if (result != 0)
		return result;
	read_machine(f);
	f->descriptor_limit = descriptors_limit(f->pid);
	gather_environment(f, g->mem, &maps, g->objects);
	if (heap_state_read(g->reader, &f->heap, &f->heap_error) != 0)
		f->heap.taken_ns = 0;
	for (size_t i = 0; i < f->heap.allocator_cnt && i < CHECK_ALLOCATORS_MAX; i++)
		find_library(&maps, f->heap.allocators[i].kind, f->library[i]);
	find_arenas(g, &maps);
	read_huge_pages(f);
	maps_free(&maps);
	if (process_alive(&g->process))
		return 0;
	return error_set(err, -ESRCH, "process %d (%s) has ended while it was checked", f->pid, f->command);
}
