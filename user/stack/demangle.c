#include "stack/demangle.h"

#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <libiberty/demangle.h>

#define SYMBOL_MAX 4096 /* bytes of a mangled name; longer ones are shown as they are */
#define ELLIPSIS "…"

struct output {
	jmp_buf full;
	char *buf;
	size_t used, size;
};

/*
 * A name of a few hundred bytes can stand for gigabytes (substitutions of substitutions), and the
 * demanglers only end when all is written: so this leaves them. What they hold is on the stack.
 */
static void collect(const char *text, size_t len, void *output)
{
	struct output *out = output;
	size_t room = out->size - 1 - out->used;
	size_t take = len < room ? len : room;

	memcpy(out->buf + out->used, text, take);
	out->used += take;
	if (take < len)
		longjmp(out->full, 1);
}

static void mark_cut(char *buf, size_t size)
{
	if (size > sizeof(ELLIPSIS))
		memcpy(buf + size - sizeof(ELLIPSIS), ELLIPSIS, sizeof(ELLIPSIS));
}

static bool translate(struct output *out, const char *symbol)
{
	if (setjmp(out->full)) {
		out->buf[out->used] = '\0';
		mark_cut(out->buf, out->size);
		return true;
	}
	/* Rust's old names are a kind of C++'s, so Rust first. */
	if (!rust_demangle_callback(symbol, DMGL_NO_OPTS, collect, out)) {
		out->used = 0;
		if (!cplus_demangle_v3_callback(symbol, DMGL_NO_OPTS, collect, out))
			return false;
	}
	out->buf[out->used] = '\0';
	return out->used > 0;
}

const char *demangle(char *buf, size_t size, const char *symbol)
{
	struct output out = {.buf = buf, .size = size};
	bool mangled = symbol[0] == '_' && (symbol[1] == 'Z' || symbol[1] == 'R');

	if (mangled && strnlen(symbol, SYMBOL_MAX) < SYMBOL_MAX && translate(&out, symbol))
		return buf;
	if ((size_t)snprintf(buf, size, "%.*s", (int)strcspn(symbol, "@"), symbol) >= size)
		mark_cut(buf, size);
	return buf;
}
