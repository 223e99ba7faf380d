#include "screen/model.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/printable.h"
#include "report/figure.h"
#include "report/text_cgroup.h"
#include "report/text_processes.h"

/* A site as it was at the snapshot before, and at the mark that growth counts from. */
struct site_before {
	uint64_t live, allocated, freed, marked;
};

struct process_before {
	pid_t pid;
	uint64_t rss;
};

static const struct column site_columns[SITE_COLUMN_CNT] = {
	[SITE_LIVE] = {"live", COLUMN_BYTES, "bytes in blocks allocated here and not freed"},
	[SITE_GROWTH] = {"growth", COLUMN_GROWTH, "of live, since the last interval or the mark (z)"},
	[SITE_ALLOCATED_RATE] = {"alloc/s", COLUMN_RATE, "bytes allocated here a second"},
	[SITE_FREED_RATE] = {"freed/s", COLUMN_RATE, "bytes of blocks from here freed a second"},
	[SITE_PINNED] = {"pinned", COLUMN_BYTES, "free memory that live blocks from here hold back"},
	[SITE_BLOCKS] = {"blocks", COLUMN_COUNT, "live blocks"},
	[SITE_ALLOCATED] = {"allocated", COLUMN_BYTES, "bytes since the attach"},
	[SITE_FREED_HERE] = {"freed by", COLUMN_BYTES, "bytes freed by this stack, whoever allocated them"},
	[SITE_PEAK] = {"at peak", COLUMN_BYTES, "live when the whole was highest"},
};

static const struct column object_columns[OBJECT_COLUMN_CNT] = {
	[SITE_LIVE] = {"live", COLUMN_BYTES,
		       "bytes of objects born here and alive, as their pools round them"},
	[SITE_GROWTH] = {"growth", COLUMN_GROWTH, "of live, since the last interval or the mark (z)"},
	[SITE_ALLOCATED_RATE] = {"born/s", COLUMN_RATE, "bytes born here a second"},
	[SITE_FREED_RATE] = {"died/s", COLUMN_RATE, "bytes of objects from here that died, a second"},
	[OBJECT_CNT] = {"objects", COLUMN_COUNT, "live objects"},
	[OBJECT_BORN] = {"born", COLUMN_BYTES, "bytes since the attach"},
};

static const struct column process_columns[PROCESS_COLUMN_CNT] = {
	[PROCESS_RSS] = {"RSS", COLUMN_BYTES, "resident memory"},
	[PROCESS_GROWTH] = {"growth", COLUMN_GROWTH, "of RSS, since the last interval"},
	[PROCESS_LIVE] = {"live", COLUMN_BYTES, "bytes in live blocks"},
	[PROCESS_RETAINED] = {"retained", COLUMN_BYTES, "freed by the program, still resident"},
	[PROCESS_PURGEABLE] = {"purgeable", COLUMN_BYTES, "of it, what a purge would return now"},
	[PROCESS_PINNED] = {"pinned", COLUMN_BYTES, "the rest of it"},
	[PROCESS_ALLOCATIONS] = {"calls/s", COLUMN_COUNT, "allocations a second"},
};

struct model *model_new(void)
{
	struct model *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->tables[PANE_SITES] = (struct row_table){
		.columns = site_columns, .column_cnt = SITE_COLUMN_CNT, .text_name = "allocated by"};
	m->tables[PANE_OBJECTS] = (struct row_table){.columns = object_columns,
						     .column_cnt = OBJECT_COLUMN_CNT,
						     .text_name = "Python objects born by"};
	m->tables[PANE_PROCESSES] = (struct row_table){
		.columns = process_columns, .column_cnt = PROCESS_COLUMN_CNT, .text_name = "process"};
	m->head.rss = m->head.live = m->head.retained = m->head.purgeable = m->head.pinned = UNKNOWN;
	m->head.age = -1;
	return m;
}

void model_free(struct model *m)
{
	if (!m)
		return;
	for (int i = 0; i < PANE_CNT; i++) {
		free(m->tables[i].rows);
		free(m->before[i].v);
	}
	free(m->process_texts);
	free(m->processes_before);
	free(m);
}

void model_drop_stacks(struct model *m)
{
	m->tables[PANE_SITES].cnt = m->tables[PANE_OBJECTS].cnt = 0;
}

void model_mark(struct model *m)
{
	bool marked = m->grown_since_ns != 0;

	m->grown_since_ns = marked ? 0 : m->head.time_ns;
	for (int pane = 0; pane < PANE_CNT; pane++) {
		for (size_t i = 0; i < m->before[pane].cnt; i++)
			m->before[pane].v[i].marked = m->before[pane].v[i].live;
		for (size_t i = 0; pane_is_of_sites(pane) && !marked && i < m->tables[pane].cnt; i++)
			m->tables[pane].rows[i].values[SITE_GROWTH] = 0;
	}
}

static int64_t value_of(uint64_t figure)
{
	return figure > INT64_MAX ? NO_VALUE : (int64_t)figure;
}

static int64_t a_second(uint64_t now, uint64_t before, uint64_t ns)
{
	return ns && now >= before ? (int64_t)((double)(now - before) * 1e9 / (double)ns) : NO_VALUE;
}

/* Numbers of sites mean something else where the sum of many takes the place of one process. */
static void forget_others(struct model *m, bool many)
{
	if (m->of_many != many) {
		m->before[PANE_SITES].cnt = m->before[PANE_OBJECTS].cnt = 0;
		m->grown_since_ns = 0;
	}
	m->of_many = many;
}

static int make_room(struct sites_before *b, size_t cnt)
{
	struct site_before *v = b->v;

	if (cnt <= b->cnt)
		return 0;
	v = realloc(v, cnt * sizeof(*v));
	if (!v)
		return -ENOMEM;
	memset(v + b->cnt, 0, (cnt - b->cnt) * sizeof(*v));
	b->v = v;
	b->cnt = cnt;
	return 0;
}

/* What sites of blocks and of objects have both, and what it is compared with the next time. */
static void fill_changes(const struct model *m, struct row *row, const struct site *f,
			 struct site_before *before, uint64_t ns)
{
	row->values[SITE_LIVE] = value_of(f->live.bytes);
	row->values[SITE_GROWTH] =
		(int64_t)(f->live.bytes - (m->grown_since_ns ? before->marked : before->live));
	row->values[SITE_ALLOCATED_RATE] = a_second(f->allocated.bytes, before->allocated, ns);
	row->values[SITE_FREED_RATE] = a_second(f->freed.bytes, before->freed, ns);
	before->live = f->live.bytes;
	before->allocated = f->allocated.bytes;
	before->freed = f->freed.bytes;
}

static void fill_object(struct row *row, const struct site_view *view)
{
	row->values[OBJECT_CNT] = value_of(view->figures->live.cnt);
	row->values[OBJECT_BORN] = value_of(view->figures->allocated.bytes);
}

static void fill_site(struct row *row, const struct site_view *view)
{
	const struct site *f = view->figures;

	row->values[SITE_PINNED] = view->survey ? value_of(view->survey->pinned) : NO_VALUE;
	row->values[SITE_BLOCKS] = value_of(f->live.cnt);
	row->values[SITE_ALLOCATED] = value_of(f->allocated.bytes);
	row->values[SITE_FREED_HERE] = value_of(f->freed_here.bytes);
	row->values[SITE_PEAK] = value_of(view->peak.bytes);
}

/* a: NULL, there are none. */
static int take_sites(struct model *m, enum pane pane, const struct allocation_view *a, uint64_t ns)
{
	struct row_table *t = &m->tables[pane];
	struct sites_before *before = &m->before[pane];
	struct row *rows;

	t->cnt = 0;
	if (!a)
		return 0;
	rows = realloc(t->rows, (a->site_cnt + 1) * sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	t->rows = rows;
	if (make_room(before, a->number_cnt))
		return -ENOMEM;
	for (size_t i = 0; i < a->site_cnt; i++) {
		const struct site_view *view = &a->sites[i];
		struct row *row = &rows[t->cnt];

		if (view->number >= before->cnt)
			continue;
		*row = (struct row){.key = view->number, .stack = view->stack};
		fill_changes(m, row, view->figures, &before->v[view->number], ns);
		if (pane == PANE_OBJECTS)
			fill_object(row, view);
		else
			fill_site(row, view);
		t->cnt++;
	}
	return 0;
}

static const struct process_before *before_of(const struct model *m, pid_t pid)
{
	for (size_t i = 0; i < m->process_before_cnt; i++)
		if (m->processes_before[i].pid == pid)
			return &m->processes_before[i];
	return NULL;
}

static void fill_process(struct model *m, struct row *row, const struct snapshot *s, char *text)
{
	const struct process_before *before = before_of(m, s->pid);
	const struct heap_state *h = s->heap;
	char name[64], end[96];
	bool read = h->taken_ns != 0;

	*row = (struct row){.key = (uint64_t)s->pid};
	row->values[PROCESS_RSS] = s->rss ? value_of(s->rss) : NO_VALUE;
	row->values[PROCESS_GROWTH] = before ? (int64_t)(s->rss - before->rss) : NO_VALUE;
	row->values[PROCESS_LIVE] = read ? value_of(h->live_heap) : NO_VALUE;
	row->values[PROCESS_RETAINED] = read ? value_of(h->retained) : NO_VALUE;
	row->values[PROCESS_PURGEABLE] = read ? value_of(h->purgeable) : NO_VALUE;
	row->values[PROCESS_PINNED] = read ? value_of(h->pinned) : NO_VALUE;
	row->values[PROCESS_ALLOCATIONS] = s->allocs
						   ? a_second(s->allocs->totals.allocated.cnt,
							      s->allocs->before.allocated.cnt, s->interval_ns)
						   : NO_VALUE;
	snprintf(text, PROCESS_TEXT_MAX, "%s (%d)%s%s", printable(name, sizeof(name), s->command), s->pid,
		 s->gone && s->ended ? ": " : "",
		 s->gone && s->ended ? printable(end, sizeof(end), s->ended) : "");
}

/* Of one process there is one row, so that the pane is never empty. */
static int take_processes(struct model *m, const struct snapshot *s)
{
	const struct snapshot *const *v = s->processes ? s->processes->v : &s;
	size_t cnt = s->processes ? s->processes->cnt : 1;
	struct row_table *t = &m->tables[PANE_PROCESSES];
	struct process_before *before = malloc((cnt + 1) * sizeof(*before));
	char(*texts)[PROCESS_TEXT_MAX] = malloc((cnt + 1) * sizeof(*texts));
	struct row *rows = malloc((cnt + 1) * sizeof(*rows));

	t->cnt = 0;
	if (!before || !texts || !rows) {
		free(before);
		free(texts);
		free(rows);
		return -ENOMEM;
	}
	for (size_t i = 0; i < cnt; i++) {
		fill_process(m, &rows[i], v[i], texts[i]);
		before[i] = (struct process_before){v[i]->pid, v[i]->rss};
	}
	free(t->rows);
	free(m->process_texts);
	free(m->processes_before);
	t->rows = rows;
	t->cnt = cnt;
	m->process_texts = texts;
	m->processes_before = before;
	m->process_before_cnt = cnt;
	return 0;
}

/* What a report prints as a line, without its end and indentation. */
static void print_to(char *buf, size_t size, const struct snapshot *s,
		     void (*print)(FILE *out, const struct snapshot *s))
{
	FILE *out;

	memset(buf, 0, size); /* what is cut has no end of its own */
	out = fmemopen(buf, size - 1, "w");
	if (!out)
		return;
	print(out, s);
	fclose(out);
	buf[strcspn(buf, "\n")] = '\0';
	memmove(buf, buf + strspn(buf, " "), strlen(buf + strspn(buf, " ")) + 1);
	printable(buf, size, buf);
}

/* Without a limit it is nothing that a screen has a line for. */
static void print_cgroup(FILE *out, const struct snapshot *s)
{
	if (!s->cgroup || (s->cgroup->limit == CGROUP_NO_LIMIT && !s->cgroup->growing))
		return;
	text_cgroup(out, s, false);
}

static void take_title(struct head *h, const struct snapshot *s)
{
	const struct heap_allocator *serving = verdict_serving(s);
	char name[64], counts[64] = "", allocator[48];

	printable(name, sizeof(name), s->command);
	if (s->processes)
		print_to(counts, sizeof(counts), s, text_process_counts);
	else
		snprintf(counts, sizeof(counts), " (%d)", s->pid);
	snprintf(h->title, sizeof(h->title), "%s%s%s%s", name, counts, serving ? ", " : "",
		 serving ? verdict_name(serving, allocator, sizeof(allocator)) : "");
}

static void take_doubts(struct head *h, const struct snapshot *s)
{
	size_t used = 0;

	h->doubt[0] = h->missing[0] = '\0';
	for (size_t i = 0; i < SOURCE_LOSS_CNT && used < sizeof(h->doubt); i++)
		if (s->lost[i])
			used += (size_t)snprintf(h->doubt + used, sizeof(h->doubt) - used, "%s%" PRIu64 " %s",
						 used ? ", " : "events lost: ", s->lost[i],
						 source_loss_names[i]);
	if (s->missing_cnt)
		printable(h->missing, sizeof(h->missing), s->missing[0]);
}

static void take_head(struct head *h, const struct snapshot *s)
{
	const struct heap_state *heap = s->heap;
	bool read = heap->taken_ns != 0;

	*h = (struct head){
		.time_ns = s->time_ns,
		.started_ns = s->started_ns,
		.rss = s->rss,
		.live = read ? heap->live_heap : UNKNOWN,
		.retained = read ? heap->retained : UNKNOWN,
		.purgeable = read ? heap->purgeable : UNKNOWN,
		.pinned = read ? heap->pinned : UNKNOWN,
		.age = read ? verdict_state_age(s) : -1,
		.has_sites = s->allocs != NULL,
		.has_objects = s->allocs && s->allocs->objects,
		.final = s->final,
	};
	h->purge_call = verdict_purge_call(s);
	if (s->allocs && !budget_seen_text(h->budget, s->allocs)[0])
		budget_cost_text(h->budget, s->allocs);
	if (s->processes && !s->processes->cnt) {
		h->rss = UNKNOWN;
		snprintf(h->sentence, sizeof(h->sentence), "no process is there now: waiting for one");
	} else {
		verdict_sentence(s, h->sentence);
	}
	take_title(h, s);
	take_doubts(h, s);
	print_to(h->cgroup, sizeof(h->cgroup), s, print_cgroup);
	printable(h->ended, sizeof(h->ended), s->ended ? s->ended : "");
}

int model_take(struct model *m, const struct snapshot *s)
{
	uint64_t since = m->head.time_ns ? m->head.time_ns : s->started_ns;
	uint64_t ns = s->time_ns > since ? s->time_ns - since : 0;
	const struct objects_view *objects = s->allocs ? s->allocs->objects : NULL;
	int rc;

	forget_others(m, s->processes != NULL);
	rc = take_sites(m, PANE_SITES, s->allocs, ns);
	rc = take_sites(m, PANE_OBJECTS, objects ? &objects->sites : NULL, ns) ?: rc;
	rc = take_processes(m, s) ?: rc;
	take_head(&m->head, s);
	return rc;
}

const char *model_process_text(const struct model *m, const struct row *row)
{
	return m->process_texts[row - m->tables[PANE_PROCESSES].rows];
}

const char *model_line(const struct model *m, char buf[MODEL_LINE_MAX])
{
	char rss[UNITS_TEXT_MAX], live[UNITS_TEXT_MAX], retained[UNITS_TEXT_MAX], purgeable[UNITS_TEXT_MAX],
		span[UNITS_TEXT_MAX];
	const struct head *h = &m->head;
	int used = snprintf(buf, MODEL_LINE_MAX, "%s, watched for %s: RSS %s", h->title,
			    units_time(span, h->time_ns - h->started_ns), figure_text(rss, h->rss));

	if (h->live != UNKNOWN)
		used += snprintf(buf + used, MODEL_LINE_MAX - (size_t)used,
				 ", %s live, %s retained, of it %s purgeable", figure_text(live, h->live),
				 figure_text(retained, h->retained), figure_text(purgeable, h->purgeable));
	snprintf(buf + used, MODEL_LINE_MAX - (size_t)used, "%s%s", h->ended[0] ? "; " : "", h->ended);
	return buf;
}
