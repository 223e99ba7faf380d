/* Addresses of several processes: this one, and children that it forks, which run the same code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/units.h"
#include "child.h"
#include "stack/addresses.h"
#include "stack/names.h"

#define MANY 40 /* processes; more than homes are kept of */

int addresses_test_function(int x);

__attribute__((noinline)) int addresses_test_function(int x)
{
	return x * 3 + 1;
}

/* As a return address: behind the first instruction. */
static const uint64_t in_function = (uint64_t)(uintptr_t)addresses_test_function + 1;
static uint64_t in_memory; /* executable, of no file, mapped before any child is forked */

static struct locations *locations;
static struct names *names;

static int start(void **state)
{
	(void)state;
	locations = locations_new();
	names = locations ? names_new(locations, &(struct log){.out = stderr}) : NULL;
	return names ? 0 : -1;
}

static int stop(void **state)
{
	(void)state;
	assert_true(names_free(names));
	locations_free(locations);
	return 0;
}

/* Does nothing, and is gone when a test has failed. */
static void idle(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* The id of one that has ended. */
static pid_t ended_child(void)
{
	pid_t pid = child_start(idle);

	end(pid);
	return pid;
}

static const struct frame_name *name_of(struct location *at)
{
	const struct frame_list *list;

	names_begin(names, 10 * NSEC_PER_SEC);
	names_want(names, at);
	names_wait(names);
	list = names_of(at);
	names_end(names);
	return &list->v[list->cnt - 1];
}

static size_t open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t cnt = 0;

	assert_non_null(dir);
	while (readdir(dir))
		cnt++;
	closedir(dir);
	return cnt;
}

static void processes_share_a_location(void **state)
{
	pid_t pid = child_start(idle);
	struct addresses *mine = addresses_new(locations, getpid());
	struct addresses *other = addresses_new(locations, pid);
	struct location *at = addresses_get(mine, in_function);

	(void)state;
	assert_non_null(at->module);
	assert_ptr_equal(addresses_get(other, in_function), at);
	assert_ptr_not_equal(addresses_get(other, in_function + 1), at);
	assert_true(addresses_in_libc(other, (uint64_t)(uintptr_t)strdup));
	addresses_free(mine);
	end(pid);
	assert_string_equal(name_of(addresses_get(other, in_function))->function, "addresses_test_function");
	addresses_free(other);
}

/* What has its name already is shared too, and outlives whoever brought it. */
static void names_are_copied(void **state)
{
	char function[] = "f", file[] = "f.py";
	const struct frame_name name = {.kind = FRAME_PYTHON, .function = function, .file = file, .line = 3};
	struct location *at = locations_named(locations, &name);

	(void)state;
	function[0] = file[0] = 'g';
	assert_ptr_not_equal(locations_named(locations, &name), at);
	function[0] = file[0] = 'f';
	assert_ptr_equal(locations_named(locations, &name), at);
	memset(function, 0, sizeof(function));
	assert_string_equal(name_of(at)->function, "f");
	assert_string_equal(name_of(at)->file, "f.py");
}

/* As Python frames are whose code could not be read. */
static void a_name_needs_no_file(void **state)
{
	const struct frame_name name = {.kind = FRAME_PYTHON, .function = "[Python code that was not read]"};
	struct location *at = locations_named(locations, &name);

	(void)state;
	assert_ptr_equal(locations_named(locations, &name), at);
	assert_null(name_of(at)->file);
}

/* Neither had an address looked up before: the file is opened through the parent, too. */
static void an_ended_child_has_its_parents_mappings(void **state)
{
	pid_t pid = ended_child();
	struct addresses *parent = addresses_new(locations, getpid());
	struct addresses *child = addresses_fork(parent, pid);
	struct location *at = addresses_get(child, in_function);

	(void)state;
	assert_string_equal(name_of(at)->function, "addresses_test_function");
	addresses_free(child);
	assert_ptr_equal(addresses_get(parent, in_function), at);
	addresses_free(parent);
}

/* Its parent's code is not what it ran. */
static void an_ended_child_that_execd_has_none(void **state)
{
	struct addresses *parent = addresses_new(locations, getpid());
	struct addresses *child = addresses_fork(parent, ended_child());

	(void)state;
	assert_non_null(addresses_get(child, in_function)->module);
	addresses_exec(child);
	assert_null(addresses_get(child, in_function)->module);
	addresses_free(child);
	addresses_free(parent);
}

/* The mappings of a living child are its own: what it mapped after the fork is found. */
static void a_living_child_has_its_own_mappings(void **state)
{
	struct addresses *parent = addresses_new(locations, getpid());
	void *page = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t addr = (uint64_t)(uintptr_t)page + 16;
	struct addresses *child;
	pid_t pid;

	(void)state;
	assert_ptr_not_equal(page, MAP_FAILED);
	pid = child_start(idle);
	munmap(page, 4096);
	child = addresses_fork(parent, pid);
	assert_null(addresses_get(parent, addr)->module);
	assert_non_null(addresses_get(child, addr)->module);
	addresses_free(child);
	addresses_free(parent);
	end(pid);
}

static void what_was_read_holds_after_the_end(void **state)
{
	pid_t pid = child_start(idle);
	struct addresses *a = addresses_new(locations, pid);
	struct location *at = addresses_get(a, in_function);

	siginfo_t info;

	(void)state;
	kill(pid, SIGKILL);
	waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
	addresses_stale(a); /* nobody has waited for it: its mappings can be read, and are none */
	assert_ptr_equal(addresses_get(a, in_function), at);
	waitpid(pid, NULL, 0);
	addresses_stale(a);
	assert_ptr_equal(addresses_get(a, in_function), at);
	assert_ptr_equal(addresses_get(a, in_function + 1)->module, at->module);
	addresses_free(a);
}

/* A file that could not be opened through one process is opened through the next. */
static void a_file_is_tried_again(void **state)
{
	pid_t ended = ended_child();
	struct addresses *gone = addresses_new(locations, getpid());
	struct addresses *late, *mine;

	(void)state;
	/* Mappings of ours, of a process that ended, and whose parent ended too. */
	late = addresses_fork(gone, ended);
	addresses_free(gone);
	mine = addresses_fork(late, ended_child());
	assert_non_null(addresses_get(mine, in_function)->module);
	assert_int_equal(addresses_get(mine, in_function)->module->kind, MODULE_FILE);
	addresses_free(late);
	late = addresses_new(locations, getpid());
	assert_int_equal(addresses_get(late, in_function)->module->kind, MODULE_ELF);
	addresses_free(late);
	addresses_free(mine);
}

/* Children that were forked run what their parent's JIT made; strangers have their own. */
static void code_without_a_file(void **state)
{
	pid_t pid = child_start(idle);
	struct addresses *parent = addresses_new(locations, getpid());
	struct addresses *child = addresses_fork(parent, pid);
	struct addresses *grandchild = addresses_fork(child, pid);
	struct addresses *stranger = addresses_new(locations, pid);
	struct location *at = addresses_get(child, in_memory);

	(void)state;
	assert_non_null(at->module);
	assert_int_equal(at->module->kind, MODULE_JIT);
	assert_ptr_equal(addresses_get(parent, in_memory), at);
	assert_ptr_equal(addresses_get(grandchild, in_memory), at);
	assert_ptr_not_equal(addresses_get(stranger, in_memory), at);
	addresses_exec(child);
	assert_ptr_not_equal(addresses_get(child, in_memory), at);
	addresses_free(grandchild);
	addresses_free(stranger);
	addresses_free(child);
	addresses_free(parent);
	end(pid);
}

static void come_and_go(uint64_t addr, bool named)
{
	pid_t pid = child_start(idle);
	struct addresses *a = addresses_new(locations, pid);
	struct location *at = addresses_get(a, addr);

	assert_non_null(at->module);
	if (named)
		name_of(at);
	addresses_free(a);
	end(pid);
}

/* Its debug files have been read: nothing is open of it but the file itself. */
static void a_home_is_released_when_all_is_known(void **state)
{
	(void)state;
	come_and_go(in_function, true);
	assert_int_equal(modules_homes_kept(locations_modules(locations)), 0);
}

/* Another process that has the file mapped stands in: the home of the first is not needed. */
static void a_home_is_released_when_another_serves(void **state)
{
	struct addresses *mine = addresses_new(locations, getpid());

	(void)state;
	come_and_go(in_function, false);
	assert_int_equal(modules_homes_kept(locations_modules(locations)), 1);
	addresses_get(mine, in_function);
	come_and_go(in_function, false);
	assert_int_equal(modules_homes_kept(locations_modules(locations)), 0);
	assert_string_equal(name_of(addresses_get(mine, in_function))->function, "addresses_test_function");
	addresses_free(mine);
}

/* Code of a JIT may be asked for by name for good. */
static void homes_are_bounded(void **state)
{
	size_t before;

	(void)state;
	for (int i = 0; i < MANY / 2; i++)
		come_and_go(in_memory, i % 2);
	before = open_files();
	for (int i = 0; i < MANY; i++)
		come_and_go(in_memory, i % 2);
	assert_int_equal(open_files(), before);
	assert_in_range(modules_homes_kept(locations_modules(locations)), 1, MANY / 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(processes_share_a_location),
		TEST(names_are_copied),
		TEST(a_name_needs_no_file),
		TEST(an_ended_child_has_its_parents_mappings),
		TEST(an_ended_child_that_execd_has_none),
		TEST(a_living_child_has_its_own_mappings),
		TEST(what_was_read_holds_after_the_end),
		TEST(a_file_is_tried_again),
		TEST(code_without_a_file),
		TEST(a_home_is_released_when_all_is_known),
		TEST(a_home_is_released_when_another_serves),
		TEST(homes_are_bounded),
	};
	void *page = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return 1;
	in_memory = (uint64_t)(uintptr_t)page + 16;
	addresses_free(NULL);
	return cmocka_run_group_tests_name("addresses", tests, NULL, NULL);
}
