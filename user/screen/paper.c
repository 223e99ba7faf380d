#include "screen/paper.h"

#include <stdlib.h>
#include <string.h>

static void add(struct paper *p, enum canvas_style style, const char *text, size_t len, unsigned indent)
{
	size_t cap = p->cap ? 2 * p->cap : 64;
	struct paper_line *lines = p->lines;
	char *copy = malloc(indent + len + 1);

	if (p->cnt == p->cap)
		lines = realloc(lines, cap * sizeof(*lines));
	if (lines && p->cnt == p->cap)
		p->cap = cap;
	if (lines)
		p->lines = lines;
	if (!lines || !copy) {
		free(copy);
		return;
	}
	memset(copy, ' ', indent);
	memcpy(copy + indent, text, len);
	copy[indent + len] = '\0';
	p->lines[p->cnt++] = (struct paper_line){copy, style};
}

/* Bytes of text that fit into so many columns: up to a blank if there is one, else whole characters. */
static size_t fitting(const char *text, unsigned width)
{
	size_t blank = 0, len = 0, next;
	unsigned used = 0;

	while (text[len]) {
		char c[5] = {0};

		for (next = len + 1; ((unsigned char)text[next] & 0xc0) == 0x80 && next - len < 4;)
			next++;
		memcpy(c, text + len, next - len);
		used += canvas_text_width(c);
		if (used > width)
			return blank ? blank : len ? len : next;
		if (text[len] == ' ')
			blank = len;
		len = next;
	}
	return len;
}

void paper_put(struct paper *p, enum canvas_style style, const char *text)
{
	unsigned indent = 0;

	do {
		size_t len = fitting(text, p->width > indent ? p->width - indent : 1);

		add(p, style, text, len, indent);
		text += len;
		text += strspn(text, " ");
		indent = p->indent < p->width / 2 ? p->indent : 0;
	} while (*text);
}

void paper_draw(const struct paper *p, struct canvas *c, unsigned row, unsigned rows, size_t *scroll)
{
	size_t max = p->cnt > rows ? p->cnt - rows : 0;

	if (*scroll > max)
		*scroll = max;
	for (unsigned i = 0; i < rows && *scroll + i < p->cnt; i++)
		canvas_put(c, row + i, 0, c->cols, p->lines[*scroll + i].style, p->lines[*scroll + i].text);
}

void paper_free(struct paper *p)
{
	for (size_t i = 0; i < p->cnt; i++)
		free(p->lines[i].text);
	free(p->lines);
	p->lines = NULL;
	p->cnt = p->cap = 0;
}
