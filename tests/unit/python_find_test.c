/* CPython found in live processes: one that has it, one that has not. What it finds is proved by
 * e2e/test_python_frames.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe/python.h"
#include "probe/python_versions.h"

#define PYTHON "/usr/bin/python3"

struct target {
	struct memory *mem;
	struct maps maps;
	struct objects *objects;
};

static void target_open(struct target *t, pid_t pid)
{
	assert_int_equal(memory_open_process(pid, &t->mem, NULL), 0);
	assert_int_equal(maps_read(pid, &t->maps, NULL), 0);
	t->objects = objects_new(pid);
}

static void target_close(struct target *t)
{
	objects_free(t->objects);
	maps_free(&t->maps);
	memory_free(t->mem);
}

/* Its pid, when it runs code; out: its version as it says itself. */
static pid_t start_python(unsigned *version)
{
	static const char program[] = "import sys, time; print(sys.hexversion, flush=True); time.sleep(99)";
	int out[2];
	char text[32] = "";
	pid_t pid;

	assert_int_equal(pipe(out), 0);
	pid = fork();
	if (pid == 0) {
		dup2(out[1], STDOUT_FILENO);
		execl(PYTHON, PYTHON, "-c", program, (char *)NULL);
		_exit(1);
	}
	close(out[1]);
	assert_true(read(out[0], text, sizeof(text) - 1) > 0);
	close(out[0]);
	*version = (unsigned)(strtoul(text, NULL, 10) >> 16);
	return pid;
}

static void test_a_python(void **state)
{
	struct python python;
	struct error err;
	struct target t;
	unsigned version;
	pid_t pid;

	(void)state;
	if (access(PYTHON, X_OK))
		skip();
	pid = start_python(&version);
	target_open(&t, pid);
	assert_int_equal(python_find(t.mem, &t.maps, t.objects, &python, &err), 0);
	assert_int_equal(python.layout.version, version);
	assert_true(python.layout.frame_size <= PYTHON_READ_MAX &&
		    python.layout.code_size <= PYTHON_READ_MAX);
	assert_true(python.evals.cnt >= 1);
	for (size_t i = 0; i < python.evals.cnt; i++) {
		const struct mapping *m = maps_find(&t.maps, python.evals.v[i].start);

		assert_true(m && m->exec && python.evals.v[i].end <= m->end);
	}
	target_close(&t);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void test_no_python(void **state)
{
	struct python python;
	struct error err;
	struct target t;

	(void)state;
	target_open(&t, getpid());
	assert_int_equal(python_find(t.mem, &t.maps, t.objects, &python, &err), -ENOENT);
	target_close(&t);
}

/* Every row's places lie within what is read at once; versions follow each other without a gap. */
static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < python_row_cnt; i++) {
		const struct python_row *row = &python_rows[i];

		assert_int_equal(row->version, python_rows[0].version + i);
		assert_true(row->frame_code < PYTHON_READ_MAX && row->frame_back < PYTHON_READ_MAX &&
			    row->frame_at < PYTHON_READ_MAX && row->frame_owner < PYTHON_READ_MAX);
		assert_true(row->lines > row->first_line && row->lines - row->first_line < PYTHON_READ_MAX);
		assert_true(row->text_ascii && row->text_wide > row->text_ascii);
		assert_true((row->rule == PYTHON_BY_ADDRESS) == (row->shim_owner != 0));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_python),
		cmocka_unit_test(test_no_python),
		cmocka_unit_test(test_rows),
	};

	return cmocka_run_group_tests_name("python_find", tests, NULL, NULL);
}
