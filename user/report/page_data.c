#include "report/page_data.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/printable.h"
#include "picture/history.h"
#include "picture/with_objects.h"
#include "report/page_json.h"
#include "report/page_steps.h"
#include "report/page_tree.h"
#include "picture/weight.h"

#define NO_STACK UINT32_MAX

struct page {
	struct packer *out;
	const struct snapshot *report; /* as it is shown beside the graph */
	const struct snapshot *s;      /* … with the sites of Python's objects among those of blocks */
	struct history_view history;
	struct page_tree tree;
	/* Numbers of stacks in the tree. */
	uint32_t *sites; /* of the allocation view */
	uint32_t *history_sites;
	uint32_t smaller;
	struct weights weights;
	/* What no site accounts for, by weight. */
	struct page_rest {
		struct weight_rest rests[WEIGHT_RESTS_MAX];
		uint32_t stacks[WEIGHT_RESTS_MAX];
		size_t cnt;
	} rests[WEIGHT_CNT];
};

static uint64_t size_of(const struct site_view *v)
{
	return v->figures->allocated.bytes + v->figures->freed_here.bytes + v->figures->live.bytes +
	       (v->survey ? v->survey->pinned : 0);
}

static int larger_first(const void *x, const void *y)
{
	const uint64_t *a = x, *b = y;

	return *a < *b ? 1 : *a > *b ? -1 : 0;
}

/* What a stack must at least have to be among the PAGE_STACKS largest; 0: all are. */
static uint64_t least_size(const uint64_t *sizes, size_t cnt)
{
	uint64_t *sorted, least;

	if (cnt <= PAGE_STACKS)
		return 0;
	sorted = malloc(cnt * sizeof(*sorted));
	if (!sorted)
		return UINT64_MAX;
	memcpy(sorted, sizes, cnt * sizeof(*sorted));
	qsort(sorted, cnt, sizeof(*sorted), larger_first);
	least = sorted[PAGE_STACKS - 1] + 1;
	free(sorted);
	return least;
}

static int add_sites(struct page *p)
{
	const struct allocation_view *a = p->s->allocs;
	size_t cnt = a ? a->site_cnt : 0;
	uint64_t *sizes = calloc(cnt + 1, sizeof(*sizes)), least;

	p->sites = calloc(cnt + 1, sizeof(*p->sites));
	if (!sizes || !p->sites) {
		free(sizes);
		return -ENOMEM;
	}
	for (size_t i = 0; i < cnt; i++)
		sizes[i] = size_of(&a->sites[i]);
	least = least_size(sizes, cnt);
	for (size_t i = 0; i < cnt; i++)
		stack_want(p->s->names, sizes[i] >= least ? a->sites[i].stack : NULL);
	names_wait(p->s->names);
	for (size_t i = 0; i < cnt; i++)
		p->sites[i] = sizes[i] >= least ? page_tree_add(&p->tree, a->sites[i].stack) : p->smaller;
	free(sizes);
	return 0;
}

/* The stacks of changes: mostly those of the sites, but copies. */
static int add_history_sites(struct page *p)
{
	const struct history_view *h = &p->history;
	uint64_t *sizes = calloc(h->site_cnt + 1, sizeof(*sizes)), least;

	p->history_sites = calloc(h->site_cnt + 1, sizeof(*p->history_sites));
	if (!sizes || !p->history_sites) {
		free(sizes);
		return -ENOMEM;
	}
	for (size_t i = 0; i < h->change_cnt; i++)
		sizes[h->changes[i].site] += h->changes[i].allocated + h->changes[i].freed_here + 1;
	least = least_size(sizes, h->site_cnt);
	least = least ? least : 1; /* what has never changed is not there */
	for (size_t i = 0; i < h->site_cnt; i++)
		p->history_sites[i] = sizes[i] >= least ? page_tree_add(&p->tree, h->sites[i]) : p->smaller;
	free(sizes);
	return 0;
}

/* A text's number + 1, which is new if need be; 0: none. */
static uint64_t number_text(struct map *known, const char **texts, uint32_t *cnt, const char *text)
{
	uint64_t hash = map_hash(0, text ? text : "");
	uint32_t number = (uint32_t)(uintptr_t)map_get(known, hash);

	if (!text)
		return 0;
	while (number && strcmp(texts[number - 1], text))
		number = (uint32_t)(uintptr_t)map_get(known, ++hash);
	if (number)
		return number;
	texts[(*cnt)++] = text;
	map_set(known, hash, (void *)(uintptr_t)*cnt);
	return *cnt;
}

static void pack_printable(struct packer *out, const char *text)
{
	char safe[FRAME_TEXT_MAX];

	printable(safe, sizeof(safe), text);
	packer_text(out, safe, strlen(safe));
}

/* Of code without a symbol its place in the module is the name. */
static const char *function_of(const struct frame_name *f, char **made)
{
	char text[FRAME_TEXT_MAX];

	if (f->function)
		return f->function;
	*made = strdup(frame_text(text, sizeof(text), f, &(struct frame_form){.module = true}));
	return *made ? *made : "?";
}

static int put_frames(struct page *p)
{
	const struct page_tree *t = &p->tree;
	size_t size = (size_t)t->frame_cnt + 1;
	const char **texts = calloc(3 * size, sizeof(*texts));
	char **made = calloc(size, sizeof(*made));
	uint64_t(*numbers)[3] = calloc(size, sizeof(*numbers));
	struct map known = {0};
	uint32_t cnt = 0;
	int rc = texts && made && numbers ? 0 : -ENOMEM;

	for (uint32_t i = 0; !rc && i < t->frame_cnt; i++) {
		const struct frame_name *f = &t->frames[i];

		numbers[i][0] = number_text(&known, texts, &cnt, function_of(f, &made[i]));
		numbers[i][1] = number_text(&known, texts, &cnt, f->module);
		numbers[i][2] = number_text(&known, texts, &cnt, f->file);
	}
	packer_number(p->out, cnt);
	for (uint32_t i = 0; i < cnt; i++)
		pack_printable(p->out, texts[i]);
	packer_number(p->out, rc ? 0 : t->frame_cnt);
	for (uint32_t i = 0; !rc && i < t->frame_cnt; i++) {
		for (int k = 0; k < 3; k++)
			packer_number(p->out, numbers[i][k]);
		packer_number(p->out, t->frames[i].line);
		free(made[i]);
	}
	map_free(&known);
	free(texts);
	free(made);
	free(numbers);
	return rc;
}

static void put_nodes(struct page *p)
{
	const struct page_tree *t = &p->tree;

	packer_number(p->out, t->node_cnt - 1);
	for (uint32_t i = 1; i < t->node_cnt; i++) {
		uint32_t up = 0;

		for (uint32_t at = i - 1; at != t->parents[i]; at = t->parents[at])
			up++;
		packer_number(p->out, up);
		packer_number(p->out, t->node_frames[i]);
	}
}

static void add_rests(struct page *p)
{
	for (int k = 0; k < WEIGHT_CNT; k++) {
		struct page_rest *rest = &p->rests[k];

		rest->cnt = weight_rests(&p->weights, k, rest->rests);
		for (size_t i = 0; i < rest->cnt; i++)
			rest->stacks[i] = page_tree_add_text(&p->tree, rest->rests[i].name);
	}
}

/* By node, all weights of each. */
static void add_weights(const struct page *p, uint64_t *weights)
{
	const struct allocation_view *a = p->s->allocs;
	const uint32_t *leaves = p->tree.leaves;

	for (int k = 0; k < WEIGHT_CNT; k++) {
		if (!weight_is_known(&p->weights, k))
			continue;
		for (size_t i = 0; i < a->site_cnt; i++)
			weights[(size_t)leaves[p->sites[i]] * WEIGHT_CNT + k] +=
				weight_of(&p->weights, &a->sites[i], k);
		for (size_t i = 0; i < p->rests[k].cnt; i++)
			weights[(size_t)leaves[p->rests[k].stacks[i]] * WEIGHT_CNT + k] +=
				p->rests[k].rests[i].weight;
	}
}

static bool weighs(const uint64_t *weights)
{
	for (int k = 0; k < WEIGHT_CNT; k++)
		if (weights[k])
			return true;
	return false;
}

/* Half of a site's interval; infinite where its bounds are not known; 0 where it has none, or no such weight. */
static double half_of(const struct site_view *site, enum site_weight weight)
{
	const struct site_bounds *b = site->bounds;
	const struct bounds *of;

	if (!b || site->of_objects != (weight == WEIGHT_PYTHON))
		return 0;
	of = weight == WEIGHT_LIVE || weight == WEIGHT_PYTHON ? &b->live
	     : weight == WEIGHT_FREED                         ? &b->freed_here
							      : &b->allocated;
	if (weight == WEIGHT_COUNT)
		return of->high.cnt == UNKNOWN ? INFINITY : (double)(of->high.cnt - of->low.cnt) / 2;
	return of->high.bytes == UNKNOWN ? INFINITY : (double)(of->high.bytes - of->low.bytes) / 2;
}

/* Of stacks that are one node here: as independent errors add up. */
static void put_errors_of(struct page *p, const uint64_t *weights, double *squares, enum site_weight weight)
{
	const struct allocation_view *a = p->s->allocs;

	memset(squares, 0, p->tree.node_cnt * sizeof(*squares));
	for (size_t i = 0; i < a->site_cnt; i++) {
		double half = half_of(&a->sites[i], weight);

		squares[p->tree.leaves[p->sites[i]]] += half * half;
	}
	for (uint32_t i = 0; i < p->tree.node_cnt; i++)
		if (weighs(&weights[(size_t)i * WEIGHT_CNT]))
			packer_number(p->out, squares[i] < 0x1p120 ? (uint64_t)ceil(sqrt(squares[i])) + 1 : 0);
}

static int put_errors(struct page *p, const uint64_t *weights)
{
	double *squares = calloc(p->tree.node_cnt, sizeof(*squares));

	if (!squares)
		return -ENOMEM;
	for (int k = 0; k < WEIGHT_CNT; k++)
		if (page_has_errors(&p->weights, k))
			put_errors_of(p, weights, squares, k);
	free(squares);
	return 0;
}

static int put_weights(struct page *p)
{
	uint64_t *weights = calloc((size_t)p->tree.node_cnt * WEIGHT_CNT, sizeof(*weights));
	uint32_t cnt = 0, last = 0;
	int rc;

	if (!weights)
		return -ENOMEM;
	add_weights(p, weights);
	for (uint32_t i = 0; i < p->tree.node_cnt; i++)
		cnt += weighs(&weights[(size_t)i * WEIGHT_CNT]);
	packer_number(p->out, cnt);
	for (uint32_t i = 0; i < p->tree.node_cnt; i++) {
		if (!weighs(&weights[(size_t)i * WEIGHT_CNT]))
			continue;
		packer_number(p->out, i - last);
		last = i;
	}
	for (int k = 0; k < WEIGHT_CNT; k++)
		for (uint32_t i = 0; i < p->tree.node_cnt && weight_is_known(&p->weights, k); i++)
			if (weighs(&weights[(size_t)i * WEIGHT_CNT]))
				packer_number(p->out, weights[(size_t)i * WEIGHT_CNT + k]);
	rc = put_errors(p, weights);
	free(weights);
	return rc;
}

static int put_steps(struct page *p)
{
	uint32_t *nodes = calloc(p->history.site_cnt + 1, sizeof(*nodes));
	int rc;

	if (!nodes)
		return -ENOMEM;
	for (size_t i = 0; i < p->history.site_cnt; i++)
		nodes[i] = p->tree.leaves[p->history_sites[i]];
	rc = page_steps(p->out, &p->history, p->s->started_ns, &p->tree, nodes);
	free(nodes);
	return rc;
}

static int put_all(struct page *p)
{
	char *text;
	size_t len;
	int rc;

	p->smaller = page_tree_add_text(&p->tree, "[smaller stacks]");
	weights_init(&p->weights, p->s);
	add_rests(p);
	rc = add_sites(p) ?: add_history_sites(p);
	rc = rc ?: page_tree_build(&p->tree);
	rc = rc ?: page_json(p->report, &p->weights, &text, &len);
	if (rc)
		return rc;
	packer_text(p->out, text, len);
	free(text);
	rc = put_frames(p);
	put_nodes(p);
	rc = rc ?: put_weights(p);
	page_points(p->out, &p->history, p->s->started_ns);
	return rc ?: put_steps(p);
}

int page_data(struct packer *out, const struct snapshot *s)
{
	struct page p = {.out = out, .report = s, .s = s};
	struct with_objects with;
	int rc;

	if (s->history)
		history_view(s->history, &p.history);
	page_tree_init(&p.tree);
	rc = with_objects_make(&with, &p.s) ?: put_all(&p);
	with_objects_free(&with);
	page_tree_free(&p.tree);
	free(p.sites);
	free(p.history_sites);
	return rc;
}
