#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/units.h"
#include "command/command.h"
#include "command/grammar.h"
#include "command/options.h"

typedef int options_parse(int argc, char **argv, struct options *options);

/* What the last call of parse wrote to stdout and stderr. */
static char said[8192];

#define ARGV_MAX 24

/* Splits line at blanks, parses, and catches what is printed. */
static int parse(options_parse *fn, const char *line, struct options *options)
{
	static char words[512];
	char *argv[ARGV_MAX + 1] = {0};
	int argc = 0, status, saved[2];
	FILE *caught = tmpfile();
	size_t len;

	assert_non_null(caught);
	snprintf(words, sizeof(words), "%s", line);
	for (char *word = strtok(words, " "); word && argc < ARGV_MAX; word = strtok(NULL, " "))
		argv[argc++] = word;
	fflush(stdout);
	for (int i = 0; i < 2; i++) {
		saved[i] = dup(i + 1);
		dup2(fileno(caught), i + 1);
	}
	status = fn(argc, argv, options);
	fflush(stdout);
	for (int i = 0; i < 2; i++) {
		dup2(saved[i], i + 1);
		close(saved[i]);
	}
	rewind(caught);
	len = fread(said, 1, sizeof(said) - 1, caught);
	said[len] = '\0';
	fclose(caught);
	return status;
}

static void attach_has_defaults(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse(options_parse_attach, "attach 4242", &o), OPTIONS_GO);
	assert_true(o.pids.cnt == 1 && o.pids.v[0] == 4242);
	assert_int_equal(o.interval_ns, 5 * NSEC_PER_SEC);
	assert_int_equal(o.count, 0);
	assert_int_equal(o.duration_ns, 0);
	assert_int_equal(o.retained_min, 0);
	assert_int_equal(o.window_min_ns, 5 * NSEC_PER_SEC);
	assert_int_equal(o.churn_min, 20);
	assert_true(o.walk_budget == 2);
	assert_false(o.json || o.verbose || o.stop);
	assert_null(o.command);
	assert_string_equal(said, "");
}

static void mark_has_its_own(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse(options_parse_mark, "mark 42 done", &o), OPTIONS_GO);
	assert_int_equal(o.pid, 42);
	assert_string_equal(o.text, "done");
	assert_string_equal(o.kind, "mark");
	assert_false(o.no_wait);
	assert_int_equal(parse(options_parse_mark, "mark --no-wait -k batch -p 42", &o), OPTIONS_GO);
	assert_string_equal(o.text, "");
	assert_string_equal(o.kind, "batch");
	assert_true(o.no_wait);
	assert_int_equal(parse(options_parse_mark, "mark done", &o), STATUS_USAGE);
	assert_non_null(strstr(said, "PID needs a process id; 'done' is none\n"));
	assert_int_equal(parse(options_parse_mark, "mark 42 unit 3", &o), STATUS_USAGE);
	assert_non_null(strstr(said, "'3' is one argument too many\n"));
	assert_int_equal(parse(options_parse_mark, "mark --json 42", &o), STATUS_USAGE);
}

static void functions_to_mark(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse(options_parse_attach, "attach --mark :a --mark libb.so:b 42", &o), OPTIONS_GO);
	assert_int_equal(o.marks.cnt, 2);
	assert_string_equal(o.marks.v[1].symbol, "b");
	assert_int_equal(parse(options_parse_run, "run --mark a -- true", &o), STATUS_USAGE);
	assert_non_null(strstr(said, "--mark needs LIB:SYMBOL, as libc.so.6:fork, or :SYMBOL of the program "
				     "(16 at most); 'a' is none\n"));
}

static void attach_takes_options_anywhere(void **state)
{
	static const char *const lines[] = {
		"attach 7 0.5 3 --json --duration 60 --retained-min 256M --window-min 1.5 --churn-min 5 "
		"--walk-budget 0.5 -v",
		"attach --json -p 7 -d 60 0.5 --retained-min=256MiB --window-min=1.5 --churn-min=5 "
		"--walk-budget=.5 -v 3",
		"attach -jvp7 -d60 --retained 0.25G --window 1.5 --churn 5 --walk 0.50 -- 0.5 3",
	};
	struct options o;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		assert_int_equal(parse(options_parse_attach, lines[i], &o), OPTIONS_GO);
		assert_true(o.pids.cnt == 1 && o.pids.v[0] == 7);
		assert_int_equal(o.interval_ns, NSEC_PER_SEC / 2);
		assert_int_equal(o.count, 3);
		assert_int_equal(o.duration_ns, 60 * NSEC_PER_SEC);
		assert_int_equal(o.retained_min, 256 * MIB);
		assert_int_equal(o.window_min_ns, 3 * NSEC_PER_SEC / 2);
		assert_int_equal(o.churn_min, 5);
		assert_true(o.walk_budget == 0.5);
		assert_true(o.json && o.verbose);
	}
}

static void allocation_options_have_defaults(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse(options_parse_attach, "attach 7", &o), OPTIONS_GO);
	assert_true(o.stacks.wanted && !o.stacks.sample_bytes && o.stacks.free_sample_bytes == 4096 &&
		    !o.no_alloc && o.max_overhead == 10);
	assert_true(!o.size_min && o.size_max == UINT64_MAX && !o.older_ns && !o.top && !o.max_memory);
	assert_true(!o.files[FORM_FOLDED] && o.weight == WEIGHT_LIVE);
	assert_int_equal(parse(options_parse_run, "run true", &o), OPTIONS_GO);
	assert_true(o.max_overhead == 0); /* a command that is ours may be as slow as it gets */
}

static void allocation_options_are_read(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse(options_parse_attach,
			       "attach 7 --stack none --max-overhead none -T 3 --older 1.5 -z 1K -Z 1M "
			       "--max-memory 64M --folded out",
			       &o),
			 OPTIONS_GO);
	assert_true(!o.stacks.wanted && o.max_overhead == 0 && o.top == 3 &&
		    o.older_ns == 3 * NSEC_PER_SEC / 2);
	assert_true(o.size_min == KIB && o.size_max == MIB && o.max_memory == 64 * MIB);
	assert_string_equal(o.files[FORM_FOLDED], "out");
	assert_int_equal(parse(options_parse_attach, "attach 7 --no-alloc --perfetto out", &o), OPTIONS_GO);
	assert_string_equal(o.files[FORM_PERFETTO], "out");
	assert_int_equal(parse(options_parse_attach, "attach 7 --weight peak --max-overhead 1.5", &o),
			 OPTIONS_GO);
	assert_true(o.weight == WEIGHT_PEAK && o.max_overhead == 1.5);
	assert_int_equal(parse(options_parse_attach, "attach 7 --stack sampled:64K", &o), OPTIONS_GO);
	assert_true(o.stacks.wanted && o.stacks.sample_bytes == 64 * KIB &&
		    o.stacks.free_sample_bytes == 64 * KIB);
	assert_int_equal(parse(options_parse_attach, "attach 7 --no-alloc", &o), OPTIONS_GO);
	assert_true(o.no_alloc);
}

static void profiles_are_asked_for(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse(options_parse_attach, "attach 7", &o), OPTIONS_GO);
	assert_true(!o.files[FORM_PPROF] && !o.files[FORM_SPEEDSCOPE] && !o.push &&
		    o.push_interval_ns == 60 * NSEC_PER_SEC);
	assert_int_equal(parse(options_parse_attach,
			       "attach 7 --pprof a --speedscope b --push http://h/ingest --push-interval 5 "
			       "--weight retained",
			       &o),
			 OPTIONS_GO);
	assert_string_equal(o.files[FORM_PPROF], "a");
	assert_string_equal(o.files[FORM_SPEEDSCOPE], "b");
	assert_string_equal(o.push, "http://h/ingest");
	assert_true(o.push_interval_ns == 5 * NSEC_PER_SEC && o.weight == WEIGHT_RETAINED);
	assert_int_equal(parse(options_parse_attach, "attach 7 --push http://h/", &o), STATUS_USAGE);
	assert_int_equal(parse(options_parse_attach, "attach 7 --push http://h/ingest --no-alloc", &o),
			 STATUS_USAGE);
	assert_int_equal(parse(options_parse_run, "run --pprof a --no-alloc true", &o), STATUS_USAGE);
}

static void allocators_needs_no_process(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse(options_parse_allocators, "allocators", &o), OPTIONS_GO);
	assert_int_equal(o.pid, 0);
	assert_int_equal(parse(options_parse_allocators, "allocators -j -S my_ 7", &o), OPTIONS_GO);
	assert_true(o.pid == 7 && o.json && o.custom.kinds[1]);
	assert_int_equal(parse(options_parse_allocators, "allocators 7 8", &o), STATUS_USAGE);
	assert_non_null(strstr(said, "'8' is one argument too many"));
}

static void an_allocator_can_be_named(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse(options_parse_attach, "attach 7", &o), OPTIONS_GO);
	assert_null(o.custom.kinds[0]);
	/* What looks like jemalloc's is taken for jemalloc's. */
	assert_int_equal(parse(options_parse_attach, "attach 7 -S my_", &o), OPTIONS_GO);
	assert_string_equal(o.custom.kinds[0]->name, "jemalloc");
	assert_string_equal(o.custom.kinds[1]->name, "my_malloc");
	assert_string_equal(o.custom.kinds[1]->prefixes[0], "my_");
	assert_null(o.custom.kinds[1]->object);
	assert_null(o.custom.kinds[2]);
	assert_int_equal(parse(options_parse_run, "run -O /opt/lib/liballoc.so -S _rjem_ x", &o), OPTIONS_GO);
	assert_string_equal(o.custom.kinds[0]->name, "liballoc.so _rjem_malloc"); /* a prefix that is known */
	assert_string_equal(o.custom.kinds[0]->object, "/opt/lib/liballoc.so");
	assert_null(o.custom.kinds[1]);
	assert_int_equal(parse(options_parse_run, "run --object a.out x", &o), OPTIONS_GO);
	assert_string_equal(o.custom.kinds[0]->name, "a.out");
	assert_string_equal(o.custom.kinds[0]->prefixes[0], "");
}

static void allocation_options_that_make_no_sense_are_refused(void **state)
{
	static const struct {
		const char *line, *says;
	} cases[] = {
		{"attach 7 --stack some", "--stack needs all, none or sampled:SIZE"},
		{"attach 7 --stack sampled:0", "--stack needs all, none or sampled:SIZE"},
		{"attach 7 --weight heavy", "--weight needs live, allocated"},
		{"attach 7 --max-overhead 0", "out of range"},
		{"attach 7 -z 2M -Z 1M", "no block is left"},
		{"attach 7 --no-alloc --folded out", "--no-alloc leaves out"},
		{"attach 7 --no-alloc --heaptrack out.gz",
		 "--heaptrack needs the probes that --no-alloc leaves out"},
		{"attach 7 -S 1x", "--symbol-prefix needs what the functions' names begin with"},
		{"attach 7 -S a-b", "'a-b' is none"},
		{"attach 7 --symbol-prefix=", "is none"},
		{"attach 7 --folded=", "--folded needs the name of a file"},
	};
	struct options o;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(parse(options_parse_attach, cases[i].line, &o), STATUS_USAGE);
		assert_non_null(strstr(said, cases[i].says));
	}
}

static void run_leaves_the_command_alone(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse(options_parse_run, "run --json -i 1 -n 2 -- python3 --json -x", &o),
			 OPTIONS_GO);
	assert_true(o.json);
	assert_int_equal(o.interval_ns, NSEC_PER_SEC);
	assert_int_equal(o.count, 2);
	assert_string_equal(o.command[0], "python3");
	assert_string_equal(o.command[1], "--json");
	assert_string_equal(o.command[2], "-x");
	assert_null(o.command[3]);
	assert_int_equal(parse(options_parse_run, "run ls --verbose", &o),
			 OPTIONS_GO); /* the -- may be left out */
	assert_false(o.verbose);
	assert_string_equal(o.command[1], "--verbose");
}

static void heap_has_its_own(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse(options_parse_heap, "heap --stop 12 --json", &o), OPTIONS_GO);
	assert_int_equal(o.pid, 12);
	assert_true(o.stop && o.json);
}

/* Wrong lines: status 2, one line that names the thing, and a hint. */
static void says_what_is_wrong(void **state)
{
	static const struct {
		options_parse *fn;
		const char *line, *says;
	} cases[] = {
		{options_parse_attach, "attach", "alloctrace attach: there is no PID to look at\n"},
		{options_parse_attach, "attach abc",
		 "alloctrace attach: PID needs process ids, as 42 or 42,43; 'abc' is none\n"},
		{options_parse_attach, "attach 0", "PID needs process ids, as 42 or 42,43; '0' is none\n"},
		{options_parse_attach, "attach 99999999999", "PID needs process ids"},
		{options_parse_attach, "attach -p 1x",
		 "--pid needs process ids, as 42 or 42,43; '1x' is none\n"},
		{options_parse_attach, "attach 1 0",
		 "INTERVAL needs seconds, 0.01 at least; '0' is out of range\n"},
		{options_parse_attach, "attach 1 1 1 1", "'1' is one argument too many\n"},
		{options_parse_attach, "attach 1 1 x", "COUNT needs a whole number; 'x' is none\n"},
		{options_parse_attach, "attach 1 --bogus", "there is no option '--bogus'\n"},
		{options_parse_attach, "attach 1 -x", "there is no option '-x'\n"},
		{options_parse_attach, "attach 1 -vx", "there is no option '-x'\n"},
		{options_parse_attach, "attach 1 --json=yes", "--json needs no argument\n"},
		{options_parse_attach, "attach 1 --duration", "--duration needs seconds, as 90 or 0.5\n"},
		{options_parse_attach, "attach 1 -d", "--duration needs seconds, as 90 or 0.5\n"},
		{options_parse_attach, "attach 1 --duration -5", "--duration needs seconds"},
		{options_parse_attach, "attach 1 --retained-min 1Q", "--retained-min needs a size"},
		{options_parse_attach, "attach 1 --churn-min 1.5", "--churn-min needs a whole number"},
		{options_parse_attach, "attach 1 --churn-min 99999999999999999999", "is out of range\n"},
		{options_parse_attach, "attach 1 --walk-budget 0", "--walk-budget needs a percentage"},
		{options_parse_attach, "attach 1 --walk-budget 101", "is out of range\n"},
		{options_parse_attach, "attach 1 --walk-budget nan", "'nan' is none\n"},
		{options_parse_attach, "attach 1 --stop", "there is no option '--stop'\n"},
		{options_parse_run, "run", "alloctrace run: there is no COMMAND to run\n"},
		{options_parse_run, "run --", "there is no COMMAND to run\n"},
		{options_parse_run, "run --pid 5 ls", "there is no option '--pid'\n"},
		{options_parse_check, "check", "there is no PID to look at\n"},
		{options_parse_check, "check 1,", "PID needs process ids"},
		{options_parse_check, "check 1,,2", "PID needs process ids"},
		{options_parse_check, "check -p 1 --unit x", "exclude each other\n"},
		{options_parse_check, "check --cgroup /x --unit x", "exclude each other\n"},
		{options_parse_check, "check --unit= ", "--unit needs a name"},
		{options_parse_heap, "heap 1 2", "alloctrace heap: '2' is one argument too many\n"},
		{options_parse_heap, "heap --duration 5 1", "there is no option '--duration'\n"},
	};
	struct options o;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(parse(cases[i].fn, cases[i].line, &o), STATUS_USAGE);
		if (!strstr(said, cases[i].says) || !strstr(said, "\nTry 'alloctrace "))
			fail_msg("%s: '%s'", cases[i].line, said);
		assert_ptr_equal(strchr(strchr(said, '\n') + 1, '\n') + 1,
				 said + strlen(said)); /* two lines */
	}
}

/* However many rows there are: each is found by its name, with what it needs. */
static void every_option_is_found_by_its_name(void **state)
{
	static const struct {
		unsigned bit;
		options_parse *fn;
	} commands[] = {
		{IN_ATTACH, options_parse_attach}, {IN_RUN, options_parse_run},
		{IN_HEAP, options_parse_heap},     {IN_CHECK, options_parse_check},
		{IN_PURGE, options_parse_purge},   {IN_ALLOCATORS, options_parse_allocators},
		{IN_REPORT, options_parse_report}, {IN_TOP, options_parse_top},
		{IN_MARK, options_parse_mark},     {IN_DIFF, options_parse_diff},
	};
	struct options o;
	char line[128];

	(void)state;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		for (size_t k = 0; k < option_row_cnt; k++) {
			const struct option_row *row = &option_rows[k];

			if (!(row->commands & commands[i].bit))
				continue;
			/* Without the argument that it needs, or with one that it does not take. */
			snprintf(line, sizeof(line), "x --%s%s", row->name, row->arg ? "" : "=1");
			assert_int_equal(parse(commands[i].fn, line, &o), STATUS_USAGE);
			snprintf(line, sizeof(line), "--%s needs %s", row->name,
				 row->type ? row->type->needs : "no argument");
			assert_non_null(strstr(said, line));
		}
}

static void help_names_every_option(void **state)
{
	static const char *const attach[] = {
		"Usage: alloctrace attach",
		"--pid PID,…",
		"--duration SEC",
		"--json",
		"--retained-min SIZE",
		"--window-min SEC",
		"--churn-min N",
		"--walk-budget PCT",
		"--verbose",
		"--help",
		"Examples:",
	};
	struct options o;

	(void)state;
	assert_int_equal(parse(options_parse_attach, "attach --help", &o), STATUS_DONE);
	for (size_t i = 0; i < sizeof(attach) / sizeof(attach[0]); i++)
		assert_non_null(strstr(said, attach[i]));
	assert_null(strstr(said, "--stop"));
	assert_int_equal(parse(options_parse_heap, "heap -h", &o), STATUS_DONE);
	assert_non_null(strstr(said, "--stop"));
	assert_int_equal(parse(options_parse_run, "run --help -- x", &o), STATUS_DONE);
	assert_non_null(strstr(said, "--interval SEC"));
}

static void attach_takes_many(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse(options_parse_attach, "attach 12,7,12 2 3", &o), OPTIONS_GO);
	assert_true(o.pids.cnt == 2 && o.pids.v[0] == 12 && o.pids.v[1] == 7 && o.count == 3);
	assert_false(o.follow);
	assert_int_equal(parse(options_parse_attach, "attach -p 12 -p 7 --follow --apart", &o), OPTIONS_GO);
	assert_true(o.pids.cnt == 2 && o.follow && o.apart);
	assert_int_equal(parse(options_parse_attach, "attach --unit w.service 5", &o), OPTIONS_GO);
	assert_string_equal(o.unit, "w.service");
	assert_true(!o.pids.cnt && o.interval_ns == 5 * NSEC_PER_SEC);
	assert_int_equal(parse(options_parse_attach, "attach --comm nginx", &o), OPTIONS_GO);
	assert_string_equal(o.comm, "nginx");
	assert_int_equal(parse(options_parse_run, "run -- x", &o), OPTIONS_GO);
	assert_true(o.follow);
	assert_int_equal(parse(options_parse_run, "run --no-follow -- x", &o), OPTIONS_GO);
	assert_false(o.follow);
}

static void check_takes_processes_or_a_unit(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse(options_parse_check, "check 12", &o), OPTIONS_GO);
	assert_int_equal(o.pids.cnt, 1);
	assert_int_equal(o.pids.v[0], 12);
	assert_int_equal(parse(options_parse_check, "check -p 12,7 --json", &o), OPTIONS_GO);
	assert_int_equal(o.pids.cnt, 2);
	assert_int_equal(o.pids.v[1], 7);
	assert_true(o.json);
	assert_int_equal(parse(options_parse_check, "check --unit w.service", &o), OPTIONS_GO);
	assert_string_equal(o.unit, "w.service");
	assert_int_equal(o.pids.cnt, 0);
	assert_int_equal(parse(options_parse_check, "check --cgroup /a/b", &o), OPTIONS_GO);
	assert_string_equal(o.cgroup, "/a/b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attach_has_defaults),
		cmocka_unit_test(attach_takes_options_anywhere),
		cmocka_unit_test(mark_has_its_own),
		cmocka_unit_test(functions_to_mark),
		cmocka_unit_test(allocation_options_have_defaults),
		cmocka_unit_test(allocation_options_are_read),
		cmocka_unit_test(profiles_are_asked_for),
		cmocka_unit_test(allocators_needs_no_process),
		cmocka_unit_test(an_allocator_can_be_named),
		cmocka_unit_test(allocation_options_that_make_no_sense_are_refused),
		cmocka_unit_test(run_leaves_the_command_alone),
		cmocka_unit_test(heap_has_its_own),
		cmocka_unit_test(attach_takes_many),
		cmocka_unit_test(check_takes_processes_or_a_unit),
		cmocka_unit_test(says_what_is_wrong),
		cmocka_unit_test(every_option_is_found_by_its_name),
		cmocka_unit_test(help_names_every_option),
	};

	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
