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
		snprintf(left, sizeof(left), " %s: %s, q leaves", h->title, h->ended);
	else
		snprintf(left, sizeof(left), " %s", h->title[0] ? h->title : "alloctrace top");
	snprintf(right, sizeof(right), "%s%s, %s ", s->view->paused ? "PAUSED  " : "",
		 text_clock(at, h->time_ns),
		 units_time(span, (h->time_ns - h->started_ns) / NSEC_PER_SEC * NSEC_PER_SEC));
	width = canvas_text_width(right);
	if (!h->time_ns || width + 24 > c->cols) {
		snprintf(right, sizeof(right), "%s", s->view->paused ? "PAUSED " : "");
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
		       sparkline_step(cols, h->time_ns - h->started_ns, h->interval_ns), values, cols);
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

/* What becomes of retained, how old that is, and what it costs to know the sites. */
static void put_state(const struct head *h, char buf[512])
{
	char purgeable[UNITS_TEXT_MAX], pinned[UNITS_TEXT_MAX], share[UNITS_TEXT_MAX];
	size_t used;

	if (h->purgeable == UNKNOWN || h->pinned == UNKNOWN)
		used = (size_t)snprintf(buf, 512, "%s", h->sentence);
	else
		used = (size_t)snprintf(buf, 512, "retained: %s purgeable, %s pinned",
					units_bytes(purgeable, h->purgeable), units_bytes(pinned, h->pinned));
	if (h->age > 1 && used < 512)
		used += (size_t)snprintf(buf + used, 512 - used, "; heap as of %.1f s ago", h->age);
	if (h->probe_share >= 0 && !h->stopped[0] && used < 512)
		used += (size_t)snprintf(buf + used, 512 - used, "; probes take %s of its CPU time",
					 figure_share(share, h->probe_share));
	if (h->estimated && used < 512)
		snprintf(buf + used, 512 - used, "; sites are estimates");
}

unsigned layout_notes(const struct head *h, struct note notes[NOTES_MAX], char buf[512])
{
	unsigned cnt = 0;

	if (h->time_ns) {
		put_state(h, buf);
		notes[cnt++] = (struct note){STYLE_PLAIN, buf};
	}
	if (h->stopped[0])
		notes[cnt++] = (struct note){STYLE_ALARM, h->stopped};
	if (h->doubt[0])
		notes[cnt++] = (struct note){STYLE_ALARM, h->doubt};
	if (h->cgroup[0])
		notes[cnt++] = (struct note){STYLE_PLAIN, h->cgroup};
	if (h->missing[0])
		notes[cnt++] = (struct note){STYLE_DIM, h->missing};
	return cnt;
}
