/* A page of text that is longer than the screen, perhaps: lines are wrapped to its width, and scrolled. */
#ifndef ALLOCTRACE_SCREEN_PAPER_H
#define ALLOCTRACE_SCREEN_PAPER_H

#include <stddef.h>

#include "screen/canvas.h"

struct paper {
	unsigned width;  /* columns */
	unsigned indent; /* of what a line goes on with */
	struct paper_line {
		char *text;
		enum canvas_style style;
	} *lines;
	size_t cnt, cap;
};

/* All zero but width and indent is an empty one. text is printable; without memory lines are missing. */
void paper_put(struct paper *p, enum canvas_style style, const char *text);
/* Draws as many as fit into these rows, from *scroll on, which is brought to where a page ends. */
void paper_draw(const struct paper *p, struct canvas *c, unsigned row, unsigned rows, size_t *scroll);
void paper_free(struct paper *p); /* idempotent */

#endif
