/*
 * Settings in the environment: those that the allocator of this process does not know, or that are
 * meant for one that does not serve, or that keep memory from going back.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "check/check.h"

/* "MALLOC_CONF dirty_decay_ms:-1", "GLIBC_TUNABLES glibc.malloc.arena_max=2", "MIMALLOC_PURGE_DELAY=0" */
static const char *spell(const struct check_variable *v, char buf[280])
{
	if (!v->option[0])
		snprintf(buf, 280, "%s=%s", v->variable, v->value);
	else
		snprintf(buf, 280, "%s %s%c%s", v->variable, v->option,
			 strcmp(v->owner->name, "jemalloc") != 0 ? '=' : ':', v->value);
	return buf;
}

/* ---- names that are not known ---- */

/* What people set and what would do instead. */
static const struct {
	const char *name; /* of the variable or the option */
	const char *instead;
} instead[] = {
	/* mimalloc 2.0 (src/options.c of 2.0.9); purge_delay came with 2.1 */
	{"MIMALLOC_PURGE_DELAY",
	 "MIMALLOC_DECOMMIT_DELAY and MIMALLOC_SEGMENT_DECOMMIT_DELAY (milliseconds) with "
	 "2.0, or mimalloc 2.1 or later"},
	{"MIMALLOC_PURGE_DECOMMITS", "mimalloc 2.1 or later"},
	{"MIMALLOC_DECOMMIT_DELAY", "MIMALLOC_PURGE_DELAY, its name since 2.1"},
	{"MIMALLOC_SEGMENT_DECOMMIT_DELAY", "MIMALLOC_PURGE_DELAY, since 2.1"},
	{"MIMALLOC_ALLOW_DECOMMIT", "MIMALLOC_PURGE_DELAY (−1: never), since 2.1"},
	{"MIMALLOC_PAGE_RESET", "MIMALLOC_PURGE_DELAY"},
	/* glibc: only those of mallopt(3) that were variables before end in an underscore */
	{"MALLOC_TRIM_THRESHOLD", "MALLOC_TRIM_THRESHOLD_, with the underscore"},
	{"MALLOC_TOP_PAD", "MALLOC_TOP_PAD_, with the underscore"},
	{"MALLOC_MMAP_THRESHOLD", "MALLOC_MMAP_THRESHOLD_, with the underscore"},
	{"MALLOC_MMAP_MAX", "MALLOC_MMAP_MAX_, with the underscore"},
	{"MALLOC_ARENA_MAX_", "MALLOC_ARENA_MAX, without the underscore"},
	{"MALLOC_TCACHE_COUNT", "GLIBC_TUNABLES=glibc.malloc.tcache_count="},
	{"MALLOC_TCACHE_MAX", "GLIBC_TUNABLES=glibc.malloc.tcache_max="},
};

static const char *find_instead(const struct check_variable *v)
{
	const char *name = v->option[0] ? v->option : v->variable;

	for (size_t i = 0; i < sizeof(instead) / sizeof(instead[0]); i++)
		if (!strcmp(instead[i].name, name))
			return instead[i].instead;
	return NULL;
}

static void say_unknown(const struct check_facts *facts, const struct check_variable *v,
			struct check_findings *out)
{
	const struct heap_allocator *a = check_allocator(facts, v->owner->name);
	const char *use = find_instead(v);
	char spelt[280];

	check_add(out, CHECK_WARN, "%s is ignored: %s%s%s has no such setting", spell(v, spelt),
		  v->owner->name, a && a->version[0] ? " " : "", a ? a->version : "");
	if (use)
		check_fix(out, "use %s", use);
	else
		check_fix(out, "correct the name or remove it");
}

/* ---- what is in force ---- */

/* The walk's word for what a name sets; NULL: the walk does not tell. */
static const char *setting_key(const struct check_variable *v)
{
	static const struct {
		const char *name, *key;
	} keys[] = {
		{"MALLOC_TRIM_THRESHOLD_", "trim_threshold"},
		{"MALLOC_TOP_PAD_", "top_pad"},
		{"MALLOC_MMAP_THRESHOLD_", "mmap_threshold"},
		{"MALLOC_ARENA_MAX", "arena_max"},
		{"glibc.malloc.trim_threshold", "trim_threshold"},
		{"glibc.malloc.top_pad", "top_pad"},
		{"glibc.malloc.mmap_threshold", "mmap_threshold"},
		{"glibc.malloc.arena_max", "arena_max"},
		{"MIMALLOC_PURGE_DELAY", "purge_delay"},
		{"MIMALLOC_DECOMMIT_DELAY", "purge_delay"}, /* in 2.0 */
		{"MIMALLOC_SEGMENT_DECOMMIT_DELAY", "segment_decommit_delay"},
	};
	const char *name = v->option[0] ? v->option : v->variable;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (!strcmp(keys[i].name, name))
			return keys[i].key;
	return NULL;
}

static const struct heap_setting *find_setting(const struct heap_walk *walk, const char *key)
{
	for (size_t i = 0; i < walk->setting_cnt; i++)
		if (!strcmp(walk->settings[i].key, key))
			return &walk->settings[i];
	return NULL;
}

/* A whole number, decimal, octal or hexadecimal, as the loader reads it; false: it is none. */
static bool parse_number(const char *text, int64_t *value)
{
	char *end;

	errno = 0;
	*value = (int64_t)strtoull(text, &end, 0); /* of "-1" all bits, as glibc has it */
	return *text && !*end && !errno && strchr("0123456789-", *text);
}

enum force {
	FORCE_UNCLEAR,
	FORCE_YES,
	FORCE_NO,       /* the value is another one now */
	FORCE_NO_VALUE, /* what was given is no number */
};

static enum force in_force(const struct check_facts *facts, const struct check_variable *v, int64_t *actual)
{
	const struct heap_allocator *a = check_allocator(facts, v->owner->name);
	const char *key = setting_key(v);
	const struct heap_setting *s;
	int64_t wanted;

	*actual = 0; /* arena_max: by the number of cores, not among the settings */
	if (!key || !a || !a->walked)
		return FORCE_UNCLEAR;
	s = find_setting(&a->walk, key);
	if (!s && strcmp(key, "arena_max") != 0)
		return FORCE_UNCLEAR;
	*actual = s ? s->value : 0;
	if (!parse_number(v->value, &wanted))
		return FORCE_NO_VALUE;
	return *actual == wanted ? FORCE_YES : FORCE_NO;
}

static void say_not_in_force(const struct check_facts *facts, const struct check_variable *v, int64_t actual,
			     bool number, struct check_findings *out)
{
	char spelt[280], now[UNITS_TEXT_MAX];

	if (!strcmp(setting_key(v), "arena_max"))
		snprintf(now, sizeof(now), "%s%" PRId64, actual ? "" : "not set: ", actual);
	else
		snprintf(now, sizeof(now), "%" PRId64, actual);
	check_add(out, CHECK_WARN, "%s is not in force: the value now is %s%s", spell(v, spelt), now,
		  number ? "" : "; it takes a number without a suffix");
	if (!number)
		check_fix(out, "give a plain number, as %s=%s", v->option[0] ? v->option : v->variable,
			  strcmp(v->owner->name, "glibc") != 0 ? "1000" : "131072");
	else if (facts->secure)
		check_fix(out, "the program runs in secure mode (setuid): the loader ignores it there");
	else
		check_fix(out, "out of range, malformed, set twice, or changed by the program since%s",
			  strcmp(v->owner->name, "glibc") != 0 ? "" : " (mallopt(3); ld.so warns on stderr)");
}

/* ---- values that keep memory ---- */

enum value_test {
	IS_NEGATIVE,
	IS_ZERO,
	IS_NOT_ZERO,
	IS_LARGE, /* more than HOARD bytes */
	IS_TRUE_WORD,
};

#define HOARD (64LL * 1024 * 1024)

/* mimalloc 2.2 src/options.c and os.c; jemalloc 5.3 doc/jemalloc.xml; gperftools 2.10 docs/tcmalloc.html;
 * mallopt(3). */
static const struct {
	const char *owner, *name;
	enum value_test test;
	const char *effect, *fix;
} keepers[] = {
	{"mimalloc", "MIMALLOC_PURGE_DELAY", IS_NEGATIVE,
	 "mimalloc never returns memory, not even by mi_collect(true)",
	 "MIMALLOC_PURGE_DELAY=0 returns at once, 1000 after a second"},
	{"mimalloc", "MIMALLOC_RESET_DELAY", IS_NEGATIVE,
	 "mimalloc never returns memory, not even by mi_collect(true)",
	 "MIMALLOC_PURGE_DELAY=0 returns at once, 1000 after a second"},
	{"mimalloc", "MIMALLOC_PURGE_DECOMMITS", IS_ZERO,
	 "purged memory stays in RSS until the kernel needs it (MADV_FREE)", "remove it"},
	{"mimalloc", "MIMALLOC_ALLOW_DECOMMIT", IS_ZERO, "mimalloc returns only whole segments", "remove it"},
	{"mimalloc", "MIMALLOC_RESERVE_HUGE_OS_PAGES", IS_NOT_ZERO, "1 GiB pages are never returned",
	 "remove it"},
	{"mimalloc", "MIMALLOC_LARGE_OS_PAGES", IS_NOT_ZERO, "large pages are never returned", "remove it"},
	{"mimalloc", "MIMALLOC_ALLOW_LARGE_OS_PAGES", IS_NOT_ZERO, "large pages are never returned",
	 "remove it"},
	{"glibc", "MALLOC_TRIM_THRESHOLD_", IS_NEGATIVE,
	 "free returns nothing by itself, only malloc_trim does",
	 "MALLOC_TRIM_THRESHOLD_=131072, or call malloc_trim(0)"},
	{"glibc", "MALLOC_TRIM_THRESHOLD_", IS_LARGE, "free leaves that much at the end of the heap",
	 "MALLOC_TRIM_THRESHOLD_=131072, or call malloc_trim(0)"},
	{"glibc", "glibc.malloc.trim_threshold", IS_NEGATIVE,
	 "free returns nothing by itself, only malloc_trim does",
	 "glibc.malloc.trim_threshold=131072, or call malloc_trim(0)"},
	{"glibc", "glibc.malloc.trim_threshold", IS_LARGE, "free leaves that much at the end of the heap",
	 "glibc.malloc.trim_threshold=131072, or call malloc_trim(0)"},
	{"glibc", "MALLOC_TOP_PAD_", IS_LARGE, "each trim leaves that much at the end of the heap",
	 "a pad of some MiB at most"},
	{"glibc", "glibc.malloc.top_pad", IS_LARGE, "each trim leaves that much at the end of the heap",
	 "a pad of some MiB at most"},
	{"glibc", "MALLOC_MMAP_THRESHOLD_", IS_LARGE,
	 "blocks up to that size share the heap with small ones, which pin them",
	 "leave it at its default, or 131072: larger blocks go back at free"},
	{"glibc", "glibc.malloc.mmap_threshold", IS_LARGE,
	 "blocks up to that size share the heap with small ones, which pin them",
	 "leave it at its default, or 131072: larger blocks go back at free"},
	{"glibc", "MALLOC_MMAP_MAX_", IS_ZERO, "large blocks share the heap with small ones, which pin them",
	 "remove it"},
	{"glibc", "glibc.malloc.mmap_max", IS_ZERO,
	 "large blocks share the heap with small ones, which pin them", "remove it"},
	{"jemalloc", "dirty_decay_ms", IS_NEGATIVE, "unused dirty pages are never returned",
	 "dirty_decay_ms:1000, or purge by mallctl(\"arena.4096.purge\")"},
	{"jemalloc", "muzzy_decay_ms", IS_NEGATIVE,
	 "lazily freed pages stay in RSS until the kernel needs them", "muzzy_decay_ms:0"},
	{"gperftools", "TCMALLOC_RELEASE_RATE", IS_ZERO, "tcmalloc returns nothing by itself",
	 "TCMALLOC_RELEASE_RATE=1 (the default) to 10"},
	{"gperftools", "TCMALLOC_DISABLE_MEMORY_RELEASE", IS_TRUE_WORD, "tcmalloc never returns memory",
	 "remove it"},
};

static bool passes(enum value_test test, const char *value)
{
	char *end;
	double number = strtod(value, &end);
	bool is_number = end != value;

	switch (test) {
	case IS_NEGATIVE:
		return is_number && number < 0;
	case IS_ZERO:
		return (is_number && number == 0) || !strcasecmp(value, "off") || !strcasecmp(value, "no") ||
		       !strcasecmp(value, "false");
	case IS_NOT_ZERO:
		return is_number ? number > 0 : passes(IS_TRUE_WORD, value);
	case IS_LARGE:
		return is_number && number > (double)HOARD;
	case IS_TRUE_WORD: /* gperftools' EnvToBool, src/base/commandlineflags.h */
		return *value && strchr("tTyY1", *value);
	}
	return false;
}

static bool say_keeper(const struct check_variable *v, struct check_findings *out)
{
	const char *name = v->option[0] ? v->option : v->variable;
	char spelt[280];

	for (size_t i = 0; i < sizeof(keepers) / sizeof(keepers[0]); i++) {
		if (strcmp(keepers[i].owner, v->owner->name) != 0 || strcmp(keepers[i].name, name) != 0 ||
		    !passes(keepers[i].test, v->value))
			continue;
		check_add(out, CHECK_WARN, "%s: %s", spell(v, spelt), keepers[i].effect);
		check_fix(out, "%s", keepers[i].fix);
		return true;
	}
	return false;
}

/* ---- all of them ---- */

/* A tunable of other parts of the C library: whoever allocates, it is theirs. */
static bool is_of_malloc(const struct check_variable *v)
{
	return strncmp(v->option, "glibc.", 6) != 0 || !strncmp(v->option, "glibc.malloc.", 13);
}

static bool serves(const struct check_facts *facts, const struct check_variable *v)
{
	const struct heap_allocator *a = check_allocator(facts, v->owner->name);

	return a && a->serving;
}

static void say_nobody_reads(const struct check_facts *facts, const struct check_variable *v,
			     struct check_findings *out)
{
	char spelt[280], names[96];

	check_serving(facts, names);
	check_add(out, CHECK_WARN, "%s has no effect: %s serve%s this process, not %s", spell(v, spelt),
		  names, strstr(names, " and ") ? "" : "s", v->owner->name);
	check_fix(out, "remove it, or let %s serve (LD_PRELOAD)", v->owner->name);
}

/* True: nothing is wrong with it. */
static bool judge(const struct check_facts *facts, const struct check_variable *v, bool *unclear,
		  struct check_findings *out)
{
	int64_t actual;
	enum force force;
	char names[96];

	*unclear = false;
	if (is_of_malloc(v) && check_serving(facts, names)[0] && !serves(facts, v)) {
		say_nobody_reads(facts, v, out);
		return false;
	}
	if (v->known == KNOWN_NO) {
		say_unknown(facts, v, out);
		return false;
	}
	force = in_force(facts, v, &actual);
	if (force == FORCE_NO || force == FORCE_NO_VALUE) {
		say_not_in_force(facts, v, actual, force == FORCE_NO, out);
		return false;
	}
	*unclear = v->known == KNOWN_UNCLEAR && force == FORCE_UNCLEAR;
	return !say_keeper(v, out);
}

/* ", " and one more name. */
static void append(char *list, size_t size, const struct check_variable *v)
{
	size_t used = strlen(list);
	char spelt[280];

	snprintf(list + used, size - used, "%s%s", used ? ", " : "", spell(v, spelt));
}

void check_variables(const struct check_facts *facts, struct check_findings *out)
{
	char good[200] = "", open[200] = "";
	bool unclear;

	if (facts->environment == ENVIRONMENT_UNKNOWN) {
		check_add(out, CHECK_UNKNOWN, "the environment cannot be read: the program wrote over it");
		return;
	}
	for (size_t i = 0; i < facts->variable_cnt; i++)
		if (judge(facts, &facts->variables[i], &unclear, out))
			append(unclear ? open : good, sizeof(good), &facts->variables[i]);
	if (open[0])
		check_add(out, CHECK_UNKNOWN, "%s: whether this allocator knows that cannot be told", open);
	if (good[0])
		check_add(out, CHECK_PASS, "%s", good);
	if (facts->variable_cnt)
		return;
	if (facts->environment == ENVIRONMENT_NOW)
		check_add(out, CHECK_PASS,
			  "none for an allocator now; the program wrote over the environment that it "
			  "was started with");
	else
		check_add(out, CHECK_PASS, "no settings for an allocator in the environment");
}
