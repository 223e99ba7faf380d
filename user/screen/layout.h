/*
 * Draws the screen: everything that it shows into a canvas of whatever size, pure and without a
 * terminal. From the top: whose figures, RSS, live and retained over the last minutes, what there is to say
 * of them, a table (or a page in its place), the newest of the log, the keys. What has no room is left out,
 * the least important first.
 *
 *   layout.c         what goes where, pages
 *   layout_head.c    the head
 *   layout_table.c   the table of sites or processes
 */
#ifndef ALLOCTRACE_SCREEN_LAYOUT_H
#define ALLOCTRACE_SCREEN_LAYOUT_H

#include "base/units.h"
#include "screen/canvas.h"
#include "screen/journal.h"
#include "screen/model.h"
#include "screen/order.h"
#include "screen/paper.h"
#include "screen/sparkline.h"
#include "screen/view.h"

enum drawn_series {
	DRAWN_RSS,
	DRAWN_LIVE,
	DRAWN_RETAINED,
	DRAWN_CNT
};

/* What a screen is drawn from. */
struct scene {
	const struct model *model;
	const struct order *order;
	struct series *const *series; /* DRAWN_CNT */
	struct journal *journal;
	struct view *view;    /* its scrolling is brought to where pages end */
	uint64_t interval_ns; /* between snapshots */
	struct names *names;  /* NULL: all have their names */
	bool names_wanted;    /* out: names of what is shown are still being looked up */
};

/* Rows of each part; a part that has none is not shown. */
struct layout {
	unsigned title, figures, notes, heading, page, log, keys;
};

#define NOTES_MAX 6
#define NOTE_MAX VERDICT_MAX

struct layout layout_for(const struct scene *scene, unsigned rows, unsigned cols);
struct view_facts layout_facts(const struct scene *scene, unsigned rows, unsigned cols);
/* Between names_begin and names_end. */
void layout_draw(struct scene *scene, struct canvas *canvas);

/* Of the parts. Rows are where they begin, and how many. */
void layout_title(const struct scene *scene, struct canvas *c);
void layout_figures(const struct scene *scene, struct canvas *c, unsigned row, unsigned rows);
/* Notes that are worth a line, most important first. */
struct note {
	enum canvas_style style;
	char text[NOTE_MAX];
};
unsigned layout_notes(const struct head *h, struct note notes[NOTES_MAX]);
void layout_heading(const struct scene *scene, struct canvas *c, unsigned row);
void layout_rows(struct scene *scene, struct canvas *c, unsigned row, unsigned rows);
/* A value as its column writes it: "–" where it is not known; returns buf. */
const char *layout_value(char buf[UNITS_TEXT_MAX], enum column_form form, int64_t value);

#endif
