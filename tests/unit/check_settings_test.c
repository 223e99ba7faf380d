/*
 * Who serves, and settings, with facts made up: one set that makes a check speak, and one next to it that
 * does not.
 */
#include "check_scene.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(serving_is_named_and_what_idles_is_a_trap),
		TEST(preloads_take_or_not),
		TEST(settings_for_another_allocator_do_nothing),
		TEST(unknown_names_are_ignored),
		TEST(the_walk_says_whether_it_is_in_force),
		TEST(values_that_keep_memory),
		TEST(thresholds_that_keep_memory),
		TEST(findings_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
