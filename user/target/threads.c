#include "target/threads.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/printable.h"

static void read_name(pid_t pid, struct thread *t)
{
	char path[64], text[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d", pid, t->tid);
	if (file_read_in(path, "comm", text, sizeof(text)) < 0)
		text[0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	printable(t->name, sizeof(t->name), text);
}

/* "NSpid:\t4242\t7": the last is the innermost namespace's (proc(5), since 4.1); without it there is one. */
static void read_own_tid(pid_t pid, struct thread *t)
{
	char path[64], text[4096], *line, *number;

	t->own_tid = t->tid;
	snprintf(path, sizeof(path), "/proc/%d/task/%d", pid, t->tid);
	if (file_read_in(path, "status", text, sizeof(text)) < 0 || !(line = strstr(text, "\nNSpid:")))
		return;
	line[1 + strcspn(line + 1, "\n")] = '\0';
	number = strrchr(line, '\t');
	if (number && atoi(number) > 0)
		t->own_tid = atoi(number);
}

static int by_tid(const void *a, const void *b)
{
	pid_t x = ((const struct thread *)a)->tid, y = ((const struct thread *)b)->tid;

	return (x > y) - (x < y);
}

/* Room for one more, or NULL. */
static struct thread *grow(struct threads *threads, size_t *cap)
{
	if (threads->cnt == *cap) {
		size_t more = *cap ? 2 * *cap : 64;
		struct thread *v = reallocarray(threads->v, more, sizeof(*v));

		if (!v)
			return NULL;
		threads->v = v;
		*cap = more;
	}
	return &threads->v[threads->cnt];
}

int threads_read(pid_t pid, struct threads *threads)
{
	struct dirent *entry;
	char path[64];
	size_t cap = 0;
	DIR *d;

	*threads = (struct threads){0};
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	if (!d)
		return -ESRCH;
	while (threads->cnt < THREADS_MAX && (entry = readdir(d))) {
		struct thread *t;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		t = grow(threads, &cap);
		if (!t) {
			closedir(d);
			threads_free(threads);
			return -ENOMEM;
		}
		*t = (struct thread){.tid = atoi(entry->d_name)};
		read_name(pid, t);
		read_own_tid(pid, t);
		threads->cnt++;
	}
	closedir(d);
	if (threads->cnt)
		qsort(threads->v, threads->cnt, sizeof(*threads->v), by_tid);
	return threads->cnt ? 0 : -ESRCH;
}

void threads_free(struct threads *threads)
{
	free(threads->v);
	*threads = (struct threads){0};
}
