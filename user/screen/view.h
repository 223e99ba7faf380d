/* What the person at the screen has chosen, and what a key changes of it. */
#ifndef ALLOCTRACE_SCREEN_VIEW_H
#define ALLOCTRACE_SCREEN_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "screen/key.h"
#include "screen/model.h"

enum page {
	PAGE_TABLE,
	PAGE_SITE, /* one site: its whole stack */
	PAGE_LOG,
	PAGE_HELP,
};

#define FILTER_MAX 64

struct pane_view {
	unsigned sort; /* a column */
	bool reversed;
	bool moved;    /* a row was chosen: it is followed; else the first one is */
	uint64_t key;  /* of the chosen row */
	size_t top;    /* the first row shown */
};

struct view {
	enum page page;
	enum pane pane;
	struct pane_view panes[PANE_CNT];
	char filter[FILTER_MAX]; /* UTF-8; "" lets all pass */
	char typed[FILTER_MAX];  /* what is being typed */
	bool typing, paused, python_only;
	bool moved_before; /* PAGE_SITE: whether a row was chosen when it was opened */
	size_t scroll; /* of a page that is no table: lines that are above it */
};

/* What is on the screen, as far as keys need it. */
struct view_facts {
	const struct row_table *table;
	const uint32_t *order; /* the rows that pass, sorted; of the pane shown */
	size_t cnt;
	size_t page_rows; /* rows of a page, at least 1 */
	bool has_objects; /* there is a table of Python's objects */
};

enum view_wish {
	WISH_NOTHING, /* no such key */
	WISH_DRAW,
	WISH_ORDER,   /* sort and filter anew */
	WISH_MARK,    /* growth counts from now */
	WISH_REDRAW,  /* the terminal was garbled */
	WISH_LEAVE,
};

void view_init(struct view *v);
enum view_wish view_key(struct view *v, uint32_t key, const struct view_facts *facts);
/* The chosen row's place in the order: 0 where none is, or it has gone. */
size_t view_chosen(const struct view *v, const struct view_facts *facts);
/* The chosen row, NULL in an empty table. */
const struct row *view_row(const struct view *v, const struct view_facts *facts);
/* Keeps the chosen row on the page. */
void view_follow(struct view *v, const struct view_facts *facts);

#endif
