/* Where tracers listen for marks: a folder that is safe, no sockets of dead ones, and everybody who listens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command/mark_folder.h"
#include "made_tree.h"

static char folder[80], own[100];
static struct error err;

static int begin(void **state)
{
	int ret = made_tree_begin(state);

	snprintf(folder, sizeof(folder), "%s/alloctrace", made_tree);
	snprintf(own, sizeof(own), "%s/%d", folder, getpid());
	return ret;
}

/* What a tracer that was killed leaves behind. */
static void leave_stale(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/%.16s", folder, name);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
}

static bool count(int fd, void *arg)
{
	unsigned *cnt = arg;

	(*cnt)++;
	close(fd);
	return true;
}

static bool is_there(const char *name)
{
	char path[256];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return !lstat(path, &st);
}

static void test_listens(void **state)
{
	unsigned cnt = 0;
	struct stat st;
	int fd = mark_folder_listen(folder, &err);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(stat(folder, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(stat(own, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0666);
	assert_int_equal(mark_folder_each(folder, count, &cnt), 1);
	assert_int_equal(cnt, 1);
	mark_folder_leave(folder);
	close(fd);
	assert_int_equal(mark_folder_each(folder, count, &cnt), 0);
	assert_int_equal(cnt, 1);
}

/* Those of the dead go, also one with our own PID; what is none of ours stays. */
static void test_stale(void **state)
{
	char name[16];
	int fd;

	(void)state;
	assert_int_equal(mkdir(folder, 0755), 0);
	snprintf(name, sizeof(name), "%d", getpid());
	leave_stale("4194000");
	leave_stale(name);
	leave_stale("other");
	made_file("alloctrace/12", "");
	assert_int_equal(mark_folder_each(folder, count, &(unsigned){0}), 0);
	fd = mark_folder_listen(folder, &err);
	assert_true(fd >= 0);
	assert_false(is_there("4194000"));
	assert_true(is_there(name));
	assert_true(is_there("other"));
	assert_int_equal(mark_folder_each(folder, count, &(unsigned){0}), 1);
	mark_folder_leave(folder);
	close(fd);
}

/* Another tracer that runs is left alone. */
static void test_several(void **state)
{
	int ready[2], done[2], fd, status;
	unsigned cnt = 0;
	pid_t child;
	char byte;

	(void)state;
	assert_int_equal(pipe(ready) | pipe(done), 0);
	child = fork();
	if (!child) {
		fd = mark_folder_listen(folder, &err);
		close(done[1]);
		if (fd < 0 || write(ready[1], "x", 1) != 1 || read(done[0], &byte, 1) != 0)
			_exit(1);
		_exit(0); /* without taking leave */
	}
	close(done[0]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	fd = mark_folder_listen(folder, &err);
	assert_true(fd >= 0);
	assert_int_equal(mark_folder_each(folder, count, &cnt), 2);
	close(done[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(mark_folder_each(folder, count, &cnt), 1);
	close(fd);
	close(ready[0]);
	close(ready[1]);
}

static void test_refused(void **state)
{
	char longer[300];

	(void)state;
	assert_int_equal(mkdir(folder, 0755), 0);
	assert_int_equal(chmod(folder, 0775), 0);
	assert_int_equal(mark_folder_listen(folder, &err), -EPERM);
	assert_int_equal(chmod(folder, 01777), 0);
	assert_int_equal(mark_folder_listen(folder, &err), -EPERM);
	assert_int_equal(rmdir(folder), 0);
	assert_int_equal(symlink("/tmp", folder), 0);
	assert_int_equal(mark_folder_listen(folder, &err), -EPERM);
	assert_int_equal(unlink(folder), 0);
	assert_int_equal(mark_folder_listen("/proc/alloctrace", &err), -ENOENT);
	memset(longer, 'x', sizeof(longer));
	snprintf(longer, sizeof(longer), "%s/%0150d", made_tree, 0);
	assert_int_equal(mark_folder_listen(longer, &err), -ENAMETOOLONG);
	assert_int_equal(mark_folder_each("/nowhere", count, NULL), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, made_tree_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_listens),
		TEST(test_stale),
		TEST(test_several),
		TEST(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
