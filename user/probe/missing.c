#include "probe/missing.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINES_MAX 32 /* beyond it says nothing new */

struct missing {
	const char *lines[LINES_MAX];
	size_t cnt;
};

struct missing *missing_new(void)
{
	return calloc(1, sizeof(struct missing));
}

void missing_clear(struct missing *missing)
{
	while (missing->cnt)
		free((char *)missing->lines[--missing->cnt]);
}

void missing_free(struct missing *missing)
{
	if (!missing)
		return;
	missing_clear(missing);
	free(missing);
}

void missing_add(struct missing *missing, const char *fmt, ...)
{
	char line[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	for (size_t i = 0; i < missing->cnt; i++)
		if (!strcmp(missing->lines[i], line))
			return;
	if (missing->cnt == LINES_MAX)
		return;
	missing->lines[missing->cnt] = strdup(line);
	if (missing->lines[missing->cnt])
		missing->cnt++;
}

size_t missing_lines(const struct missing *missing, const char *const **lines)
{
	*lines = missing->lines;
	return missing->cnt;
}
