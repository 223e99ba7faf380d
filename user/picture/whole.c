#include "picture/whole.h"

#include <stdlib.h>

#include "picture/ended_rows.h"
#include "picture/total.h"

struct whole {
	struct total *total;
	struct ended_rows *ended_rows;
	struct process_rows rows;
	struct snapshot shown;
	uint64_t reported_ns, ever, went; /* of the last picture but those of ends; 0: none yet */
};

struct whole *whole_new(void)
{
	struct whole *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->total = total_new();
	w->ended_rows = ended_rows_new();
	if (w->total && w->ended_rows)
		return w;
	whole_free(w);
	return NULL;
}

void whole_free(struct whole *w)
{
	if (!w)
		return;
	total_free(w->total);
	ended_rows_free(w->ended_rows);
	free(w);
}

/* Rows of the processes, with who came and went in the interval; in the final one since the start. */
static void fill_rows(struct whole *w, const struct picture *p)
{
	bool final = p->kind == PICTURE_FINAL;

	w->rows = (struct process_rows){
		.v = p->v,
		.cnt = p->cnt,
		.living = p->living,
		.came = p->ever - (final || !w->reported_ns ? p->first : w->ever),
		.went = p->went - (final ? 0 : w->went),
		.left_out = p->left_out,
		.too_short = p->too_short,
	};
	if (final)
		w->rows.past_cnt = ended_rows_list(w->ended_rows, &w->rows.past);
}

static int add_up(struct whole *w, const struct picture *p)
{
	bool final = p->kind == PICTURE_FINAL;

	fill_rows(w, p);
	w->shown = (struct snapshot){
		.time_ns = p->time_ns,
		.started_ns = p->started_ns,
		.command = p->title,
		.final = final,
		.gone = final && p->with_ended && !p->living,
		.ended = p->ended,
		.cgroup = p->cgroup,
		.processes = &w->rows,
		.names = p->cnt ? p->v[0]->names : NULL,
		.interval_ns = p->time_ns - (w->reported_ns ? w->reported_ns : p->started_ns),
	};
	return total_sum(w->total, p->v, p->cnt, final && p->with_ended, &w->shown);
}

int whole_of(struct whole *w, const struct picture *p, const struct snapshot **s)
{
	int ret = 0;

	if (p->ever == 1 && p->cnt == 1)
		whole_part(w, p, 0);
	else
		ret = add_up(w, p);
	*s = &w->shown;
	return ret;
}

const struct snapshot *whole_part(struct whole *w, const struct picture *p, size_t i)
{
	w->shown = *p->v[i];
	w->shown.cgroup = p->cgroup;
	return &w->shown;
}

void whole_passed(struct whole *w, const struct picture *p)
{
	if (p->kind == PICTURE_ENDS) {
		for (size_t i = 0; i < p->cnt; i++) {
			total_keep(w->total, p->v[i]);
			ended_rows_keep(w->ended_rows, p->v[i]);
		}
	}
	/* The final picture is looked at more than once: for the report, then for files. */
	if (p->kind != PICTURE_INTERVAL)
		return;
	w->reported_ns = p->time_ns;
	w->ever = p->ever;
	w->went = p->went;
}
