#include "base/log.h"

#include <stdarg.h>
#include <unistd.h>

static void put(FILE *out, const char *fmt, va_list args)
{
	fputs("alloctrace: ", out);
	vfprintf(out, fmt, args);
	fputc('\n', out);
}

void log_warn(const struct log *log, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	put(log->out, fmt, args);
	va_end(args);
}

void log_note(const struct log *log, const char *fmt, ...)
{
	va_list args;

	if (!log->verbose)
		return;
	va_start(args, fmt);
	put(log->out, fmt, args);
	va_end(args);
}

void log_progress(const struct log *log, const char *fmt, ...)
{
	va_list args;

	if (!isatty(fileno(log->out)))
		return;
	fputs("\r\033[K", log->out);
	if (fmt) {
		fputs("alloctrace: ", log->out);
		va_start(args, fmt);
		vfprintf(log->out, fmt, args);
		va_end(args);
	}
	fflush(log->out);
}
