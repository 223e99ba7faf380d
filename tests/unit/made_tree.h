/* A made-up /proc, /sys or /etc: files in a folder of the test's own. */
#ifndef ALLOCTRACE_TESTS_MADE_TREE_H
#define ALLOCTRACE_TESTS_MADE_TREE_H

#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char made_tree[64];

/* cmocka's setup: an empty tree. */
static int made_tree_begin(void **state)
{
	(void)state;
	snprintf(made_tree, sizeof(made_tree), "/tmp/made_tree.XXXXXX");
	return mkdtemp(made_tree) ? 0 : -1;
}

static int made_tree_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static int made_tree_end(void **state)
{
	(void)state;
	return nftw(made_tree, made_tree_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The folders that path needs, and path itself if it ends in '/'. */
static void made_tree_folders(char *path)
{
	for (char *slash = path + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(path, 0755);
		*slash = '/';
	}
}

/* A file below the tree, or a folder if name ends in '/'; '@' in text stands for the tree's own path. */
static void made_file(const char *name, const char *text)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", made_tree, name);
	made_tree_folders(path);
	if (path[strlen(path) - 1] == '/')
		return;
	f = fopen(path, "w");
	for (; f && *text; text++) {
		if (*text == '@')
			fputs(made_tree, f);
		else
			fputc(*text, f);
	}
	if (!f || fclose(f))
		abort();
}

#endif
