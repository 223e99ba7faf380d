/*
 * A target that obeys: one command a line on stdin, one line of JSON each on stdout. Answering must
 * not disturb the heap: static buffers, raw reads and writes, no stdio.
 */
#ifndef WORKLOAD_ANSWERS_H
#define WORKLOAD_ANSWERS_H

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

struct command {
	const char *name;
	void (*run)(void);
};

static char *words; /* of the command line, from the next one on */
static int rollup_fd = -1;

/* The next number of the command line; 0 if there is none. */
__attribute__((unused)) static size_t number(void)
{
	char *word = strsep(&words, " ");

	return word ? strtoull(word, NULL, 10) : 0;
}

/* One answer: {"name": value, …} and a newline, built in place. */
#ifndef ANSWER_SIZE
#define ANSWER_SIZE 2048
#endif
static char answer[ANSWER_SIZE];
static size_t answer_len;

static void answer_field(const char *name, uint64_t value)
{
	char digits[24];
	size_t n = 0;

	answer[answer_len] = answer_len ? ',' : '{';
	answer_len++;
	answer[answer_len++] = '"';
	answer_len += strlen(strcpy(answer + answer_len, name));
	answer_len += strlen(strcpy(answer + answer_len, "\":"));
	do
		digits[n++] = (char)('0' + value % 10);
	while (value /= 10);
	while (n)
		answer[answer_len++] = digits[--n];
}

static void answer_send(void)
{
	strcpy(answer + answer_len, answer_len ? "}\n" : "{}\n");
	if (write(1, answer, strlen(answer)) < 0)
		_exit(1);
	answer_len = 0;
}

/* smaps_rollup counts pages; statm may lag behind by per-CPU batches. */
static uint64_t rss(void)
{
	static char text[4096];
	const char *line;
	ssize_t len;

	if (rollup_fd < 0)
		rollup_fd = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
	len = pread(rollup_fd, text, sizeof(text) - 1, 0);
	if (len <= 0)
		abort();
	text[len] = '\0';
	line = strstr(text, "\nRss:");
	return line ? strtoull(line + 5, NULL, 10) * 1024 : 0;
}

/* What RSS has fallen by since it was before. */
__attribute__((unused)) static void answer_drop(uint64_t before)
{
	uint64_t after = rss();

	answer_field("before", before);
	answer_field("after", after);
	answer_field("returned", before > after ? before - after : 0);
}

static void obey_line(const struct command *commands, char *line)
{
	const char *name;

	words = line;
	name = strsep(&words, " ");
	for (; commands->name; commands++)
		if (!strcmp(commands->name, name)) {
			commands->run();
			answer_send();
			return;
		}
	_exit(1);
}

/* Says who it is, and obeys to the end of its input; commands end with a row without a name. */
static void obey(const struct command *commands)
{
	static char line[256];
	size_t len = 0;

	answer_field("pid", getpid());
	answer_send();
	while (len < sizeof(line) && read(0, line + len, 1) == 1) {
		if (line[len++] != '\n')
			continue;
		line[len - 1] = '\0';
		len = 0;
		obey_line(commands, line);
	}
}

#endif
