/*
 * Every check with facts made up: one set that makes it speak, and one next to it that does not. The
 * facts begin as those of a healthy process.
 */
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

/* As Python's own allocator is one. */
static const struct allocator layer = {
	.name = "pymalloc", .layer = "small objects", .remedy = "PYTHONMALLOC=malloc"};

static void add_allocator(const char *name, const char *version, bool serving)
{
	struct heap_allocator *a = &allocator[facts.heap.allocator_cnt++];

	*a = (struct heap_allocator){.kind = kind(name), .serving = serving};
	a->held = a->resident = a->live_heap = a->retained = a->purgeable = a->pinned = UNKNOWN;
	snprintf(a->version, sizeof(a->version), "%s", version);
}

static void set(const char *key, int64_t value)
{
	struct heap_walk *walk = &allocator[0].walk;

	for (size_t i = 0; i < walk->setting_cnt; i++)
		if (!strcmp(walk->settings[i].key, key)) {
			walk->settings[i].value = value;
			return;
		}
	heap_walk_set(walk, (struct heap_setting){key, key, HEAP_BYTES, value});
}

static void set_heap(uint64_t live, uint64_t purgeable, uint64_t pinned)
{
	allocator[0].walked = true;
	allocator[0].purgeable = purgeable;
	facts.heap.live_heap = live;
	facts.heap.purgeable = purgeable;
	facts.heap.pinned = pinned;
	facts.heap.retained = purgeable + pinned;
}

static void add_arena(uint64_t addr, uint64_t resident, uint64_t retained, uint64_t threads)
{
	struct heap_walk *walk = &allocator[0].walk;
	struct heap_arena *a = &arena[walk->arena_cnt++];

	*a = (struct heap_arena){.addr = addr, .main = a == arena, .threads_known = true, .threads = threads};
	a->f.resident = resident;
	a->f.retained = retained;
	walk->arenas = arena;
}

/* A glibc process of 100 MiB, in a service with good limits. */
static int healthy(void **state)
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
static const struct check_finding *run(const char *name)
{
	check_all(&facts, &found);
	for (size_t i = 0; i < found.cnt; i++)
		if (!strcmp(found.v[i].check, name))
			return &found.v[i];
	return NULL;
}

/* The finding of that status with that text; fails where there is none. */
static const struct check_finding *expect(const char *name, enum check_status status, const char *text)
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

static void a_healthy_process_passes(void **state)
{
	(void)state;
	check_all(&facts, &found);
	for (size_t i = 0; i < found.cnt; i++)
		if (found.v[i].status != CHECK_PASS)
			print_message("%s: %s\n", found.v[i].check, found.v[i].evidence);
	assert_int_equal(found.of[CHECK_PASS], found.cnt);
	assert_true(found.cnt >= 12 && found.cnt <= 24);
}

/* ---- who serves ---- */

static void serving_is_named_and_what_idles_is_a_trap(void **state)
{
	(void)state;
	expect("allocator", CHECK_PASS, "glibc 2.36 serves: purge with malloc_trim(0)");
	add_allocator("mimalloc", "2.0", false); /* part of another object: it has its own users */
	expect("allocator", CHECK_PASS, "glibc 2.36 serves");
	strcpy(facts.library[1], "libmimalloc.so.2.0");
	expect("allocator", CHECK_WARN, "libmimalloc.so.2.0 is loaded and serves nobody");
	expect("allocator", CHECK_WARN, "call malloc_trim(0) instead");
	allocator[1].serving = true;
	expect("allocator", CHECK_PASS, "glibc 2.36 and mimalloc 2.0 serve");
	allocator[0].serving = false; /* glibc that was interposed is in every process */
	strcpy(facts.library[0], "libc.so.6");
	expect("allocator", CHECK_PASS, "mimalloc 2.0 serves");
	allocator[1].serving = false;
	expect("allocator", CHECK_UNKNOWN, "no allocator was recognised");
	facts.heap.taken_ns = 0;
	strcpy(facts.heap_error.text, "cannot read the heap");
	expect("allocator", CHECK_UNKNOWN, "cannot read the heap");
}

static struct check_preload *preload(const char *name)
{
	struct check_preload *p = &facts.preloads[0];

	facts.preload_cnt = 1;
	*p = (struct check_preload){.from = "LD_PRELOAD", .exists = true};
	strcpy(p->name, name);
	return p;
}

static void preloads_take_or_not(void **state)
{
	struct check_preload *p;

	(void)state;
	assert_null(run("preload"));
	p = preload("/usr/lib/libmimalloc.so.2");
	p->exists = false;
	strcpy(p->elsewhere, "/usr/lib/x86_64-linux-gnu/libmimalloc.so.2");
	expect("preload", CHECK_WARN, "there is no such file");
	expect("preload", CHECK_WARN, "it is in /usr/lib/x86_64-linux-gnu/libmimalloc.so.2");
	p->elsewhere[0] = '\0';
	expect("preload", CHECK_WARN, "install it");
	facts.secure = true;
	assert_non_null(strstr(run("preload")->evidence, "secure mode"));
	facts.secure = false;
	facts.is_static = true;
	assert_non_null(strstr(run("preload")->evidence, "static"));
	facts.is_static = false;
	p->exists = p->mapped = true;
	expect("preload", CHECK_PASS, "took"); /* no allocator */
	p->kind = kind("mimalloc");
	add_allocator("mimalloc", "2.0", false);
	expect("preload", CHECK_WARN, "but glibc 2.36 serves");
	allocator[1].serving = true;
	expect("preload", CHECK_PASS, "and it serves");
}

/* ---- settings ---- */

static struct check_variable *variable(const char *owner, const char *name, const char *option,
				       const char *value)
{
	struct check_variable *v = &facts.variables[0];

	facts.variable_cnt = 1;
	*v = (struct check_variable){.owner = kind(owner), .known = KNOWN_YES};
	strcpy(v->variable, name);
	strcpy(v->option, option);
	strcpy(v->value, value);
	return v;
}

static void settings_for_another_allocator_do_nothing(void **state)
{
	(void)state;
	expect("variables", CHECK_PASS, "no settings");
	variable("mimalloc", "MIMALLOC_PURGE_DELAY", "", "1000");
	expect("variables", CHECK_WARN, "has no effect: glibc 2.36 serves this process, not mimalloc");
	add_allocator("mimalloc", "2.1", true);
	expect("variables", CHECK_PASS, "MIMALLOC_PURGE_DELAY=1000");
	allocator[0].serving = false;
	variable("glibc", "MALLOC_ARENA_MAX", "", "2");
	expect("variables", CHECK_WARN, "MALLOC_ARENA_MAX=2 has no effect: mimalloc 2.1 serves");
	/* what of glibc is not its malloc's is another's business */
	variable("glibc", "GLIBC_TUNABLES", "glibc.pthread.rseq", "0");
	expect("variables", CHECK_PASS, "glibc.pthread.rseq=0");
}

static void unknown_names_are_ignored(void **state)
{
	(void)state;
	add_allocator("mimalloc", "2.0", true);
	variable("mimalloc", "MIMALLOC_PURGE_DELAY", "", "1000")->known = KNOWN_NO;
	expect("variables", CHECK_WARN, "is ignored: mimalloc 2.0 has no such setting");
	expect("variables", CHECK_WARN, "MIMALLOC_DECOMMIT_DELAY");
	variable("glibc", "MALLOC_TRIM_THRESHOLD", "", "1")->known = KNOWN_NO;
	expect("variables", CHECK_WARN, "MALLOC_TRIM_THRESHOLD_, with the underscore");
	variable("glibc", "GLIBC_TUNABLES", "glibc.malloc.nonsense", "1")->known = KNOWN_NO;
	expect("variables", CHECK_WARN, "GLIBC_TUNABLES glibc.malloc.nonsense=1 is ignored");
	variable("glibc", "MALLOC_MMAP_MAX_", "", "1")->known = KNOWN_UNCLEAR;
	expect("variables", CHECK_UNKNOWN, "MALLOC_MMAP_MAX_=1: whether");
	facts.environment = ENVIRONMENT_UNKNOWN;
	expect("variables", CHECK_UNKNOWN, "cannot be read");
	facts.environment = ENVIRONMENT_NOW;
	facts.variable_cnt = 0;
	expect("variables", CHECK_PASS, "wrote over");
}

static void the_walk_says_whether_it_is_in_force(void **state)
{
	(void)state;
	variable("glibc", "MALLOC_TRIM_THRESHOLD_", "", "65536");
	expect("variables", CHECK_WARN, "not in force: the value now is 131072");
	set("trim_threshold", 65536);
	expect("variables", CHECK_PASS, "MALLOC_TRIM_THRESHOLD_=65536");
	variable("glibc", "MALLOC_TRIM_THRESHOLD_", "", "0x10000");
	expect("variables", CHECK_PASS, "MALLOC_TRIM_THRESHOLD_=0x10000");
	variable("glibc", "MALLOC_TRIM_THRESHOLD_", "", "64K");
	expect("variables", CHECK_WARN, "a number without a suffix");
	variable("glibc", "MALLOC_ARENA_MAX", "", "2");
	expect("variables", CHECK_WARN, "not set: 0");
	set("arena_max", 2);
	expect("variables", CHECK_PASS, "MALLOC_ARENA_MAX=2");
	/* known or not: what is in force is known */
	variable("glibc", "MALLOC_ARENA_MAX", "", "2")->known = KNOWN_UNCLEAR;
	expect("variables", CHECK_PASS, "MALLOC_ARENA_MAX=2");
	add_allocator("mimalloc", "2.1", true);
	allocator[1].walked = true;
	heap_walk_set(&allocator[1].walk, (struct heap_setting){"purge_delay", "", HEAP_MILLISECONDS, 10});
	variable("mimalloc", "MIMALLOC_PURGE_DELAY", "", "1000");
	expect("variables", CHECK_WARN, "MIMALLOC_PURGE_DELAY=1000 is not in force: the value now is 10");
	allocator[1].walk.settings[0].value = 1000;
	expect("variables", CHECK_PASS, "MIMALLOC_PURGE_DELAY=1000");
	variable("glibc", "MALLOC_ARENA_MAX", "", "4");
	facts.secure = true;
	expect("variables", CHECK_WARN, "secure mode");
}

static void values_that_keep_memory(void **state)
{
	static const struct {
		const char *owner, *name, *option, *bad, *good, *text;
	} rows[] = {
		{"mimalloc", "MIMALLOC_PURGE_DELAY", "", "-1", "0", "never returns memory"},
		{"mimalloc", "MIMALLOC_PURGE_DECOMMITS", "", "0", "1", "MADV_FREE"},
		{"mimalloc", "MIMALLOC_ALLOW_DECOMMIT", "", "off", "on", "whole segments"},
		{"mimalloc", "MIMALLOC_RESERVE_HUGE_OS_PAGES", "", "2", "0", "1 GiB pages"},
		{"mimalloc", "MIMALLOC_ALLOW_LARGE_OS_PAGES", "", "1", "0", "large pages"},
		{"glibc", "MALLOC_MMAP_MAX_", "", "0", "65536", "share the heap"},
		{"glibc", "GLIBC_TUNABLES", "glibc.malloc.mmap_max", "0", "9", "share the heap"},
		{"jemalloc", "MALLOC_CONF", "dirty_decay_ms", "-1", "1000", "dirty pages"},
		{"jemalloc", "MALLOC_CONF", "muzzy_decay_ms", "-1", "0", "stay in RSS"},
		{"gperftools", "TCMALLOC_RELEASE_RATE", "", "0", "1", "nothing by itself"},
		{"gperftools", "TCMALLOC_DISABLE_MEMORY_RELEASE", "", "true", "0", "never"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		facts.heap.allocator_cnt = 1;
		if (strcmp(rows[i].owner, "glibc") != 0)
			add_allocator(rows[i].owner, "", true);
		variable(rows[i].owner, rows[i].name, rows[i].option, rows[i].bad);
		expect("variables", CHECK_WARN, rows[i].text);
		strcpy(facts.variables[0].value, rows[i].good);
		expect("variables", CHECK_PASS, rows[i].good);
	}
}

static void thresholds_that_keep_memory(void **state)
{
	static const struct {
		const char *name, *option, *key, *bad;
		int64_t bad_value;
		const char *text;
	} rows[] = {
		{"MALLOC_TRIM_THRESHOLD_", "", "trim_threshold", "-1", -1, "nothing by itself"},
		{"MALLOC_TRIM_THRESHOLD_", "", "trim_threshold", "1073741824", 1 << 30, "end of the heap"},
		{"MALLOC_TOP_PAD_", "", "top_pad", "1073741824", 1 << 30, "each trim"},
		{"MALLOC_MMAP_THRESHOLD_", "", "mmap_threshold", "1073741824", 1 << 30, "pin them"},
		{"GLIBC_TUNABLES", "glibc.malloc.trim_threshold", "trim_threshold", "-1", -1, "by itself"},
		{"GLIBC_TUNABLES", "glibc.malloc.top_pad", "top_pad", "1073741824", 1 << 30, "each trim"},
		{"GLIBC_TUNABLES", "glibc.malloc.mmap_threshold", "mmap_threshold", "1073741824", 1 << 30,
		 "pin"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		variable("glibc", rows[i].name, rows[i].option, rows[i].bad);
		set(rows[i].key, rows[i].bad_value);
		expect("variables", CHECK_WARN, rows[i].text);
		strcpy(facts.variables[0].value, "131072");
		set(rows[i].key, 131072);
		expect("variables", CHECK_PASS, "131072");
	}
}

/* ---- free memory ---- */

static void much_that_is_free_and_resident(void **state)
{
	(void)state;
	expect("retained", CHECK_PASS, "live 60.0 MiB, retained 8.00 MiB");
	set_heap(60 * MIB, 33 * MIB, MIB);
	expect("retained", CHECK_WARN, "call malloc_trim(0)");
	for (size_t i = 0; i < 3; i++)
		facts.samples[i].rss = GIB; /* a fifth of that is more */
	expect("retained", CHECK_PASS, "33.0 MiB purgeable");
	set_heap(60 * MIB, 33 * MIB, 300 * MIB);
	expect("retained", CHECK_WARN, "no purge returns more than 33.0 MiB");
	set_heap(60 * MIB, 4 * MIB, 4 * MIB);
	add_allocator("mimalloc", "2.0", false);
	allocator[1].kind = &layer;
	allocator[1].walked = true;
	allocator[1].live_heap = MIB;
	allocator[1].retained = 205 * MIB;
	facts.heap.retained += 205 * MIB; /* the state's sums have it too */
	facts.heap.pinned += 205 * MIB;
	expect("retained", CHECK_WARN,
	       "205 MiB are free in pymalloc (small objects) and still resident, which no purge returns");
	expect("retained", CHECK_PASS, "live 60.0 MiB, retained 8.00 MiB"); /* and it is not said twice */
	strcpy(facts.library[1], "libpython3.so");                          /* and nobody would purge by it */
	expect("allocator", CHECK_PASS, "glibc 2.36 serves");
	allocator[1].retained = 200 * MIB; /* under a fifth of RSS */
	set_heap(60 * MIB, 4 * MIB, 204 * MIB);
	expect("retained", CHECK_PASS, "live 60.0 MiB");
	facts.heap.purgeable = facts.heap.retained = UNKNOWN;
	expect("retained", CHECK_UNKNOWN, "cannot be walked");
	facts.heap.taken_ns = 0;
	expect("retained", CHECK_UNKNOWN, "was not read");
}

static void huge_pages_that_fill_up_again(void **state)
{
	(void)state;
	facts.anonymous_huge = 60 * MIB;
	expect("huge-pages", CHECK_PASS, "madvise");
	facts.thp = THP_ALWAYS;
	expect("huge-pages", CHECK_WARN, "60.0 MiB of 80.0 MiB");
	facts.anonymous_huge = 10 * MIB;
	expect("huge-pages", CHECK_PASS, "always");
	facts.anonymous_huge = 60 * MIB;
	facts.thp_enabled = 0;
	expect("huge-pages", CHECK_PASS, "off for this process");
	facts.anonymous_huge = UNKNOWN;
	expect("huge-pages", CHECK_UNKNOWN, "does not tell");
}

/* ---- arenas ---- */

static void arenas_that_keep_memory_apart(void **state)
{
	(void)state;
	expect("arenas", CHECK_PASS, "1 arena for 1 thread, at most 16 (8 × 2 cores)");
	assert_null(run("arena-threads")); /* there is only one to choose */
	add_arena(0x2000, 50 * MIB, 40 * MIB, 1);
	expect("arenas", CHECK_WARN, "MALLOC_ARENA_MAX=2");
	set("arena_max", 2);
	expect("arenas", CHECK_WARN, "at most 2 (arena_max)");
	arena[1].threads = 0;
	expect("arenas", CHECK_WARN, "1 of 2 arenas belong to threads that have ended, and keep 50.0 MiB");
	arena[1].f.resident = arena[1].f.retained = MIB;
	expect("arenas", CHECK_PASS, "2 arenas");
	allocator[0].serving = false;
	assert_null(run("arenas"));
}

static void arenas_name_their_threads(void **state)
{
	(void)state;
	add_arena(0x2000, 50 * MIB, MIB, 2);
	add_arena(0x3000, 5 * MIB, MIB, 0);
	thread[1] = (struct thread){.tid = 43, .name = "reader"};
	thread[2] = (struct thread){.tid = 44, .name = "writer"};
	thread[3] = (struct thread){.tid = 45, .name = "idle"};
	thread_arena[1] = thread_arena[2] = 0x2000;
	thread_arena[3] = 0;
	facts.threads.cnt = 4;
	expect("arena-threads", CHECK_PASS,
	       "main 90.0 MiB: worker (42); 0x2000 50.0 MiB: reader (43), writer (44); 0x3000 5.00 MiB: no "
	       "thread");
	thread_arena[3] = 0x2000;
	expect("arena-threads", CHECK_PASS, "writer (44) and 1 more");
	facts.arenas_known = 0;
	expect("arena-threads", CHECK_UNKNOWN, "not to be seen");
}

/* ---- growth ---- */

static void rss_that_clearly_grows(void **state)
{
	(void)state;
	expect("rss", CHECK_PASS, "no clear growth");
	facts.samples[1].rss = 110 * MIB;
	facts.samples[2].rss = 120 * MIB;
	expect("rss", CHECK_WARN, "100 MiB → 110 MiB → 120 MiB, 10.0 MiB a second");
	expect("rss", CHECK_WARN, "the cgroup reaches its limit of 4.00 GiB in 6 min 38 s");
	facts.memory.effective_max.bytes = CGROUP_NO_LIMIT;
	assert_null(strstr(run("rss")->evidence, "limit"));
	facts.samples[2].rss =
		112 * MIB; /* 10, then 2: levelling off, but not if that was in a fifth of the time */
	facts.samples[2].time_ns = facts.samples[1].time_ns + NSEC_PER_SEC / 5;
	expect("rss", CHECK_WARN, "a second");
	facts.samples[2].time_ns = facts.samples[1].time_ns + NSEC_PER_SEC;
	expect("rss", CHECK_PASS, "no clear growth");
	facts.samples[2].rss = 90 * MIB;
	expect("rss", CHECK_PASS, "no clear growth");
	facts.samples[1].rss = 100 * MIB + 600 * KIB; /* too little to say */
	facts.samples[2].rss = 100 * MIB + 1200 * KIB;
	expect("rss", CHECK_PASS, "no clear growth");
	facts.sample_cnt = 2;
	expect("rss", CHECK_UNKNOWN, "2 times");
}

static void rss_that_grows_by_shared_memory(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 3; i++) {
		facts.samples[i].rss = (100 + 10 * i) * MIB;
		facts.samples[i].shmem = (50 + 10 * i) * MIB;
	}
	expect("rss", CHECK_PASS, "100 MiB → 110 MiB → 120 MiB in 2.0 s: only by shared memory");
	for (uint64_t i = 0; i < 3; i++)
		facts.samples[i].shmem = (50 + 5 * i) * MIB;
	expect("rss", CHECK_WARN, "5.00 MiB a second");
}

static void set_descriptors(size_t i, uint64_t sockets, uint64_t files)
{
	struct check_sample *s = &facts.samples[i];

	memset(s->descriptors, 0, sizeof(s->descriptors));
	s->descriptors[DESCRIPTOR_SOCKET] = sockets;
	s->descriptors[DESCRIPTOR_FILE] = files;
	s->descriptor_cnt = sockets + files;
}

static void many_descriptors(void **state)
{
	(void)state;
	facts.descriptor_limit = 20000;
	expect("descriptors", CHECK_PASS, "12 descriptors of at most 20000: 12 files; 0 opened");
	for (size_t i = 0; i < 3; i++)
		set_descriptors(i, 499, 0);
	expect("descriptors", CHECK_PASS, "499 sockets");
	for (size_t i = 0; i < 3; i++)
		set_descriptors(i, 499, 1);
	expect("descriptors", CHECK_WARN, "500 descriptors of at most 20000: 499 sockets, 1 file");
	expect("descriptors", CHECK_WARN, "none comes or goes");
	facts.samples[1].fresh[DESCRIPTOR_SOCKET] = 30;
	facts.samples[2].fresh[DESCRIPTOR_SOCKET] = 3;
	expect("descriptors", CHECK_WARN, "33 sockets were opened in the 2 s");
	expect("descriptors", CHECK_WARN, "connection churn");
	for (size_t i = 0; i < 3; i++)
		set_descriptors(i, 1, 600);
	expect("descriptors", CHECK_WARN, "600 files, 1 socket");
	expect("descriptors", CHECK_WARN, "ls -l /proc/42/fd");
}

static void descriptors_that_grow_or_run_out(void **state)
{
	(void)state;
	set_descriptors(2, 9, 12);
	expect("descriptors", CHECK_PASS, "21 descriptors");
	set_descriptors(2, 10, 12);
	expect("descriptors", CHECK_WARN, "descriptors grow: 12 → 22 of at most 1024");
	facts.descriptor_limit = 25;
	expect("descriptors", CHECK_WARN, "22 descriptors of at most 25");
	facts.descriptor_limit = UINT64_MAX;
	assert_null(strstr(run("descriptors")->evidence, "at most"));
	facts.samples[2].descriptor_cnt = UNKNOWN;
	expect("descriptors", CHECK_UNKNOWN, "cannot be read");
}

/* ---- cgroup ---- */

static void limits_of_memory(void **state)
{
	(void)state;
	expect("memory-max", CHECK_PASS, "120 MiB of at most 4.00 GiB are used (3 %)");
	facts.memory.current = 3700 * MIB;
	expect("memory-max", CHECK_WARN, "(90 %)");
	facts.memory.current = 3600 * MIB;
	strcpy(facts.memory.effective_max.path, "/system.slice");
	expect("memory-max", CHECK_PASS, "(set for /system.slice)");
	facts.memory.effective_max = (struct cgroup_limit){.bytes = CGROUP_NO_LIMIT};
	expect("memory-max", CHECK_WARN, "systemctl set-property worker.service MemoryMax=");
	facts.unit.user = 1000;
	expect("memory-max", CHECK_WARN, "systemctl --user set-property");
	strcpy(facts.unit.name, "session-3.scope"); /* of a login: nobody expects a limit */
	expect("memory-max", CHECK_PASS, "no limit but the machine's 8.00 GiB");
	assert_null(run("memory-high"));
	assert_null(run("swap"));
	facts.in_cgroup = false;
	expect("memory-max", CHECK_UNKNOWN, "not to be seen");
}

static void high_against_max(void **state)
{
	static const struct {
		double share;
		enum check_status status;
		const char *text;
	} rows[] = {
		{0.45, CHECK_WARN, "45 %"}, {0.5, CHECK_PASS, "50 %"},          {0.66, CHECK_PASS, "66 %"},
		{0.75, CHECK_WARN, "75 %"}, {1.0, CHECK_WARN, "no MemoryHigh"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		facts.memory.effective_high.bytes = (uint64_t)(rows[i].share * 4 * GIB);
		expect("memory-high", rows[i].status, rows[i].text);
	}
	expect("memory-high", CHECK_WARN, "MemoryHigh=2457M");
	facts.memory.effective_high.bytes = CGROUP_NO_LIMIT;
	expect("memory-high", CHECK_WARN, "kills without slowing it down");
	facts.has_unit = false;
	expect("memory-high", CHECK_WARN, "container");
	facts.memory.effective_high.bytes = CGROUP_UNKNOWN;
	expect("memory-high", CHECK_UNKNOWN, "cannot be read");
	facts.cgroup.v1 = true;
	expect("memory-high", CHECK_UNKNOWN, "version 1");
}

static void swap_lets_it_thrash(void **state)
{
	(void)state;
	expect("swap", CHECK_PASS, "MemorySwapMax is 0");
	facts.memory.effective_swap_max.bytes = CGROUP_NO_LIMIT;
	facts.samples[2].swap = 5 * MIB;
	expect("swap", CHECK_WARN, "5.00 MiB are swapped");
	expect("swap", CHECK_WARN, "MemorySwapMax=0");
	facts.memory.effective_swap_max.bytes = 64 * MIB;
	expect("swap", CHECK_WARN, "MemorySwapMax: 64.0 MiB");
	facts.memory.effective_swap_max.bytes = CGROUP_UNKNOWN;
	expect("swap", CHECK_UNKNOWN, "does not account");
	facts.swap_total = 0;
	expect("swap", CHECK_PASS, "no swap");
}

static void what_has_happened(void **state)
{
	(void)state;
	expect("events", CHECK_PASS, "no OOM kills and no throttling");
	facts.memory.events.max = 7;
	expect("events", CHECK_WARN, "the limit was reached 7 times");
	facts.memory.events.oom_kill = 2;
	expect("events", CHECK_WARN, "struck 2 times");
	expect("events", CHECK_WARN, "journalctl -u worker.service");
	facts.memory.events.oom_kill = facts.memory.events.max = 0;
	facts.memory.events.high = 3;
	expect("events", CHECK_WARN, "MemoryHigh was reached 3 times");
	facts.memory.events.high = 0;
	facts.memory.some.avg10 = 9.9;
	expect("events", CHECK_PASS, "no OOM kills");
	facts.memory.some.avg10 = 10;
	expect("events", CHECK_WARN, "10 % of the last 10 s");
	facts.memory.events.oom_kill = facts.memory.events.high = CGROUP_UNKNOWN;
	expect("events", CHECK_UNKNOWN, "does not tell");
}

static void who_is_killed_first(void **state)
{
	(void)state;
	expect("oom-score", CHECK_PASS, "is 0, the default");
	facts.oom_score_adj = 1;
	expect("oom-score", CHECK_WARN, "is 1");
	facts.oom_score_adj = -200;
	expect("oom-score", CHECK_PASS, "−200");
	facts.oom_score_adj = -1000;
	expect("oom-score", CHECK_WARN, "it hangs");
	facts.memory.effective_max.bytes = CGROUP_NO_LIMIT;
	expect("oom-score", CHECK_PASS, "−1000");
	facts.oom_score_adj = INT_MIN;
	expect("oom-score", CHECK_UNKNOWN, "cannot be read");
}

static void who_kills_besides_the_kernel(void **state)
{
	(void)state;
	expect("managed-oom", CHECK_PASS, "does not run; worker.service leaves it to the kernel");
	strcpy(facts.oomd.setting, "ManagedOOMMemoryPressure");
	strcpy(facts.oomd.setting_unit, "system.slice");
	expect("managed-oom", CHECK_WARN, "ManagedOOMMemoryPressure=kill of system.slice has no effect");
	facts.oomd.running = true;
	expect("managed-oom", CHECK_PASS, "kills it under pressure");
	facts.oomd.avoid = true;
	expect("managed-oom", CHECK_PASS, "others first");
	facts.oomd.omit = true;
	expect("managed-oom", CHECK_PASS, "spares it");
	facts.oomd.setting_unit[0] = '\0';
	facts.oomd.file_found = false;
	expect("managed-oom", CHECK_UNKNOWN, "was not found");
	facts.has_unit = false;
	assert_null(run("managed-oom"));
}

/* More findings than there is room for are dropped, nothing else. */
static void findings_are_bounded(void **state)
{
	(void)state;
	found = (struct check_findings){.check = "x"};
	for (unsigned i = 0; i < 2 * CHECK_FINDINGS_MAX; i++)
		check_add(&found, CHECK_WARN, "%u", i);
	assert_int_equal(found.cnt, CHECK_FINDINGS_MAX);
	assert_int_equal(found.of[CHECK_WARN], CHECK_FINDINGS_MAX);
	/* and the longest of settings */
	variable("glibc", "MALLOC_ARENA_MAX", "", "");
	memset(facts.variables[0].value, 'x', sizeof(facts.variables[0].value) - 1);
	for (size_t i = 1; i < CHECK_VARIABLES_MAX; i++)
		facts.variables[i] = facts.variables[0];
	facts.variable_cnt = CHECK_VARIABLES_MAX;
	check_all(&facts, &found);
	for (size_t i = 0; i < CHECK_VARIABLES_MAX; i++)
		facts.variables[i].owner = kind("musl");
	facts.heap.allocator_cnt = 0;
	check_all(&facts, &found);
}

#define TEST(name) cmocka_unit_test_setup(name, healthy)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_healthy_process_passes),
		TEST(serving_is_named_and_what_idles_is_a_trap),
		TEST(preloads_take_or_not),
		TEST(settings_for_another_allocator_do_nothing),
		TEST(unknown_names_are_ignored),
		TEST(the_walk_says_whether_it_is_in_force),
		TEST(values_that_keep_memory),
		TEST(thresholds_that_keep_memory),
		TEST(much_that_is_free_and_resident),
		TEST(huge_pages_that_fill_up_again),
		TEST(arenas_that_keep_memory_apart),
		TEST(arenas_name_their_threads),
		TEST(rss_that_clearly_grows),
		TEST(rss_that_grows_by_shared_memory),
		TEST(many_descriptors),
		TEST(descriptors_that_grow_or_run_out),
		TEST(limits_of_memory),
		TEST(high_against_max),
		TEST(swap_lets_it_thrash),
		TEST(what_has_happened),
		TEST(who_is_killed_first),
		TEST(who_kills_besides_the_kernel),
		TEST(findings_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
