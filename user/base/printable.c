#include "base/printable.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* As the first byte promises; 0: none begins with it. */
static size_t sequence_len(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first < 0xc0 || first >= 0xf8)
		return 0;
	return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* Bytes of the well-formed UTF-8 character at s, decoded into *code; 0 if there is none (RFC 3629). */
static size_t decode(const unsigned char *s, uint32_t *code)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = sequence_len(s[0]);

	if (len <= 1) {
		*code = s[0];
		return len;
	}
	*code = s[0] & (0x7f >> len);
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (s[i] & 0x3f);
	}
	if (*code < least[len] || *code > 0x10ffff || (*code >= 0xd800 && *code < 0xe000))
		return 0;
	return len;
}

/* C0, DEL, C1, line separators, and the characters that change the direction of what follows. */
static bool is_unsafe(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x61c || code == 0x200e ||
	       code == 0x200f || (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

/* Nearly all of what there is: reports print millions of names. */
static size_t plain_len(const unsigned char *s, size_t max)
{
	size_t len = 0;

	while (len < max && s[len] >= 0x20 && s[len] < 0x7f)
		len++;
	return len;
}

const char *printable(char *buf, size_t size, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t used = 0, len, put;
	uint32_t code;

	if (size == 0)
		return buf;
	while (*s) {
		put = plain_len(s, size - 1 - used);
		memmove(buf + used, s, put);
		s += put;
		used += put;
		len = decode(s, &code);
		put = len && !is_unsafe(code) ? len : 1;
		if (!*s || used + put >= size)
			break;
		if (len && !is_unsafe(code))
			memmove(buf + used, s, len);
		else
			buf[used] = '?';
		s += len ? len : 1;
		used += put;
	}
	buf[used] = '\0';
	return buf;
}

size_t printable_width(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}
