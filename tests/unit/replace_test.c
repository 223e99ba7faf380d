#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/replace.h"

static char dir[64], name[96];

static int make_dir(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/replace_test.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(name, sizeof(name), "%s/out", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	unlink(name);
	return rmdir(dir); /* fails if a temporary file was left behind */
}

static unsigned file_cnt(void)
{
	struct dirent *entry;
	DIR *d = opendir(dir);
	unsigned cnt = 0;

	while ((entry = readdir(d)))
		cnt += entry->d_name[0] != '.';
	closedir(d);
	return cnt;
}

static const char *content(void)
{
	static char text[64];
	FILE *f = fopen(name, "r");

	if (!f)
		return NULL;
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	return text;
}

static void a_committed_file_takes_the_name(void **state)
{
	struct replace r;
	struct stat st;
	mode_t mask = umask(022);

	(void)state;
	assert_int_equal(replace_begin(&r, name), 0);
	umask(mask);
	fputs("new\n", r.file);
	assert_null(content()); /* not before it is whole */
	assert_int_equal(replace_commit(&r), 0);
	assert_string_equal(content(), "new\n");
	assert_int_equal(stat(name, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	assert_int_equal(replace_commit(&r), 0);
	replace_abandon(&r);
	assert_int_equal(file_cnt(), 1);
}

static void an_abandoned_file_leaves_the_old_one(void **state)
{
	struct replace r;

	(void)state;
	assert_int_equal(replace_begin(&r, name), 0);
	fputs("old\n", r.file);
	assert_int_equal(replace_commit(&r), 0);
	assert_int_equal(replace_begin(&r, name), 0);
	fputs("half", r.file);
	replace_abandon(&r);
	replace_abandon(&r);
	assert_string_equal(content(), "old\n");
	assert_int_equal(file_cnt(), 1);
}

static void a_failed_write_leaves_the_old_one(void **state)
{
	struct replace r;

	(void)state;
	assert_int_equal(replace_begin(&r, name), 0);
	fputs("old\n", r.file);
	assert_int_equal(replace_commit(&r), 0);
	assert_int_equal(replace_begin(&r, name), 0);
	fputs("new\n", r.file);
	close(fileno(r.file)); /* as a disk that is full: the write fails at the end */
	assert_int_not_equal(replace_commit(&r), 0);
	assert_string_equal(content(), "old\n");
	assert_int_equal(file_cnt(), 1);
}

static void a_refreshed_file_takes_the_name_too(void **state)
{
	struct replace r;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(replace_begin(&r, name), 0);
		fprintf(r.file, "%d\n", i);
		assert_int_equal(replace_refresh(&r), 0);
	}
	assert_string_equal(content(), "1\n");
	assert_int_equal(file_cnt(), 1);
}

/* Renaming over /dev/null would take it from everybody. */
static void a_pipe_stays_a_pipe(void **state)
{
	char text[8] = "";
	struct replace r;
	struct stat st;
	int reader;

	(void)state;
	assert_int_equal(mkfifo(name, 0600), 0);
	assert_int_equal(replace_begin(&r, name), -ENXIO); /* nobody reads it */
	reader = open(name, O_RDONLY | O_NONBLOCK);
	assert_true(reader >= 0);
	assert_int_equal(replace_begin(&r, name), 0);
	fputs("new\n", r.file);
	assert_int_equal(replace_commit(&r), 0);
	assert_int_equal(read(reader, text, sizeof(text) - 1), 4);
	assert_string_equal(text, "new\n");
	close(reader);
	assert_int_equal(stat(name, &st), 0);
	assert_true(S_ISFIFO(st.st_mode));
	assert_int_equal(file_cnt(), 1);
}

static void a_folder_that_is_not_there_is_an_error(void **state)
{
	struct replace r;

	(void)state;
	assert_int_equal(replace_begin(&r, "/nowhere/at/all"), -ENOENT);
	replace_abandon(&r);
	assert_int_equal(replace_commit(&r), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_committed_file_takes_the_name, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(an_abandoned_file_leaves_the_old_one, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(a_failed_write_leaves_the_old_one, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(a_refreshed_file_takes_the_name_too, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(a_pipe_stays_a_pipe, make_dir, remove_dir),
		cmocka_unit_test(a_folder_that_is_not_there_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
