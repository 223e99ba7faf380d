#include "screen/canvas.h"

#include <errno.h>
#include <stdlib.h>
#include <wchar.h>

#define ELLIPSIS 0x2026

int canvas_resize(struct canvas *c, unsigned rows, unsigned cols)
{
	struct cell *cells = calloc(rows && cols ? (size_t)rows * cols : 1, sizeof(*cells)), *old = c->cells;

	if (!cells)
		return -ENOMEM;
	*c = (struct canvas){.rows = rows, .cols = cols, .cells = cells};
	canvas_clear(c);
	free(old);
	return 0;
}

void canvas_clear(struct canvas *c)
{
	for (size_t i = 0; i < (size_t)c->rows * c->cols; i++)
		c->cells[i] = (struct cell){.code = ' '};
}

void canvas_free(struct canvas *c)
{
	free(c->cells);
	*c = (struct canvas){0};
}

/* The next character of valid UTF-8; 0 at its end. */
static uint32_t next_code(const char **text)
{
	const unsigned char *s = (const unsigned char *)*text;
	unsigned more = s[0] < 0xc0 ? 0 : s[0] < 0xe0 ? 1 : s[0] < 0xf0 ? 2 : 3;
	uint32_t code = more ? s[0] & (0x3fu >> more) : s[0];

	if (!s[0])
		return 0;
	*text += 1;
	for (; more && (*(const unsigned char *)*text & 0xc0) == 0x80; more--, *text += 1)
		code = code << 6 | (*(const unsigned char *)*text & 0x3f);
	return code;
}

/* 0 for what joins the character before it: left out, a cell holds one character. */
static unsigned code_width(uint32_t code)
{
	int width = code < 0x7f ? 1 : wcwidth((wchar_t)code);

	return width < 0 ? 1 : (unsigned)width;
}

unsigned canvas_text_width(const char *text)
{
	unsigned width = 0;
	uint32_t code;

	while ((code = next_code(&text)))
		width += code_width(code);
	return width;
}

unsigned canvas_put(struct canvas *c, unsigned row, unsigned col, unsigned width, enum canvas_style style,
		    const char *text)
{
	unsigned used = 0, room, step;
	bool cut;
	uint32_t code;

	if (row >= c->rows || col >= c->cols || !width)
		return 0;
	room = width < c->cols - col ? width : c->cols - col;
	cut = canvas_text_width(text) > room;
	while ((code = next_code(&text))) {
		struct cell *cell = &c->cells[(size_t)row * c->cols + col + used];

		step = code_width(code);
		if (cut && used + step > room - 1) {
			*cell = (struct cell){ELLIPSIS, style};
			return used + 1;
		}
		if (step)
			cell[0] = (struct cell){code, style};
		if (step == 2)
			cell[1] = (struct cell){0, style};
		used += step;
	}
	return used;
}

void canvas_put_right(struct canvas *c, unsigned row, unsigned col, unsigned width, enum canvas_style style,
		      const char *text)
{
	unsigned len = canvas_text_width(text);

	canvas_put(c, row, col + (len < width ? width - len : 0), len < width ? len : width, style, text);
}

void canvas_style_row(struct canvas *c, unsigned row, enum canvas_style style)
{
	for (unsigned i = 0; row < c->rows && i < c->cols; i++)
		c->cells[(size_t)row * c->cols + i].style = style;
}
