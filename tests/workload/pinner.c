/*
 * Built to pin: of many blocks of some 4 KiB all are freed but one of 32 bytes a page. Commands
 * on standard input, a line each, each answered by the resident bytes of the process: pin (from
 * pin_here), class (the same where pages hold one size: all are of 4 KiB, one in 16 stays),
 * others (some blocks from elsewhere), free (pin_here's survivors), trim, quit.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGES 8000

static void *survivors[PAGES], *fillers[PAGES], *others[500];

/* Never a tail call: the caller must be on the stack. */
#define NO_TAIL() __asm__ volatile("" ::: "memory")

__attribute__((noinline)) static void *pin_here(size_t size)
{
	void *block = malloc(size);

	NO_TAIL();
	return block;
}

__attribute__((noinline)) static void *hold_elsewhere(void)
{
	void *block = malloc(24);

	NO_TAIL();
	return block;
}

static void pin(size_t size, int every)
{
	for (int i = 0; i < PAGES; i++) {
		fillers[i] = memset(malloc(4096 - 48), 1, 4096 - 48);
		survivors[i] = i % every ? NULL : pin_here(size);
	}
	for (int i = 0; i < PAGES; i++)
		free(fillers[i]);
}

static void hold(void)
{
	void *between[500];

	for (int i = 0; i < 500; i++) {
		between[i] = memset(malloc(12000), 1, 12000);
		others[i] = hold_elsewhere();
	}
	for (int i = 0; i < 500; i++)
		free(between[i]);
}

static void release(void)
{
	for (int i = 0; i < PAGES; i++)
		free(survivors[i]);
}

/* Kernels that batch the counter lag in statm: smaps_rollup is exact. */
static long rss(void)
{
	char text[4096], *line;
	int fd = open("/proc/self/smaps_rollup", O_RDONLY);
	ssize_t len = read(fd, text, sizeof(text) - 1);

	close(fd);
	text[len > 0 ? len : 0] = '\0';
	line = strstr(text, "Rss:");
	return line ? atol(line + 4) * 1024 : -1;
}

static void answer(void)
{
	char line[64];
	int len = snprintf(line, sizeof(line), "{\"pid\": %d, \"rss\": %ld}\n", (int)getpid(), rss());

	if (write(STDOUT_FILENO, line, (size_t)len) != len)
		_exit(1);
}

static char command(void)
{
	char first = 0, c;

	while (read(STDIN_FILENO, &c, 1) == 1 && c != '\n')
		first = first ? first : c;
	return first;
}

static void trim(void)
{
	void (*collect)(bool force);

	*(void **)&collect = dlsym(RTLD_DEFAULT, "mi_collect");
	if (collect)
		collect(true);
	else
		malloc_trim(0);
}

int main(void)
{
	char what;

	mallopt(M_TRIM_THRESHOLD, 1 << 30); /* nothing goes back by itself */
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	answer();
	while ((what = command()) && what != 'q') {
		if (what == 'p')
			pin(24, 1);
		else if (what == 'c')
			pin(4096 - 48, 15);
		else if (what == 'o')
			hold();
		else if (what == 'f')
			release();
		else if (what == 't')
			trim();
		answer();
	}
	return 0;
}
