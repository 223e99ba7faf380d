/* systemd's units in made-up cgroup trees, and their files in made-up /etc, /run and /usr. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <pwd.h>

#include "made_tree.h"
#include "target/unit.h"

static struct cgroup_tree tree;
static struct error err;
static struct unit unit;

static void open_tree(void)
{
	char proc[128];

	made_file("proc/self/mountinfo", "31 23 0:28 / @/cg rw - cgroup2 cgroup2 rw\n");
	snprintf(proc, sizeof(proc), "%s/proc", made_tree);
	assert_int_equal(cgroup_tree_open(proc, &tree, &err), 0);
}

static void paths_tell_units(void **state)
{
	static const struct {
		const char *path, *name, *unit_path;
		int user;
	} rows[] = {
		{"/system.slice/redis.service", "redis.service", NULL, -1},
		{"/system.slice/redis.service/sub/folder", "redis.service", "/system.slice/redis.service",
		 -1},
		{"/system.slice/system-pg.slice/pg@15-main.service", "pg@15-main.service", NULL, -1},
		{"/user.slice/user-1000.slice/user@1000.service/app.slice/w.service", "w.service", NULL,
		 1000},
		{"/user.slice/user-1000.slice/session-3.scope", "session-3.scope", NULL, -1},
		{"/user.slice/user-7.slice/user@7.service/app.slice", "app.slice", NULL, 7},
		{"/user.slice/user-7.slice/user@7.service/init.scope", "init.scope", NULL, 7},
		{"/system.slice", "system.slice", NULL, -1},
		{"/system.slice/docker-0a1b.scope/init", "docker-0a1b.scope",
		 "/system.slice/docker-0a1b.scope", -1},
		{"/system.slice/a.service/odd.slice", "a.service", "/system.slice/a.service", -1},
		{"/_cgroup.service", "cgroup.service", "/_cgroup.service", -1},
		{"/", NULL, NULL, -1},
		{"/docker/0a1b2c", NULL, NULL, -1},
		{"/.service", NULL, NULL, -1},
		{"/bad name.service", NULL, NULL, -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(unit_of_path(rows[i].path, &unit), rows[i].name != NULL);
		if (!rows[i].name)
			continue;
		assert_string_equal(unit.name, rows[i].name);
		assert_string_equal(unit.path, rows[i].unit_path ? rows[i].unit_path : rows[i].path);
		assert_int_equal(unit.user, rows[i].user);
	}
}

static void units_are_found_by_name(void **state)
{
	(void)state;
	open_tree();
	made_file("cg/system.slice/redis.service/cgroup.procs", "");
	made_file("cg/system.slice/system-pg.slice/pg@15.service/cgroup.procs", "");
	made_file("cg/user.slice/user-1000.slice/user@1000.service/app.slice/w.service/cgroup.procs", "");
	assert_int_equal(unit_find(&tree, "redis.service", &unit, &err), 0);
	assert_string_equal(unit.path, "/system.slice/redis.service");
	assert_int_equal(unit_find(&tree, "redis", &unit, &err), 0);
	assert_string_equal(unit.name, "redis.service");
	assert_int_equal(unit_find(&tree, "pg@15", &unit, &err), 0);
	assert_string_equal(unit.path, "/system.slice/system-pg.slice/pg@15.service");
	assert_int_equal(unit_find(&tree, "w.service", &unit, &err), 0);
	assert_int_equal(unit.user, 1000);
	assert_int_equal(unit_find(&tree, "system.slice", &unit, &err), 0);
	assert_int_equal(unit_find(&tree, "user@1000.service", &unit, &err), 0);
	assert_int_equal(unit_find(&tree, "no", &unit, &err), -ENOENT);
	assert_non_null(strstr(err.text, "no.service"));
	assert_int_equal(unit_find(&tree, "../x", &unit, &err), -EINVAL);
	assert_int_equal(unit_find(&tree, "", &unit, &err), -EINVAL);
}

static void several_of_one_name_are_said(void **state)
{
	(void)state;
	open_tree();
	made_file("cg/user.slice/user-1.slice/user@1.service/app.slice/w.service/cgroup.procs", "");
	made_file("cg/user.slice/user-2.slice/user@2.service/app.slice/w.service/cgroup.procs", "");
	assert_int_equal(unit_find(&tree, "w", &unit, &err), -ENOTUNIQ);
	assert_non_null(strstr(err.text, "user@1.service"));
	assert_non_null(strstr(err.text, "user@2.service"));
}

static const char *setting(const char *name, int64_t user)
{
	static char value[UNIT_VALUE_MAX];
	struct unit u = {.user = user};
	bool found;

	snprintf(u.name, sizeof(u.name), "%s", name);
	if (!unit_setting(made_tree, &u, "ManagedOOMMemoryPressure", value, &found))
		return found ? "unset" : "no file";
	return value;
}

static void files_and_drop_ins_are_read_in_order(void **state)
{
	(void)state;
	assert_string_equal(setting("a.service", -1), "no file");
	made_file("usr/lib/systemd/system/a.service", "[Service]\n# ManagedOOMMemoryPressure=no\n"
						      "ManagedOOMMemoryPressureLimit=7%\n");
	assert_string_equal(setting("a.service", -1), "unset");
	made_file("usr/lib/systemd/system/a.service", "[Service]\n ManagedOOMMemoryPressure = auto \r\n");
	assert_string_equal(setting("a.service", -1), "auto");
	made_file("etc/systemd/system/a.service", "[Service]\nManagedOOMMemoryPressure=kill\n");
	assert_string_equal(setting("a.service", -1), "kill");
	made_file("etc/systemd/system/a.service", "[Service]\nRestart=no\n"); /* hides the other */
	assert_string_equal(setting("a.service", -1), "unset");
	made_file("usr/lib/systemd/system/service.d/10-all.conf",
		  "[Service]\nManagedOOMMemoryPressure=all\n");
	assert_string_equal(setting("a.service", -1), "all");
	made_file("run/systemd/system/a.service.d/20.conf", "[Service]\nManagedOOMMemoryPressure=kill\n");
	assert_string_equal(setting("a.service", -1), "kill");
	made_file("run/systemd/system/a.service.d/30.txt", "[Service]\nManagedOOMMemoryPressure=not\n");
	assert_string_equal(setting("a.service", -1), "kill");
	made_file("etc/systemd/system/a.service.d/20.conf", "[Service]\nManagedOOMMemoryPressure=first\n");
	assert_string_equal(setting("a.service", -1), "first");
	made_file("etc/systemd/system/a.service.d/30.conf", "[Service]\nManagedOOMMemoryPressure=\n");
	assert_string_equal(setting("a.service", -1), "unset"); /* taken back */
}

static void instances_and_prefixes_have_files_too(void **state)
{
	(void)state;
	made_file("etc/systemd/system/w@.service", "[Service]\nManagedOOMMemoryPressure=template\n");
	assert_string_equal(setting("w@1.service", -1), "template");
	made_file("etc/systemd/system/w@1.service", "[Service]\nManagedOOMMemoryPressure=own\n");
	assert_string_equal(setting("w@1.service", -1), "own");
	made_file("etc/systemd/system/w@.service.d/1.conf", "[Service]\nManagedOOMMemoryPressure=dropin\n");
	assert_string_equal(setting("w@1.service", -1), "dropin");
	made_file("etc/systemd/system/b-c.service", "");
	made_file("etc/systemd/system/b-.service.d/1.conf", "[Service]\nManagedOOMMemoryPressure=prefix\n");
	assert_string_equal(setting("b-c.service", -1), "prefix");
	assert_string_equal(setting("bc.service", -1), "no file");
}

static void users_have_files_of_their_own(void **state)
{
	struct passwd *self = getpwuid(getuid());
	char name[256];

	(void)state;
	made_file("usr/lib/systemd/user/a.service", "[Service]\nManagedOOMMemoryPressure=user\n");
	made_file("usr/lib/systemd/system/a.service", "[Service]\nManagedOOMMemoryPressure=system\n");
	assert_string_equal(setting("a.service", 4242), "user");
	assert_string_equal(setting("a.service", -1), "system");
	made_file("run/user/4242/systemd/transient/a.service", "[Service]\nManagedOOMMemoryPressure=run\n");
	assert_string_equal(setting("a.service", 4242), "run");
	if (!self)
		return;
	snprintf(name, sizeof(name), "%s/.config/systemd/user/a.service", self->pw_dir + 1);
	made_file(name, "[Service]\nManagedOOMMemoryPressure=home\n");
	assert_string_equal(setting("a.service", getuid()), "home");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, made_tree_begin, made_tree_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_tell_units),          TEST(units_are_found_by_name),
		TEST(several_of_one_name_are_said),          TEST(files_and_drop_ins_are_read_in_order),
		TEST(instances_and_prefixes_have_files_too), TEST(users_have_files_of_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
