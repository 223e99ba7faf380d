#include "stack/python_code.h"

#include <stdlib.h>
#include <string.h>

#include "base/printable.h"
#include "stack/python_lines.h"

#define TEXT_MAX (EVENT_TEXT_MAX * 3 + 8) /* UTF-8 of as many UCS-2 characters takes most */
#define REPLACEMENT '?'

static uint32_t character(const struct event_text *text, size_t i)
{
	const uint8_t *at = text->bytes + i * text->width;
	uint32_t wide;
	uint16_t half;

	switch (text->width) {
	case 1:
		return *at;
	case 2:
		memcpy(&half, at, sizeof(half));
		return half;
	default:
		memcpy(&wide, at, sizeof(wide));
		return wide;
	}
}

/* Surrogates stand alone here: they are bytes of a file's name that were no UTF-8 (PEP 383). */
static size_t encode(uint32_t c, char out[4])
{
	if (c < 0x80) {
		out[0] = (char)(c ? c : REPLACEMENT);
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 63));
		return 2;
	}
	if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) {
		out[0] = REPLACEMENT;
		return 1;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 63));
		out[2] = (char)(0x80 | (c & 63));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 63));
	out[2] = (char)(0x80 | (c >> 6 & 63));
	out[3] = (char)(0x80 | (c & 63));
	return 4;
}

const char *python_text_decode(const struct event_text *text, char *buf, size_t size)
{
	static const char ellipsis[] = "…";
	size_t len = 0, cnt = text->width && text->len <= sizeof(text->bytes) ? text->len / text->width : 0;

	if (!text->width || size < sizeof(ellipsis) + 4) {
		if (size >= 2)
			memcpy(buf, "?", 2);
		return buf;
	}
	if (text->cut) {
		memcpy(buf, ellipsis, sizeof(ellipsis) - 1);
		len = sizeof(ellipsis) - 1;
	}
	for (size_t i = 0; i < cnt && len + 5 <= size; i++)
		len += encode(character(text, i), buf + len);
	buf[len] = '\0';
	return printable(buf, size, buf);
}

struct python_code *python_code_new(const struct event_code *ev)
{
	char name[TEXT_MAX], file[TEXT_MAX];
	struct python_code *code;
	size_t name_sz, file_sz;

	python_text_decode(&ev->name, name, sizeof(name));
	python_text_decode(&ev->file, file, sizeof(file));
	name_sz = strlen(name) + 1;
	file_sz = strlen(file) + 1;
	code = malloc(sizeof(*code) + ev->lines_len + name_sz + file_sz);
	if (!code)
		return NULL;
	code->first_line = ev->first_line;
	code->version = ev->version;
	code->lines_len = ev->lines_len;
	memcpy(code->lines, ev->lines, ev->lines_len);
	code->name = memcpy(code->lines + ev->lines_len, name, name_sz);
	code->file = memcpy(code->lines + ev->lines_len + name_sz, file, file_sz);
	return code;
}

void python_code_free(struct python_code *code)
{
	free(code);
}

uint32_t python_code_line(const struct python_code *code, int32_t at)
{
	if (at < 0)
		return code->first_line;
	return python_line(code->version, code->lines, code->lines_len, code->first_line, (uint32_t)at);
}
