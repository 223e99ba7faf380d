/* What `check` gathers, from environments, descriptors and trees made up, and from this very process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/socket.h>
#include <sys/xattr.h>

#include "made_tree.h"
#include "check/gather.h"
#include "target/object_text.h"

static struct check_facts facts;

/* ---- settings ---- */

static void gather(const char *text, size_t len)
{
	struct environment env;

	facts = (struct check_facts){0};
	assert_true(environment_parse(text, len, &env));
	gather_variables(&env, &facts);
	environment_free(&env);
}

#define GATHER(text) gather(text, sizeof(text))

static void expect_variable(size_t i, const char *owner, const char *name, const char *option,
			    const char *value)
{
	assert_true(i < facts.variable_cnt);
	assert_string_equal(facts.variables[i].owner->name, owner);
	assert_string_equal(facts.variables[i].variable, name);
	assert_string_equal(facts.variables[i].option, option);
	assert_string_equal(facts.variables[i].value, value);
}

static void variables_have_owners(void **state)
{
	(void)state;
	GATHER("PATH=/bin\0MALLOC_ARENA_MAX=2\0MIMALLOC_PURGE_DELAY=\0TCMALLOC_RELEASE_RATE=1=2\0"
	       "MALLOC_TRIM_THRESHOLD=9\0PYTHONMALLOC=malloc\0XMALLOC_ARENA_MAX=1");
	assert_int_equal(facts.variable_cnt, 4);
	expect_variable(0, "glibc", "MALLOC_ARENA_MAX", "", "2");
	expect_variable(1, "mimalloc", "MIMALLOC_PURGE_DELAY", "", "");
	expect_variable(2, "gperftools", "TCMALLOC_RELEASE_RATE", "", "1=2");
	expect_variable(3, "glibc", "MALLOC_TRIM_THRESHOLD", "", "9");
}

static void lists_are_split(void **state)
{
	(void)state;
	GATHER("GLIBC_TUNABLES=glibc.malloc.arena_max=2::nonsense:glibc.malloc.top_pad=\0"
	       "_RJEM_MALLOC_CONF=dirty_decay_ms:-1,abort,stats_print_opts:a:b");
	assert_int_equal(facts.variable_cnt, 6);
	expect_variable(0, "glibc", "GLIBC_TUNABLES", "glibc.malloc.arena_max", "2");
	expect_variable(1, "glibc", "GLIBC_TUNABLES", "nonsense", "");
	expect_variable(2, "glibc", "GLIBC_TUNABLES", "glibc.malloc.top_pad", "");
	expect_variable(3, "jemalloc", "_RJEM_MALLOC_CONF", "dirty_decay_ms", "-1");
	expect_variable(4, "jemalloc", "_RJEM_MALLOC_CONF", "abort", "");
	expect_variable(5, "jemalloc", "_RJEM_MALLOC_CONF", "stats_print_opts", "a:b");
	/* as the loader leaves it up to 2.38 */
	GATHER("GLIBC_TUNABLES=glibc.malloc.arena_max=2\0glibc.malloc.top_pad=1");
	assert_int_equal(facts.variable_cnt, 2);
	expect_variable(1, "glibc", "GLIBC_TUNABLES", "glibc.malloc.top_pad", "1");
}

static void too_many_and_too_long_are_cut(void **state)
{
	char text[8192] = "GLIBC_TUNABLES=", longer[600] = "MALLOC_ARENA_MAX=";

	(void)state;
	for (unsigned i = 0; i < 2 * CHECK_VARIABLES_MAX; i++)
		strcat(text, "a.b=1:");
	gather(text, strlen(text) + 1);
	assert_int_equal(facts.variable_cnt, CHECK_VARIABLES_MAX);
	memset(longer + strlen(longer), '\033', 500);
	gather(longer, strlen(longer) + 1);
	assert_int_equal(strlen(facts.variables[0].value), sizeof(facts.variables[0].value) - 1);
	assert_null(strchr(facts.variables[0].value, '\033'));
}

static void what_is_no_environment_is_told(void **state)
{
	struct environment env;

	(void)state;
	assert_true(environment_parse("", 0, &env));
	assert_int_equal(env.cnt, 0);
	environment_free(&env);
	assert_true(environment_parse("A=1\0B=2", 7, &env)); /* no NUL at the end */
	assert_string_equal(environment_get(&env, "B"), "2");
	assert_null(environment_get(&env, "C"));
	environment_free(&env);
	environment_free(&env);
	assert_false(environment_parse("\0\0\0", 3, &env));
	assert_false(environment_parse("      ", 6, &env));
	assert_false(environment_parse("postgres: idle\0A=1", 18, &env));
	assert_false(environment_parse("idle: a=b\0A=1", 13, &env));
}

/* ---- descriptors ---- */

static void links_tell_kinds(void **state)
{
	(void)state;
	assert_int_equal(descriptor_kind_of("socket:[123]"), DESCRIPTOR_SOCKET);
	assert_int_equal(descriptor_kind_of("pipe:[123]"), DESCRIPTOR_PIPE);
	assert_int_equal(descriptor_kind_of("anon_inode:[eventpoll]"), DESCRIPTOR_ANON);
	assert_int_equal(descriptor_kind_of("/var/log/x (deleted)"), DESCRIPTOR_DELETED);
	assert_int_equal(descriptor_kind_of("/memfd:x (deleted)"), DESCRIPTOR_DELETED);
	assert_int_equal(descriptor_kind_of("/var/log/x"), DESCRIPTOR_FILE);
	assert_int_equal(descriptor_kind_of("/dev/null"), DESCRIPTOR_DEVICE);
	assert_int_equal(descriptor_kind_of("/dev/shm/x"), DESCRIPTOR_FILE);
	assert_int_equal(descriptor_kind_of("mnt:[4026531840]"), DESCRIPTOR_OTHER);
	assert_int_equal(descriptor_kind_of(""), DESCRIPTOR_OTHER);
}

static void what_was_opened_is_fresh(void **state)
{
	struct descriptors before, now;
	int pipes[2], socket_fd;

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(descriptors_read(getpid(), NULL, &before), 0);
	assert_int_equal(before.fresh[DESCRIPTOR_PIPE], 0);
	socket_fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(descriptors_read(getpid(), &before, &now), 0);
	assert_int_equal(now.kind[DESCRIPTOR_SOCKET], before.kind[DESCRIPTOR_SOCKET] + 1);
	assert_int_equal(now.fresh[DESCRIPTOR_SOCKET], 1);
	assert_int_equal(now.fresh[DESCRIPTOR_PIPE], 0);
	assert_int_equal(now.cnt, before.cnt + 1);
	/* another socket under the same number is another one */
	close(socket_fd);
	assert_int_equal(socket(AF_UNIX, SOCK_STREAM, 0), socket_fd);
	descriptors_free(&before);
	before = now;
	assert_int_equal(descriptors_read(getpid(), &before, &now), 0);
	assert_int_equal(now.fresh[DESCRIPTOR_SOCKET], 1);
	assert_int_equal(now.cnt, before.cnt);
	close(socket_fd);
	close(pipes[0]);
	close(pipes[1]);
	descriptors_free(&before);
	descriptors_free(&now);
	descriptors_free(&now);
	assert_true(descriptors_read(0x7fffffff, NULL, &now) < 0);
	assert_true(descriptors_limit(getpid()) > 0);
	assert_int_equal(descriptors_limit(0x7fffffff), 0);
}

/* ---- cgroup and unit ---- */

static void gather_made(void)
{
	char proc[128];

	snprintf(proc, sizeof(proc), "%s/proc", made_tree);
	facts = (struct check_facts){.pid = 7};
	gather_cgroup(&facts, proc, made_tree);
}

static void make_service(void)
{
	made_file("proc/self/mountinfo", "31 23 0:28 / @/cg rw - cgroup2 cgroup2 rw\n");
	made_file("proc/7/cgroup", "0::/system.slice/w.service\n");
	made_file("proc/7/oom_score_adj", "-200\n");
	made_file("cg/system.slice/w.service/memory.current", "4096\n");
	made_file("cg/system.slice/w.service/memory.max", "8192\n");
	made_file("usr/lib/systemd/system/w.service", "[Service]\n");
}

static void a_service_is_known(void **state)
{
	(void)state;
	make_service();
	gather_made();
	assert_true(facts.in_cgroup && facts.has_unit);
	assert_int_equal(facts.oom_score_adj, -200);
	assert_string_equal(facts.unit.name, "w.service");
	assert_true(facts.memory.effective_max.bytes == 8192);
	assert_true(facts.oomd.file_found);
	assert_false(facts.oomd.running);
	assert_string_equal(facts.oomd.setting_unit, "");
}

static void who_watches_may_be_a_slice_above(void **state)
{
	(void)state;
	make_service();
	made_file("etc/systemd/system/system.slice.d/oom.conf", "[Slice]\nManagedOOMSwap=kill\n");
	made_file("cg/system.slice/systemd-oomd.service/cgroup.procs", "");
	gather_made();
	assert_true(facts.oomd.running);
	assert_string_equal(facts.oomd.setting, "ManagedOOMSwap");
	assert_string_equal(facts.oomd.setting_unit, "system.slice");
	made_file("etc/systemd/system/w.service.d/oom.conf", "[Service]\nManagedOOMMemoryPressure=kill\n");
	gather_made();
	assert_string_equal(facts.oomd.setting, "ManagedOOMMemoryPressure");
	assert_string_equal(facts.oomd.setting_unit, "w.service");
	made_file("etc/systemd/system/system.slice.d/oom.conf", "");
	made_file("etc/systemd/system/w.service.d/oom.conf", "[Service]\nManagedOOMMemoryPressure=auto\n");
	gather_made();
	assert_string_equal(facts.oomd.setting_unit, "");
}

static void preferences_are_attributes(void **state)
{
	char folder[PATH_MAX];

	(void)state;
	make_service();
	snprintf(folder, sizeof(folder), "%s/cg/system.slice/w.service", made_tree);
	if (setxattr(folder, "user.oomd_omit", "1", 1, 0)) {
		print_message("skipped: /tmp has no extended attributes\n");
		skip();
	}
	gather_made();
	assert_true(facts.oomd.omit);
	assert_false(facts.oomd.avoid);
	assert_int_equal(setxattr(folder, "user.oomd_omit", "0", 1, 0), 0);
	assert_int_equal(setxattr(folder, "user.oomd_avoid", "1", 1, 0), 0);
	gather_made();
	assert_true(facts.oomd.avoid && !facts.oomd.omit);
}

static void without_any_of_it(void **state)
{
	(void)state;
	made_file("proc/self/mountinfo", "");
	made_file("proc/7/oom_score_adj", "12345\n");
	gather_made();
	assert_false(facts.in_cgroup);
	assert_false(facts.has_unit);
	assert_int_equal(facts.oom_score_adj, INT_MIN);
}

/* ---- this process ---- */

static void this_process_is_looked_at(void **state)
{
	const struct check_facts *f;
	struct gather *g;
	struct error err;

	(void)state;
	if (gather_open(getpid(), &g, &err) != 0) {
		print_message("skipped: %s\n", err.text);
		skip();
	}
	assert_int_equal(gather_sample(g, &err), 0);
	assert_int_equal(gather_look(g, &err), 0);
	for (unsigned i = 0; i < CHECK_SAMPLES + 1; i++) /* one too many */
		assert_int_equal(gather_sample(g, &err), 0);
	f = gather_facts(g);
	assert_int_equal(f->sample_cnt, CHECK_SAMPLES);
	assert_int_equal(f->threads.cnt, 1);
	assert_int_equal(f->threads.v[0].tid, getpid());
	assert_true(f->samples[2].rss > 0 && f->cores > 0 && f->memory_total > 0);
	assert_int_equal(f->environment, ENVIRONMENT_START);
	gather_free(g);
	gather_free(NULL);
}

static void texts_are_found_in_objects(void **state)
{
	char absent[16];
	struct object *obj;
	struct error err;

	(void)state;
	snprintf(absent, sizeof(absent), "zq%08xqz", (unsigned)getpid());
	assert_int_equal(object_open_path(getpid(), "/proc/self/exe", &obj, &err), 0);
	assert_int_equal(object_find_text(obj, "descriptors"), OBJECT_TEXT_WHOLE); /* a check's name */
	assert_int_equal(object_find_text(obj, "escriptors"), OBJECT_TEXT_TAIL);
	assert_int_equal(object_find_text(obj, absent), OBJECT_TEXT_ABSENT);
	object_free(obj);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, made_tree_begin, made_tree_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(variables_have_owners),
		cmocka_unit_test(lists_are_split),
		cmocka_unit_test(too_many_and_too_long_are_cut),
		cmocka_unit_test(what_is_no_environment_is_told),
		cmocka_unit_test(links_tell_kinds),
		cmocka_unit_test(what_was_opened_is_fresh),
		TEST(a_service_is_known),
		TEST(who_watches_may_be_a_slice_above),
		TEST(preferences_are_attributes),
		TEST(without_any_of_it),
		cmocka_unit_test(this_process_is_looked_at),
		cmocka_unit_test(texts_are_found_in_objects),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
