/* Commands run for events: each writes what it was given into a folder that the test looks at. */
#include "command/hook.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATIENCE_MS 30000 /* for anything; reaching it is a failure */

static char dir[64], complaints[4096];
static struct log log_to = {.out = NULL};
static struct hook *hook;

static int make_dir(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/hook_test.XXXXXX");
	memset(complaints, 0, sizeof(complaints));
	log_to.out = fmemopen(complaints, sizeof(complaints), "w");
	alarm(PATIENCE_MS / 1000); /* a pipe that nobody comes to is a failure, not a wait */
	if (!mkdtemp(dir) || !log_to.out)
		return -1;
	return setenv("DIR", dir, 1);
}

static int remove_dir(void **state)
{
	char command[96];

	(void)state;
	hook_free(hook);
	hook = NULL;
	fclose(log_to.out);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static void begin(const char *command, unsigned seconds)
{
	const struct hook_options options = {
		.command = command, .option = "--on-test", .files = 123, .seconds = seconds};

	hook = hook_new(&options, &log_to);
	assert_non_null(hook);
}

static void fire(pid_t pid, const char *value)
{
	const struct hook_variable v[] = {{"VALUE", value}, {"EMPTY", NULL}};

	hook_fire(hook, pid, v, 2);
}

/* Waits for an end, as the loop of a watch does. */
static void wait_for_end(void)
{
	struct pollfd fd = {hook_fd(hook), POLLIN, 0};

	assert_int_equal(poll(&fd, 1, PATIENCE_MS), 1);
	hook_act(hook);
}

static void wait_for_all(void)
{
	while (!hook_is_idle(hook))
		wait_for_end();
}

static const char *content(const char *name)
{
	static char text[4096];
	char path[96];
	size_t len = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "r");
	if (f) {
		len = fread(text, 1, sizeof(text) - 1, f);
		fclose(f);
	}
	text[len] = '\0';
	return text;
}

static bool is_there(const char *name)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return !access(path, F_OK);
}

/* A pipe in the folder: who reads it waits until somebody has written to it. */
static void make_gate(void)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/gate", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
}

static void open_gate(void)
{
	char path[96];
	FILE *f;

	snprintf(path, sizeof(path), "%s/gate", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fclose(f);
}

static int open_gate_if_waited_for(void)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/gate", dir);
	return open(path, O_WRONLY | O_NONBLOCK);
}

static void it_gets_its_variables(void **state)
{
	(void)state;
	setenv("VALUE", "an old one", 1);
	setenv("OTHER", "ours", 1);
	begin("echo \"$VALUE|$EMPTY|${EMPTY+set}|$OTHER|$ALLOCTRACE_SKIPPED\" > $DIR/out; env | grep -c "
	      "^VALUE= >> $DIR/out",
	      60);
	fire(1, "a b\n\xff\"$(x)");
	wait_for_all();
	assert_string_equal(content("out"), "a b??\"$(x)||set|ours|0\n1\n");
	fflush(log_to.out);
	assert_string_equal(complaints, "");
}

/* Signals that this process ignores: bit n − 1 of signal n. */
static uint64_t ignored(void)
{
	FILE *status = fopen("/proc/self/status", "r");
	uint64_t signals = 0;
	char line[256];

	assert_non_null(status);
	while (fgets(line, sizeof(line), status))
		sscanf(line, "SigIgn: %" SCNx64, &signals);
	fclose(status);
	return signals;
}

static void it_starts_clean(void **state)
{
	char expected[128];
	sigset_t set, before;
	int pipes[2];

	(void)state;
	assert_int_equal(pipe(pipes), 0); /* not close-on-exec */
	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, &before);
	signal(SIGPIPE, SIG_IGN);
	begin("exec > $DIR/out; ulimit -n; cat | wc -c; grep -E 'Sig(Blk|Ign)' /proc/self/status | cut -f2;"
	      "ls /proc/self/fd; [ $(ps -o sid= -p $$) = $$ ] && echo session",
	      60);
	fire(1, "");
	wait_for_all();
	sigprocmask(SIG_SETMASK, &before, NULL);
	signal(SIGPIPE, SIG_DFL);
	close(pipes[0]);
	close(pipes[1]);
	/* Two signals are the C library's own: nobody can set them otherwise than they were when we began. */
	snprintf(expected, sizeof(expected),
		 "123\n0\n0000000000000000\n%016" PRIx64 "\n0\n1\n2\n3\nsession\n",
		 ignored() & (uint64_t)3 << 31);
	/* The last of the files is the folder that ls reads. */
	assert_string_equal(content("out"), expected);
}

/* What happens while one runs waits; of several the newest. */
static void one_at_a_time_and_the_newest_next(void **state)
{
	(void)state;
	make_gate();
	begin("mkdir $DIR/alone || touch $DIR/two; read x < $DIR/gate; echo $VALUE $ALLOCTRACE_SKIPPED >> "
	      "$DIR/out; rmdir $DIR/alone",
	      60);
	fire(1, "first");
	fire(1, "second");
	fire(1, "third");
	fire(1, "fourth");
	open_gate();
	wait_for_end();
	assert_false(hook_is_idle(hook));
	open_gate();
	wait_for_all();
	assert_string_equal(content("out"), "first 0\nfourth 2\n");
	assert_false(is_there("two"));
	hook_free(hook);
	hook = NULL;
	fflush(log_to.out);
	assert_non_null(strstr(complaints, "still runs for process 1: an event between is skipped"));
	assert_non_null(strstr(complaints, "was not run for 2 events"));
}

static void processes_do_not_wait_for_each_other(void **state)
{
	(void)state;
	make_gate();
	begin("if [ $VALUE = slow ]; then read x < $DIR/gate; fi; touch $DIR/$VALUE", 60);
	fire(1, "slow");
	fire(2, "quick");
	wait_for_end();
	assert_true(is_there("quick"));
	assert_false(is_there("slow"));
	open_gate();
	wait_for_all();
	assert_true(is_there("slow"));
}

static unsigned child_cnt(void)
{
	char path[64], text[1024];
	unsigned cnt = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	f = fopen(path, "r");
	assert_non_null(f);
	while (fscanf(f, "%1023s", text) == 1)
		cnt++;
	fclose(f);
	return cnt;
}

/* Those beyond wait until there is room. */
static void many_are_bounded(void **state)
{
	const int cnt = HOOK_AT_ONCE + 3;
	char value[8];
	unsigned lines = 0;

	(void)state;
	make_gate();
	begin("read x < $DIR/gate; echo $VALUE >> $DIR/out", 60);
	for (int i = 0; i < cnt; i++) {
		snprintf(value, sizeof(value), "%d", i);
		fire(100 + i, value);
	}
	hook_tick(hook);
	assert_int_equal(child_cnt(), HOOK_AT_ONCE);
	while (!hook_is_idle(hook)) {
		int gate = open_gate_if_waited_for();
		struct pollfd fd = {hook_fd(hook), POLLIN, 0};

		poll(&fd, 1, 20);
		if (gate >= 0)
			close(gate);
		hook_act(hook);
		assert_true(child_cnt() <= HOOK_AT_ONCE);
	}
	for (const char *c = content("out"); *c; c++)
		lines += *c == '\n';
	assert_int_equal(lines, cnt);
}

static void what_fails_is_said(void **state)
{
	(void)state;
	begin("exit $VALUE", 60);
	fire(7, "3");
	wait_for_all();
	fflush(log_to.out);
	assert_non_null(strstr(complaints, "of --on-test for process 7 exited with status 3"));
}

/* With all that it has started. */
static void what_takes_too_long_is_ended(void **state)
{
	struct pollfd fd;

	(void)state;
	make_gate();
	begin("read x < $DIR/gate; read x < $DIR/gate & read x < $DIR/gate; touch $DIR/survived", 0);
	fire(7, "");
	open_gate(); /* it has a session of its own by now */
	fd = (struct pollfd){hook_fd(hook), POLLIN, 0};
	hook_tick(hook);
	assert_int_equal(poll(&fd, 1, PATIENCE_MS), 1);
	hook_act(hook);
	assert_true(hook_is_idle(hook));
	fflush(log_to.out);
	assert_non_null(strstr(complaints, "took more than 0 s and was ended"));
	assert_false(is_there("survived"));
}

static void what_still_runs_is_left_alone(void **state)
{
	(void)state;
	make_gate();
	begin("read x < $DIR/gate; touch $DIR/done; echo > $DIR/gate", 60);
	fire(7, "");
	hook_free(hook);
	hook = NULL;
	fflush(log_to.out);
	assert_non_null(strstr(complaints, "for process 7 still runs, as process "));
	open_gate();
	assert_string_equal(content("gate"), "\n");
	assert_true(is_there("done"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_gets_its_variables),
		TEST(it_starts_clean),
		TEST(one_at_a_time_and_the_newest_next),
		TEST(processes_do_not_wait_for_each_other),
		TEST(many_are_bounded),
		TEST(what_fails_is_said),
		TEST(what_takes_too_long_is_ended),
		TEST(what_still_runs_is_left_alone),
	};

	hook_free(NULL);
	return cmocka_run_group_tests_name("hook", tests, NULL, NULL);
}
