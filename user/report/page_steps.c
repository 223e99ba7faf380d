#include "report/page_steps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "report/page_data.h"

#define MSEC_NS 1000000

/* Milliseconds since the last time, which moves on. */
static void put_time(struct packer *p, uint64_t *last_ms, uint64_t started_ns, uint64_t time_ns)
{
	uint64_t ms = time_ns > started_ns ? (time_ns - started_ns) / MSEC_NS : 0;

	ms = ms > *last_ms ? ms : *last_ms;
	packer_number(p, ms - *last_ms);
	*last_ms = ms;
}

void page_points(struct packer *p, const struct history_view *h, uint64_t started_ns)
{
	static const size_t figures = sizeof(struct history_point) / sizeof(uint64_t);
	uint64_t last = 0;

	packer_number(p, h->point_cnt);
	for (size_t i = 0; i < h->point_cnt; i++)
		put_time(p, &last, started_ns, h->points[i].time_ns);
	for (size_t k = 1; k < figures; k++)
		for (size_t i = 0; i < h->point_cnt; i++)
			packer_number(p, ((const uint64_t *)&h->points[i])[k] + 1);
}

struct node_change {
	int64_t live;
	uint64_t allocated, freed, allocs;
};

struct steps {
	struct packer *out;
	const struct history_view *history;
	const struct page_tree *tree;
	const uint32_t *nodes;
	bool whole;            /* nothing is left to callers */
	struct node_change *v; /* by node */
	uint32_t *changed;     /* nodes, as many as there are */
};

static bool is_some(const struct node_change *c)
{
	return c->live || c->allocated || c->freed || c->allocs;
}

static void add(struct node_change *sum, const struct node_change *part)
{
	sum->live += part->live;
	sum->allocated += part->allocated;
	sum->freed += part->freed;
	sum->allocs += part->allocs;
}

/* What is less than its share of the step in every figure goes to the caller, callees first. */
static void gather(struct steps *s, const struct node_change *all)
{
	for (uint32_t i = s->tree->node_cnt - 1; i > 0; i--) {
		struct node_change *c = &s->v[i];
		uint64_t live = c->live < 0 ? -(uint64_t)c->live : (uint64_t)c->live;

		if (!is_some(c) || live >= (uint64_t)all->live / PAGE_SHARE + 1 ||
		    c->allocated >= all->allocated / PAGE_SHARE + 1 ||
		    c->freed >= all->freed / PAGE_SHARE + 1 || c->allocs >= all->allocs / PAGE_SHARE + 1)
			continue;
		add(&s->v[s->tree->parents[i]], c);
		*c = (struct node_change){0};
	}
}

/* Figure by figure: it packs better. */
static void put_changes(struct steps *s)
{
	uint32_t *nodes = s->changed, cnt = 0, last = 0;

	for (uint32_t i = 0; i < s->tree->node_cnt; i++)
		if (is_some(&s->v[i]))
			nodes[cnt++] = i;
	packer_number(s->out, cnt);
	for (uint32_t i = 0; i < cnt; last = nodes[i++])
		packer_number(s->out, nodes[i] - last);
	for (uint32_t i = 0; i < cnt; i++)
		packer_number(s->out, s->v[nodes[i]].allocated);
	for (uint32_t i = 0; i < cnt; i++)
		packer_signed(s->out, (int64_t)s->v[nodes[i]].allocated - s->v[nodes[i]].live);
	for (uint32_t i = 0; i < cnt; i++)
		packer_number(s->out, s->v[nodes[i]].freed);
	for (uint32_t i = 0; i < cnt; i++)
		packer_number(s->out, s->v[nodes[i]].allocs);
}

/* The changes from first on that lie in steps before end; where they end. */
static size_t put_step(struct steps *s, size_t first, uint32_t end)
{
	const struct history_view *h = s->history;
	struct node_change all = {0};
	size_t i;

	memset(s->v, 0, s->tree->node_cnt * sizeof(*s->v));
	for (i = first; i < h->change_cnt && h->changes[i].step < end; i++) {
		const struct history_change *c = &h->changes[i];
		const struct node_change change = {c->live, c->allocated, c->freed_here, c->allocs};

		add(&s->v[s->nodes[c->site]], &change);
		add(&all, &change);
		all.live += c->live < 0 ? -2 * c->live : 0;
	}
	if (!s->whole)
		gather(s, &all);
	put_changes(s);
	return i;
}

int page_steps(struct packer *p, const struct history_view *h, uint64_t started_ns,
	       const struct page_tree *tree, const uint32_t *nodes)
{
	struct steps s = {p, h, tree, nodes, h->change_cnt <= PAGE_CHANGES, NULL, NULL};
	size_t cnt = h->step_cnt < PAGE_STEPS ? h->step_cnt : PAGE_STEPS, change = 0;
	uint64_t last = 0;
	int rc;

	s.v = calloc(tree->node_cnt, sizeof(*s.v));
	s.changed = calloc(tree->node_cnt, sizeof(*s.changed));
	packer_number(p, s.v && s.changed ? cnt : 0);
	for (size_t i = 0; s.v && s.changed && i < cnt; i++) {
		uint32_t end = (uint32_t)((i + 1) * h->step_cnt / cnt);

		put_time(p, &last, started_ns, h->step_ends[end - 1]);
		change = put_step(&s, change, end);
	}
	rc = s.v && s.changed ? 0 : -ENOMEM;
	free(s.v);
	free(s.changed);
	return rc;
}
