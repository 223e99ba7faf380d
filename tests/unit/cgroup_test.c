/* Made-up cgroup trees, version 2, version 1 and hybrid; and the machine's own, as far as it has one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "child.h"
#include "made_tree.h"
#include "target/cgroup.h"

#define MB (1ULL << 20)

static struct cgroup_tree tree;
static struct cgroup cg;
static struct cgroup_memory m;
static struct error err;

static void open_tree(const char *mountinfo)
{
	char proc[128];

	made_file("proc/self/mountinfo", mountinfo);
	snprintf(proc, sizeof(proc), "%s/proc", made_tree);
	assert_int_equal(cgroup_tree_open(proc, &tree, &err), 0);
}

static void open_v2(void)
{
	open_tree("23 1 254:0 / / rw - ext4 /dev/root rw\n"
		  "31 23 0:28 / @/cg rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n");
}

static void limits(const char *cgroup, const char *high, const char *max, const char *swap_max)
{
	const struct {
		const char *name, *text;
	} files[] = {{"high", high}, {"max", max}, {"swap.max", swap_max}, {"current", "1048576\n"}};
	char name[256];

	for (size_t i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "cg/%s/memory.%s", cgroup, files[i].name);
		made_file(name, files[i].text);
	}
}

static void v2_facts_are_read(void **state)
{
	(void)state;
	open_v2();
	made_file("proc/77/cgroup", "0::/system.slice/a.service\n");
	limits("system.slice", "max\n", "max\n", "max\n");
	limits("system.slice/a.service", "2097152\n", "4194304\n", "0\n");
	made_file("cg/system.slice/a.service/memory.current", "3145728\n");
	made_file("cg/system.slice/a.service/memory.swap.current", "4096\n");
	made_file("cg/system.slice/a.service/memory.oom.group", "1\n");
	made_file("cg/system.slice/a.service/memory.events",
		  "low 1\nhigh 22\nmax 3\noom 4\noom_kill 5\noom_group_kill 6\n");
	made_file("cg/system.slice/a.service/memory.pressure",
		  "some avg10=1.50 avg60=2.25 avg300=0.10 total=12345\n"
		  "full avg10=0.50 avg60=0.00 avg300=0.00 total=99\n");
	assert_int_equal(cgroup_of_process(&tree, 77, &cg, &err), 0);
	assert_string_equal(cg.path, "/system.slice/a.service");
	assert_string_equal(cg.unit_path, "/system.slice/a.service");
	assert_false(cg.v1);
	assert_int_equal(cgroup_memory_read(&cg, &m), 0);
	assert_true(m.current == 3 * MB && m.high == 2 * MB && m.max == 4 * MB);
	assert_true(m.swap_current == 4096 && m.swap_max == 0 && m.peak == CGROUP_UNKNOWN);
	assert_true(m.events.low == 1 && m.events.high == 22 && m.events.max == 3 && m.events.oom == 4 &&
		    m.events.oom_kill == 5);
	assert_int_equal(m.oom_group, 1);
	assert_true(m.some.avg10 == 1.5 && m.some.avg60 == 2.25 && m.some.total_us == 12345);
	assert_true(m.full.avg10 == 0.5 && m.full.total_us == 99);
	assert_true(cgroup_memory_current(&cg) == 3 * MB);
	assert_true(m.effective_max.bytes == 4 * MB);
	assert_string_equal(m.effective_max.path, "/system.slice/a.service");
}

static void the_smallest_limit_of_all_ancestors_counts(void **state)
{
	(void)state;
	open_v2();
	limits("top.slice", "max\n", "2097152\n", "max\n");
	limits("top.slice/mid.slice", "max\n", "1048576\n", "max\n");
	limits("top.slice/mid.slice/a.service", "max\n", "3145728\n", "max\n");
	assert_int_equal(cgroup_of_path(&tree, "top.slice/mid.slice/a.service", &cg, &err), 0);
	assert_int_equal(cgroup_memory_read(&cg, &m), 0);
	assert_true(m.max == 3 * MB && m.effective_max.bytes == MB);
	assert_string_equal(m.effective_max.path, "/top.slice/mid.slice");
	assert_true(m.effective_high.bytes == CGROUP_NO_LIMIT && m.high == CGROUP_NO_LIMIT);
	assert_string_equal(m.effective_high.path, "");
}

/* The controller may end above: then the ancestor's figures are the ones. */
static void what_accounts_the_memory_may_be_an_ancestor(void **state)
{
	(void)state;
	open_v2();
	limits("a.scope", "max\n", "4194304\n", "max\n");
	made_file("cg/a.scope/init/deep/cgroup.procs", "");
	assert_int_equal(cgroup_of_path(&tree, "/a.scope/init/deep", &cg, &err), 0);
	assert_string_equal(cg.path, "/a.scope/init/deep");
	assert_string_equal(cg.accounts_path, "/a.scope");
	assert_int_equal(cgroup_memory_read(&cg, &m), 0);
	assert_true(m.effective_max.bytes == 4 * MB);
	/* and at the root there is none */
	assert_int_equal(cgroup_of_path(&tree, "/", &cg, &err), 0);
	assert_int_equal(cgroup_memory_read(&cg, &m), -ENOENT);
	assert_true(m.current == CGROUP_UNKNOWN && m.effective_max.bytes == CGROUP_UNKNOWN);
}

static void names_are_folders_or_paths(void **state)
{
	char folder[256];

	(void)state;
	open_v2();
	made_file("cg/x/y/cgroup.procs", "");
	assert_int_equal(cgroup_of_path(&tree, "x/y", &cg, &err), 0);
	assert_string_equal(cg.path, "/x/y");
	assert_int_equal(cgroup_of_path(&tree, "/x/y///", &cg, &err), 0);
	assert_string_equal(cg.path, "/x/y");
	snprintf(folder, sizeof(folder), "%s/cg/x/y/", made_tree);
	assert_int_equal(cgroup_of_path(&tree, folder, &cg, &err), 0);
	assert_string_equal(cg.path, "/x/y");
	snprintf(folder, sizeof(folder), "%s/cg", made_tree);
	assert_int_equal(cgroup_of_path(&tree, folder, &cg, &err), 0);
	assert_string_equal(cg.path, "/");
	assert_int_equal(cgroup_of_path(&tree, "/x/z", &cg, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/x/z"));
	assert_int_equal(cgroup_of_path(&tree, "/x/../x", &cg, &err), -EINVAL);
	assert_int_equal(cgroup_of_path(&tree, "", &cg, &err), -EINVAL);
}

static void a_container_sees_a_part(void **state)
{
	(void)state;
	/* bind-mounted without a cgroup namespace of its own; another mount is above our root */
	open_tree("31 23 0:28 /../.. @/above rw - cgroup2 cgroup2 rw\n"
		  "32 23 0:28 /docker/ab\\040c @/cg rw - cgroup2 cgroup2 rw\n");
	limits("", "max\n", "4194304\n", "max\n");
	limits("sub", "max\n", "max\n", "max\n");
	made_file("proc/5/cgroup", "0::/docker/ab c/sub\n");
	made_file("proc/6/cgroup", "0::/system.slice/other\n");
	made_file("proc/7/cgroup", "0::/docker/ab c-other\n");
	assert_int_equal(cgroup_of_process(&tree, 5, &cg, &err), 0);
	assert_int_equal(cgroup_memory_read(&cg, &m), 0);
	assert_true(m.effective_max.bytes == 4 * MB);
	assert_string_equal(m.effective_max.path, "/docker/ab c");
	assert_int_equal(cgroup_of_process(&tree, 6, &cg, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/system.slice/other"));
	assert_int_equal(cgroup_of_process(&tree, 7, &cg, &err), -ENOENT);
	assert_int_equal(cgroup_of_process(&tree, 8, &cg, &err), -ENOENT);
	assert_int_equal(cgroup_of_path(&tree, "/docker/ab c/sub", &cg, &err), 0);
}

static void version_1_means_the_same(void **state)
{
	(void)state;
	open_tree("35 31 0:32 / @/memory rw - cgroup cgroup rw,memory\n"
		  "40 31 0:37 / @/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
		  "41 31 0:38 / @/unified rw - cgroup2 cgroup2 rw\n");
	made_file("memory/memory.usage_in_bytes", "99\n");
	made_file("memory/memory.limit_in_bytes", "9223372036854771712\n");
	made_file("memory/job/memory.usage_in_bytes", "1048576\n");
	made_file("memory/job/memory.limit_in_bytes", "2097152\n");
	made_file("memory/job/memory.memsw.limit_in_bytes", "3145728\n");
	made_file("memory/job/memory.memsw.usage_in_bytes", "1052672\n");
	made_file("memory/job/memory.failcnt", "7\n");
	made_file("memory/job/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
	made_file("unified/system.slice/a.service/memory.pressure",
		  "some avg10=9.00 avg60=0.00 avg300=0.00 total=1\n"
		  "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
	made_file("proc/9/cgroup", "9:name=systemd:/system.slice/a.service\n4:memory:/job\n"
				   "0::/system.slice/a.service\n");
	assert_int_equal(cgroup_of_process(&tree, 9, &cg, &err), 0);
	assert_true(cg.v1);
	assert_string_equal(cg.path, "/job");
	assert_string_equal(cg.unit_path, "/system.slice/a.service");
	assert_int_equal(cgroup_memory_read(&cg, &m), 0);
	assert_true(m.current == MB && m.max == 2 * MB && m.effective_max.bytes == 2 * MB);
	assert_true(m.high == CGROUP_UNKNOWN && m.effective_high.bytes == CGROUP_UNKNOWN);
	assert_true(m.swap_max == MB && m.swap_current == 4096);
	assert_true(m.events.max == 7 && m.events.oom_kill == 2 && m.events.high == CGROUP_UNKNOWN);
	assert_true(m.some.avg10 == 9);
	/* where it has no cgroup of its own in the memory hierarchy, the one above accounts it */
	assert_int_equal(cgroup_of_path(&tree, "/system.slice/a.service", &cg, &err), 0);
	assert_string_equal(cg.accounts_path, "");
	assert_int_equal(cgroup_memory_read(&cg, &m), 0);
	assert_true(m.current == 99 && m.effective_max.bytes == CGROUP_NO_LIMIT);
}

static void pids_are_of_all_below(void **state)
{
	pid_t *pids;
	size_t cnt;

	(void)state;
	open_v2();
	made_file("cg/u/cgroup.procs", "30\n10\n0\n-5\n");
	made_file("cg/u/a/cgroup.procs", "20\n10\n");
	made_file("cg/u/a/b/cgroup.procs", "99999999999\n40\n");
	made_file("cg/other/cgroup.procs", "50\n");
	assert_int_equal(cgroup_of_path(&tree, "/u", &cg, &err), 0);
	assert_int_equal(cgroup_pids(&cg, &pids, &cnt, &err), 0);
	assert_int_equal(cnt, 4);
	assert_true(pids[0] == 10 && pids[1] == 20 && pids[2] == 30 && pids[3] == 40);
	free(pids);
	cg.folder[strlen(cg.folder) - 1] = 'v';
	assert_int_equal(cgroup_pids(&cg, &pids, &cnt, &err), -ENOENT);
}

static void links_and_deep_folders_are_not_followed(void **state)
{
	char path[PATH_MAX], link[PATH_MAX];
	pid_t *pids;
	size_t cnt;

	(void)state;
	open_v2();
	made_file("cg/u/cgroup.procs", "1\n");
	snprintf(link, sizeof(link), "%s/cg/u/loop", made_tree);
	assert_int_equal(symlink("..", link), 0);
	snprintf(path, sizeof(path), "cg/u");
	for (unsigned i = 0; i < 2 * CGROUP_DEPTH_MAX; i++)
		strcat(path, "/d");
	strcat(path, "/cgroup.procs");
	made_file(path, "2\n");
	assert_int_equal(cgroup_of_path(&tree, "/u", &cg, &err), 0);
	assert_int_equal(cgroup_pids(&cg, &pids, &cnt, &err), 0);
	assert_int_equal(cnt, 1);
	free(pids);
}

static void rubbish_is_unknown(void **state)
{
	(void)state;
	open_tree("\n - \n31 - cgroup2\n1 2 3 4 - cgroup2 x y\nx x x / @/cg x - cgroup2 cgroup2 rw\n"
		  "x x x /elsewhere @/never rw - cgroup2 cgroup2 rw\n");
	assert_string_equal(tree.unified.root, "/");
	limits("a", "12abc\n", "99999999999999999999999\n", "\n");
	made_file("cg/a/memory.current", "7\n");
	made_file("cg/a/memory.events", "high\nhigh \noom_kill x\nmaxi 4\n");
	made_file("cg/a/memory.pressure", "some avg10=\nfull avg10=1 avg60=x\n");
	assert_int_equal(cgroup_of_path(&tree, "/a", &cg, &err), 0);
	assert_int_equal(cgroup_memory_read(&cg, &m), 0);
	assert_true(m.current == 7 && m.high == CGROUP_UNKNOWN && m.max == CGROUP_UNKNOWN);
	assert_true(m.events.high == CGROUP_UNKNOWN && m.events.oom_kill == CGROUP_UNKNOWN &&
		    m.events.max == CGROUP_UNKNOWN);
	assert_true(m.some.avg10 < 0 && m.full.avg10 < 0);
	made_file("proc/3/cgroup", "garbage\n::\n0:/x\n1:memory\n");
	assert_int_equal(cgroup_of_process(&tree, 3, &cg, &err), -ENOENT);
}

static void without_cgroups_it_says_so(void **state)
{
	char proc[128];

	(void)state;
	made_file("proc/self/mountinfo", "23 1 254:0 / / rw - ext4 /dev/root rw\n");
	snprintf(proc, sizeof(proc), "%s/proc", made_tree);
	assert_int_equal(cgroup_tree_open(proc, &tree, &err), -ENOENT);
	assert_int_equal(cgroup_tree_open("/nowhere", &tree, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nowhere/self/mountinfo"));
}

static void nothing(void)
{
}

/* A cgroup of our own on this machine, in whichever hierarchy accounts memory. */
static void the_machines_own_tree(void **state)
{
	char own[CGROUP_PATH_MAX], procs[CGROUP_PATH_MAX + 32];
	pid_t child, *pids;
	size_t cnt;
	FILE *f;

	(void)state;
	if (cgroup_tree_open("/proc", &tree, &err) != 0) {
		print_message("skipped: %s\n", err.text);
		skip();
	}
	assert_int_equal(cgroup_of_process(&tree, getpid(), &cg, &err), 0);
	snprintf(own, sizeof(own), "%.900s/cgroup-test-%d", cg.folder, getpid());
	if (mkdir(own, 0755)) {
		print_message("skipped: %s: %s\n", own, strerror(errno));
		skip();
	}
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", own);
	child = child_start(nothing);
	f = fopen(procs, "w");
	if (!f || fprintf(f, "%d\n", child) < 0 || fclose(f))
		cnt = 0;
	else if (cgroup_of_process(&tree, child, &cg, &err) || cgroup_pids(&cg, &pids, &cnt, &err))
		cnt = SIZE_MAX;
	else
		free(pids);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	rmdir(own);
	if (!cnt) {
		print_message("skipped: no process can be moved into %s\n", own);
		skip();
	}
	assert_int_equal(cnt, 1);
	assert_string_equal(cg.folder, own);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, made_tree_begin, made_tree_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(v2_facts_are_read),
		TEST(the_smallest_limit_of_all_ancestors_counts),
		TEST(what_accounts_the_memory_may_be_an_ancestor),
		TEST(names_are_folders_or_paths),
		TEST(a_container_sees_a_part),
		TEST(version_1_means_the_same),
		TEST(pids_are_of_all_below),
		TEST(links_and_deep_folders_are_not_followed),
		TEST(rubbish_is_unknown),
		TEST(without_cgroups_it_says_so),
		TEST(the_machines_own_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
