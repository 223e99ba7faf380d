#include <stdio.h>

#include "report/figure.h"
#include "report/text_findings.h"
#include "screen/layout.h"

#define LABEL_COLS 9
#define FIGURE_COLS 9
#define LARGEST_COLS 15 /* "  max 1023 MiB" */

void layout_title(const struct scene *s, struct canvas *c)
{
	const struct head *h = &s->model->head;
	char left[512], right[64], at[TEXT_CLOCK_MAX], span[UNITS_TEXT_MAX];
	unsigned width;

	if (h->final)
		snprintf(left, sizeof(left), " %s; q leaves: %s", h->ended, h->title);
	else
		snprintf(left, sizeof(left), " %s", h->title[0] ? h->title : "alloctrace top");
	snprintf(right, sizeof(right), "%s%s, %s ", s->view->paused ? "PAUSED  " : "",
		 text_clock(at, h->time_ns),
		 units_time(span, (h->time_ns - h->started_ns) / NSEC_PER_SEC * NSEC_PER_SEC));
	width = canvas_text_width(right);
	if (!h->time_ns || h->final || width + 24 > c->cols) {
		snprintf(right, sizeof(right), "%s", s->view->paused && c->cols >= 24 ? " PAUSED " : "");
		width = canvas_text_width(right);
	}
	canvas_put(c, 0, 0, c->cols > width ? c->cols - width : c->cols, STYLE_BAR, left);
	if (c->cols > width)
		canvas_put_right(c, 0, c->cols - width, width, STYLE_BAR, right);
	canvas_style_row(c, 0, h->final ? STYLE_ALARM : STYLE_BAR);
}

static uint64_t figure_of(const struct head *h, enum drawn_series which)
{
	return which == DRAWN_RSS ? h->rss : which == DRAWN_LIVE ? h->live : h->retained;
}

static void draw_series(const struct scene *s, struct canvas *c, unsigned row, enum drawn_series which,
			unsigned col)
{
	const struct head *h = &s->model->head;
	unsigned cols = c->cols > col + LARGEST_COLS ? c->cols - col - LARGEST_COLS : 0;
	char line[SPARKLINE_TEXT_MAX], bytes[UNITS_TEXT_MAX], text[64];
	uint64_t values[SPARKLINE_MAX], largest;

	if (cols < 8)
		return;
	cols = cols < SPARKLINE_MAX ? cols : SPARKLINE_MAX;
	series_columns(s->series[which], h->time_ns,
		       sparkline_step(cols, h->time_ns - h->started_ns, s->interval_ns), values, cols);
	largest = sparkline_text(line, values, cols);
	canvas_put(c, row, col, cols, STYLE_PLAIN, line);
	if (largest == UNKNOWN)
		return;
	snprintf(text, sizeof(text), "max %s", units_bytes(bytes, largest));
	canvas_put(c, row, col + cols + 2, LARGEST_COLS, STYLE_DIM, text);
}

/* Where there is no room for a line each. */
static void draw_short(const struct head *h, struct canvas *c, unsigned row)
{
	char line[128], rss[UNITS_TEXT_MAX], live[UNITS_TEXT_MAX], retained[UNITS_TEXT_MAX];

	snprintf(line, sizeof(line), "RSS %s live %s retained %s", figure_text(rss, h->rss),
		 figure_text(live, h->live), figure_text(retained, h->retained));
	canvas_put(c, row, 0, c->cols, STYLE_BOLD, line);
}

void layout_figures(const struct scene *s, struct canvas *c, unsigned row, unsigned rows)
{
	static const char *const labels[DRAWN_CNT] = {"RSS", "live", "retained"};
	const struct head *h = &s->model->head;
	char bytes[UNITS_TEXT_MAX];

	if (rows == 1)
		draw_short(h, c, row);
	for (unsigned i = 0; i < rows && rows == DRAWN_CNT; i++) {
		canvas_put(c, row + i, 0, LABEL_COLS, STYLE_PLAIN, labels[i]);
		canvas_put_right(c, row + i, LABEL_COLS, FIGURE_COLS, STYLE_BOLD,
				 figure_text(bytes, figure_of(h, i)));
		draw_series(s, c, row + i, i, LABEL_COLS + FIGURE_COLS + 2);
	}
}

/* What becomes of retained. */
static void put_state(const struct head *h, char buf[NOTE_MAX])
{
	char purgeable[UNITS_TEXT_MAX], pinned[UNITS_TEXT_MAX];

	if (h->purgeable == UNKNOWN || h->pinned == UNKNOWN)
		snprintf(buf, NOTE_MAX, "%s", h->sentence);
	else if (h->purge_call && h->purgeable >= MIB)
		snprintf(buf, NOTE_MAX, "retained: %s would return %s, %s pinned", h->purge_call,
			 units_bytes(purgeable, h->purgeable), units_bytes(pinned, h->pinned));
	else
		snprintf(buf, NOTE_MAX, "retained: %s purgeable, %s pinned",
			 units_bytes(purgeable, h->purgeable), units_bytes(pinned, h->pinned));
}

/* How old and how good that is, and what it costs. */
static void put_quality(const struct head *h, char buf[NOTE_MAX])
{
	size_t used = 0;

	buf[0] = '\0';
	if (h->age > 1)
		used = (size_t)snprintf(buf, NOTE_MAX, "heap as of %.1f s ago", h->age);
	if (h->budget[0])
		snprintf(buf + used, NOTE_MAX - used, "%s%s", used ? ", " : "", h->budget);
}

static void add_note(struct note notes[NOTES_MAX], unsigned *cnt, enum canvas_style style, const char *text)
{
	if (!text[0])
		return;
	notes[*cnt].style = style;
	snprintf(notes[*cnt].text, NOTE_MAX, "%s", text);
	(*cnt)++;
}

unsigned layout_notes(const struct head *h, struct note notes[NOTES_MAX])
{
	char text[NOTE_MAX];
	unsigned cnt = 0;

	if (!h->time_ns)
		return 0;
	put_state(h, text);
	add_note(notes, &cnt, STYLE_PLAIN, text);
	put_quality(h, text);
	add_note(notes, &cnt, STYLE_PLAIN, text);
	add_note(notes, &cnt, STYLE_ALARM, h->doubt);
	add_note(notes, &cnt, STYLE_PLAIN, h->cgroup);
	add_note(notes, &cnt, STYLE_DIM, h->missing);
	return cnt;
}
