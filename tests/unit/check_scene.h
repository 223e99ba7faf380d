/*
 * The facts that checks judge, made up: they begin as those of a healthy process, and a test changes
 * what it is about.
 */
#ifndef ALLOCTRACE_TESTS_CHECK_SCENE_H
#define ALLOCTRACE_TESTS_CHECK_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "check/check.h"

static struct check_facts facts;
static struct check_findings found;
static struct heap_allocator allocator[3];
static struct heap_arena arena[8];
static struct thread thread[4];
static uint64_t thread_arena[4];

static const struct allocator *kind(const char *name)
{
	const struct allocator *const *k = allocators;

	while (strcmp((*k)->name, name) != 0)
		k++;
	return *k;
}

static inline void add_allocator(const char *name, const char *version, bool serving)
{
	struct heap_allocator *a = &allocator[facts.heap.allocator_cnt++];

	*a = (struct heap_allocator){.kind = kind(name), .serving = serving};
	a->held = a->resident = a->live_heap = a->retained = a->purgeable = a->pinned = UNKNOWN;
	snprintf(a->version, sizeof(a->version), "%s", version);
}

static inline void set(const char *key, int64_t value)
{
	struct heap_walk *walk = &allocator[0].walk;

	for (size_t i = 0; i < walk->setting_cnt; i++)
		if (!strcmp(walk->settings[i].key, key)) {
			walk->settings[i].value = value;
			return;
		}
	heap_walk_set(walk, (struct heap_setting){key, key, HEAP_BYTES, value});
}

static inline void set_heap(uint64_t live, uint64_t purgeable, uint64_t pinned)
{
	allocator[0].walked = true;
	allocator[0].purgeable = purgeable;
	facts.heap.live_heap = live;
	facts.heap.purgeable = purgeable;
	facts.heap.pinned = pinned;
	facts.heap.retained = purgeable + pinned;
}

static inline void add_arena(uint64_t addr, uint64_t resident, uint64_t retained, uint64_t threads)
{
	struct heap_walk *walk = &allocator[0].walk;
	struct heap_arena *a = &arena[walk->arena_cnt++];

	*a = (struct heap_arena){.addr = addr, .main = a == arena, .threads_known = true, .threads = threads};
	a->f.resident = resident;
	a->f.retained = retained;
	walk->arenas = arena;
}

/* A glibc process of 100 MiB, in a service with good limits. */
static inline int healthy(void **state)
{
	(void)state;
	facts = (struct check_facts){
		.pid = 42,
		.command = "worker",
		.memory_total = 8 * GIB,
		.swap_total = GIB,
		.environment = ENVIRONMENT_START,
		.sample_cnt = 3,
		.descriptor_limit = 1024,
		.cores = 2,
		.in_cgroup = true,
		.has_unit = true,
		.thp = THP_MADVISE,
		.thp_enabled = 1,
		.anonymous = 80 * MIB,
	};
	for (size_t i = 0; i < 3; i++)
		facts.samples[i] = (struct check_sample){
			.time_ns = (1 + i) * NSEC_PER_SEC,
			.rss = 100 * MIB,
			.cgroup_current = 120 * MIB,
			.descriptor_cnt = 12,
			.descriptors = {[DESCRIPTOR_FILE] = 12},
		};
	strcpy(facts.cgroup.accounts_path, "/system.slice/worker.service");
	strcpy(facts.unit.name, "worker.service");
	facts.unit.user = -1;
	facts.memory = (struct cgroup_memory){
		.current = 120 * MIB,
		.effective_max = {4 * GIB, "/system.slice/worker.service"},
		.effective_high = {2 * GIB, "/system.slice/worker.service"},
		.effective_swap_max = {0, "/system.slice/worker.service"},
		.some = {-1, -1, -1, CGROUP_UNKNOWN},
	};
	facts.oomd.file_found = true;
	facts.heap.allocators = allocator;
	facts.heap.taken_ns = 1;
	add_allocator("glibc", "2.36", true);
	set_heap(60 * MIB, 4 * MIB, 4 * MIB);
	set("trim_threshold", 131072);
	set("mmap_threshold", 131072);
	set("top_pad", 131072);
	add_arena(0x1000, 90 * MIB, 8 * MIB, 1);
	thread[0] = (struct thread){.tid = 42, .name = "worker"};
	thread_arena[0] = 0x1000;
	facts.threads = (struct threads){thread, 1};
	facts.thread_arenas = thread_arena;
	facts.arenas_known = 1;
	return 0;
}

/* What a check says: its first finding, or NULL where it finds nothing. */
static inline const struct check_finding *run(const char *name)
{
	check_all(&facts, &found);
	for (size_t i = 0; i < found.cnt; i++)
		if (!strcmp(found.v[i].check, name))
			return &found.v[i];
	return NULL;
}

/* The finding of that status with that text; fails where there is none. */
static inline const struct check_finding *expect(const char *name, enum check_status status, const char *text)
{
	run(name);
	for (size_t i = 0; i < found.cnt; i++) {
		const struct check_finding *f = &found.v[i];

		if (strcmp(f->check, name) != 0)
			continue;
		if (f->status == status && (strstr(f->evidence, text) || strstr(f->fix, text))) {
			assert_true(status != CHECK_WARN || f->fix[0]); /* each says what to do */
			return f;
		}
		print_message("%s: %s: %s → %s\n", f->check, check_status_names[f->status], f->evidence,
			      f->fix);
	}
	fail_msg("%s does not say '%s'", name, text);
	return NULL;
}

#define TEST(name) cmocka_unit_test_setup(name, healthy)

#endif
