/*
 * A screen before it is one: rows and columns of styled cells, in memory. What draws knows no
 * terminal, and what knows the terminal (terminal.h) only copies cells.
 */
#ifndef ALLOCTRACE_SCREEN_CANVAS_H
#define ALLOCTRACE_SCREEN_CANVAS_H

#include <stdbool.h>
#include <stdint.h>

enum canvas_style {
	STYLE_PLAIN,
	STYLE_BOLD,
	STYLE_DIM,
	STYLE_ALARM,
	STYLE_BAR, /* a heading, the keys */
	STYLE_CHOSEN,
	STYLE_CNT
};

struct cell {
	uint32_t code; /* Unicode; 0: the right half of the wide character before it */
	enum canvas_style style;
};

struct canvas {
	unsigned rows, cols;
	struct cell *cells; /* by row */
};

/* Blank, of that size, however small; keeps no old cell. 0 or −ENOMEM. All zero is a canvas of no size. */
int canvas_resize(struct canvas *c, unsigned rows, unsigned cols);
void canvas_clear(struct canvas *c);
void canvas_free(struct canvas *c); /* idempotent */

/*
 * Writes UTF-8, which printable() has made safe, from that cell on into at most width columns and not
 * beyond the edge; what is too long ends in "…". Nothing happens outside. Returns the columns used.
 */
unsigned canvas_put(struct canvas *c, unsigned row, unsigned col, unsigned width, enum canvas_style style,
		    const char *text);
/* The same at the right end of these columns, cut at its own end. */
void canvas_put_right(struct canvas *c, unsigned row, unsigned col, unsigned width, enum canvas_style style,
		      const char *text);
/* Gives a whole row that style: its text stays. */
void canvas_style_row(struct canvas *c, unsigned row, enum canvas_style style);
/* Columns that a text takes. */
unsigned canvas_text_width(const char *text);

#endif
