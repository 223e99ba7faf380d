#include "target/object_text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK (256UL << 10)

static bool is_name_byte(unsigned char c)
{
	return isalnum(c) || c == '_' || c == '.' || c == '-';
}

/* The best of the places in one chunk; those in its first byte have no byte before them and are the last
 * chunk's. */
static enum object_text look(const char *bytes, size_t len, const char *text, bool first)
{
	size_t text_len = strlen(text) + 1;
	enum object_text best = OBJECT_TEXT_ABSENT;
	const char *at = bytes, *end = bytes + len;

	while (best < OBJECT_TEXT_WHOLE && at < end &&
	       (at = memmem(at, (size_t)(end - at), text, text_len))) {
		if (at > bytes ? !is_name_byte((unsigned char)at[-1]) : first)
			best = OBJECT_TEXT_WHOLE;
		else if (at > bytes)
			best = OBJECT_TEXT_TAIL;
		at++;
	}
	return best;
}

enum object_text object_find_text(const struct object *obj, const char *text)
{
	enum object_text best = OBJECT_TEXT_ABSENT;
	size_t keep = strlen(text) + 1, used = 0;
	char *buf;

	if (keep > OBJECT_TEXT_MAX)
		return OBJECT_TEXT_ABSENT;
	buf = malloc(CHUNK + OBJECT_TEXT_MAX);
	for (uint64_t at = 0; buf && at < OBJECT_TEXT_BYTES_MAX && best < OBJECT_TEXT_WHOLE;) {
		ssize_t got = object_read(obj, at, buf + used, CHUNK);
		enum object_text here;

		if (got <= 0)
			break;
		here = look(buf, used + (size_t)got, text, at == 0);
		best = here > best ? here : best;
		at += (uint64_t)got;
		used += (size_t)got;
		if (used > keep) { /* what may begin there, and the byte before it */
			memmove(buf, buf + used - keep, keep);
			used = keep;
		}
	}
	free(buf);
	return best;
}
