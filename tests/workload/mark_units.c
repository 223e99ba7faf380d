/*
 * Functions to be marked. Obeys "units N" (that many calls of unit_done, a MiB more live at each) and
 * "ticks N" (calls of tick, which does nothing); answers with what it knows: how often each was
 * called, and what was resident before each unit_done.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNIT      (1 << 20)
#define PIECE     (64 << 10)
#define UNITS_MAX 1000

static unsigned long units, ticks, resident[UNITS_MAX];

/* Bytes, exact. */
static unsigned long rss(void)
{
	unsigned long bytes = 0;
	char line[256];
	FILE *f = fopen("/proc/self/smaps_rollup", "r");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "Rss:", 4))
			bytes = strtoul(line + 4, NULL, 10) << 10;
	if (f)
		fclose(f);
	return bytes;
}

__attribute__((noinline)) void unit_done(void)
{
	units++;
	__asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) void tick(void)
{
	ticks++;
	__asm__ volatile("" ::: "memory");
}

static void work(void)
{
	for (size_t used = 0; used < UNIT; used += PIECE) {
		char *piece = malloc(PIECE);

		if (piece)
			memset(piece, 1, PIECE);
	}
	if (units < UNITS_MAX)
		resident[units] = rss();
	unit_done();
}

static void answer(void)
{
	printf("{\"pid\": %d, \"units\": %lu, \"ticks\": %lu, \"rss\": [", getpid(), units, ticks);
	for (unsigned long i = 0; i < units && i < UNITS_MAX; i++)
		printf("%s%lu", i ? ", " : "", resident[i]);
	printf("]}\n");
	fflush(stdout);
}

int main(void)
{
	char word[16];
	unsigned long cnt;

	answer();
	while (scanf("%15s %lu", word, &cnt) == 2) {
		while (cnt--) {
			if (word[0] == 'u')
				work();
			else
				tick();
		}
		answer();
	}
	return 0;
}
