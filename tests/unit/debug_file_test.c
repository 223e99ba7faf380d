#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "stack/debug_file.h"

#define TEXT "as good as any debug file"

/* A root with /bin/app.debug in it. */
static int begin(void **state)
{
	char *root = strdup("/tmp/debug_file_test.XXXXXX"), path[64];
	FILE *f;

	if (!root || !mkdtemp(root))
		return -1;
	snprintf(path, sizeof(path), "%s/bin", root);
	mkdir(path, 0755);
	strcat(path, "/app.debug");
	f = fopen(path, "w");
	if (!f)
		return -1;
	fputs(TEXT, f);
	fclose(f);
	*state = root;
	return 0;
}

static int end(void **state)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/bin/app.debug", (char *)*state);
	unlink(path);
	*strrchr(path, '/') = '\0';
	rmdir(path);
	rmdir(*state);
	free(*state);
	return 0;
}

static int find(const char *root_path, uint32_t crc)
{
	int root = open(root_path, O_PATH | O_DIRECTORY);
	int fd = debug_file_open(root, "/bin/app", NULL, 0, "app.debug", crc);

	close(root);
	return fd;
}

static uint32_t crc_of(const char *text)
{
	return (uint32_t)crc32(0, (const Bytef *)text, (uInt)strlen(text));
}

static void what_the_target_truncates_stays_whole(void **state)
{
	char path[64], text[sizeof(TEXT)] = "";
	int fd = find(*state, crc_of(TEXT));

	assert_true(fd >= 0);
	snprintf(path, sizeof(path), "%s/bin/app.debug", (char *)*state);
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(pread(fd, text, sizeof(text), 0), sizeof(TEXT) - 1);
	assert_string_equal(text, TEXT);
	close(fd);
}

static void another_file_of_that_name_is_not_taken(void **state)
{
	assert_int_equal(find(*state, crc_of(TEXT) + 1), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_the_target_truncates_stays_whole, begin, end),
		cmocka_unit_test_setup_teardown(another_file_of_that_name_is_not_taken, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
