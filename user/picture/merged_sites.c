#include "picture/merged_sites.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "heap/state.h"
#include "picture/ranking.h"
#include "picture/spread.h"

/* As many distinct stacks as one process may have; what is beyond has no stack. */
#define MERGED_MAX SITES_MAX

struct merged_estimate {
	struct spread kept, sum;
	struct site_bounds bounds; /* of the sum */
};

struct merged_site {
	struct stack *stack; /* a copy; NULL: no stack */
	uint32_t number;
	struct site kept, sum;
	struct site_count kept_peak, peak;
	struct site_survey survey;
	bool surveyed;
	struct merged_estimate *estimate; /* NULL: no part was one */
	struct merged_site *same_hash;
};

struct merged_sites {
	struct merged_site **v;
	uint32_t cnt, cap;
	struct map known; /* hash of a stack → struct merged_site */
	struct site_view *views;
	const struct site_view **by_number;
};

static struct merged_site *add_site(struct merged_sites *m, struct stack *stack)
{
	uint32_t cap = m->cap ? 2 * m->cap : 256;
	struct merged_site *site, **v = m->v;

	if (m->cnt == m->cap)
		v = realloc(m->v, cap * sizeof(struct merged_site *));
	if (!v)
		return NULL;
	if (m->cnt == m->cap)
		m->cap = cap;
	m->v = v;
	site = calloc(1, sizeof(*site));
	if (!site)
		return NULL;
	site->stack = stack;
	site->number = m->cnt;
	m->v[m->cnt++] = site;
	return site;
}

/* Site 0 is that of no stack, here too. */
struct merged_sites *merged_sites_new(void)
{
	struct merged_sites *m = calloc(1, sizeof(*m));
	struct merged_site *none = m ? add_site(m, NULL) : NULL;

	if (none)
		none->estimate = calloc(1, sizeof(*none->estimate));
	if (none && none->estimate)
		return m;
	merged_sites_free(m);
	return NULL;
}

void merged_sites_free(struct merged_sites *m)
{
	if (!m)
		return;
	for (uint32_t i = 0; i < m->cnt; i++) {
		free(m->v[i]->stack);
		free(m->v[i]->estimate);
		free(m->v[i]);
	}
	map_free(&m->known);
	free(m->v);
	free(m->views);
	free(m->by_number);
	free(m);
}

static struct merged_site *find(const struct merged_sites *m, const struct stack *stack, uint64_t hash)
{
	struct merged_site *site = map_get(&m->known, hash);

	while (site && !stack_is_same(site->stack, stack))
		site = site->same_hash;
	return site;
}

/* The site of that stack, which is new if need be; without room, that of no stack. */
static struct merged_site *get(struct merged_sites *m, const struct stack *stack)
{
	struct merged_site *site;
	struct stack *copy;
	uint64_t hash;
	size_t size;

	if (!stack)
		return m->v[0];
	hash = stack_hash(stack);
	site = find(m, stack, hash);
	if (site || m->cnt == MERGED_MAX)
		return site ? site : m->v[0];
	size = sizeof(*stack) + stack->cnt * sizeof(struct location *);
	copy = malloc(size);
	site = copy ? add_site(m, copy) : NULL;
	if (!site) {
		free(copy);
		return m->v[0];
	}
	memcpy(copy, stack, size);
	site->same_hash = map_get(&m->known, hash);
	map_set(&m->known, hash, site);
	return site;
}

static void add_figures(struct site *sum, const struct site *part)
{
	site_count_add(&sum->live, part->live);
	site_count_add(&sum->allocated, part->allocated);
	site_count_add(&sum->freed, part->freed);
	site_count_add(&sum->temporary, part->temporary);
	site_count_add(&sum->freed_here, part->freed_here);
}

static void add_survey(struct merged_site *site, const struct site_survey *part)
{
	if (!part)
		return;
	site->surveyed = true;
	site_count_add(&site->survey.old, part->old);
	site->survey.pinned += part->pinned;
	site->survey.alone = part->alone == UNKNOWN || site->survey.alone == UNKNOWN
				     ? UNKNOWN
				     : site->survey.alone + part->alone;
}

static struct bounded bounded_of(const struct site *f)
{
	return (struct bounded){f->live, f->allocated, f->freed, f->freed_here};
}

/* Without memory a sum would look exact; it goes to the site of no stack then, which has its own from the beginning. */
static struct merged_site *with_estimate(struct merged_sites *m, struct merged_site *site,
					 const struct site_view *view)
{
	if (view->bounds && !site->estimate)
		site->estimate = calloc(1, sizeof(*site->estimate));
	return view->bounds && !site->estimate ? m->v[0] : site;
}

static void add_error(struct spread *spread, const struct site_view *view)
{
	const struct bounded figures = bounded_of(view->figures);

	spread_add(spread, &figures, view->bounds);
}

static void begin_error(struct merged_estimate *estimate, bool with_live)
{
	estimate->sum = estimate->kept;
	if (!with_live)
		spread_forget_live(&estimate->sum);
}

/* NULL: the sum is exact. */
static const struct site_bounds *bounds_of(struct merged_site *site)
{
	const struct bounded sum = bounded_of(&site->sum);

	if (!site->estimate || !site->estimate->sum.any)
		return NULL;
	spread_bounds(&site->estimate->sum, &sum, &site->estimate->bounds);
	return &site->estimate->bounds;
}

void merged_sites_keep(struct merged_sites *m, const struct allocation_view *ended)
{
	for (size_t i = 0; i < ended->site_cnt; i++) {
		const struct site_view *view = &ended->sites[i];
		struct merged_site *site = with_estimate(m, get(m, view->stack), view);

		add_figures(&site->kept, view->figures);
		if (site->estimate)
			add_error(&site->estimate->kept, view);
		site_count_add(&site->kept_peak, view->peak);
	}
}

void merged_sites_begin(struct merged_sites *m, bool with_live)
{
	for (uint32_t i = 0; i < m->cnt; i++) {
		struct merged_site *site = m->v[i];

		site->sum = site->kept;
		if (!with_live)
			site->sum.live = (struct site_count){0};
		site->peak = site->kept_peak;
		site->survey = (struct site_survey){.pinned = 0};
		site->surveyed = false;
		if (site->estimate)
			begin_error(site->estimate, with_live);
	}
}

void merged_sites_add(struct merged_sites *m, const struct allocation_view *view)
{
	for (size_t i = 0; i < view->site_cnt; i++) {
		struct merged_site *site = with_estimate(m, get(m, view->sites[i].stack), &view->sites[i]);

		add_figures(&site->sum, view->sites[i].figures);
		if (site->estimate)
			add_error(&site->estimate->sum, &view->sites[i]);
		site_count_add(&site->peak, view->sites[i].peak);
		add_survey(site, view->sites[i].survey);
	}
}

int merged_sites_view(struct merged_sites *m, struct allocation_view *view)
{
	free(m->views);
	free(m->by_number);
	m->views = calloc(m->cnt, sizeof(*m->views));
	m->by_number = calloc(m->cnt, sizeof(*m->by_number));
	if (!m->views || !m->by_number)
		return -ENOMEM;
	view->sites = m->views;
	view->site_cnt = 0;
	view->by_number = m->by_number;
	view->number_cnt = m->cnt;
	for (uint32_t i = 0; i < m->cnt; i++) {
		struct merged_site *site = m->v[i];

		if (!site->sum.allocated.cnt && !site->sum.freed_here.cnt)
			continue;
		m->views[view->site_cnt++] = (struct site_view){
			.number = site->number,
			.figures = &site->sum,
			.survey = site->surveyed ? &site->survey : NULL,
			.peak = site->peak,
			.stack = site->stack,
			.bounds = bounds_of(site),
		};
	}
	ranking_arrange(m->views, view->site_cnt, m->by_number);
	return 0;
}

uint32_t merged_sites_number(const struct merged_sites *m, const struct site_view *site)
{
	const struct merged_site *found = site->stack ? find(m, site->stack, stack_hash(site->stack)) : NULL;

	return found ? found->number : 0;
}
