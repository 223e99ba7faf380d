#include "probe/milestone_choice.h"

#include <stdlib.h>
#include <string.h>

#define STACKS_MAX 256 /* looked at, the first that come */
#define FRAMES_MAX 12  /* of each, innermost */
#define SEEN_MIN 500   /* allocations with stacks before any is chosen */
#define RARELY 5.0     /* passes a second that are too few to tell anything */
#define TOO_OFTEN 2.0  /* times what is wanted */

/* A stack of allocations that was seen. */
struct noted {
	uint64_t cnt; /* allocations with it */
	uint32_t frame_cnt;
	uint64_t frames[FRAMES_MAX]; /* return addresses, innermost first */
};

struct candidate {
	uint64_t addr;
	double share;   /* of all allocations, those that come through it */
	bool direct;    /* it calls the allocator */
	uint32_t depth; /* frames inside it, at least */
};

void milestone_choice_free(struct milestone_choice *c)
{
	for (size_t i = 0; i < c->stacks.cap; i++)
		free(c->stacks.slots[i].value);
	map_free(&c->stacks);
	*c = (struct milestone_choice){.seen = 0};
}

void milestone_choice_note_stack(struct milestone_choice *c, const struct event_stack *stack)
{
	struct noted *noted;

	if (c->stacks.cnt >= STACKS_MAX || map_get(&c->stacks, stack->id))
		return;
	noted = calloc(1, sizeof(*noted));
	if (!noted)
		return;
	noted->frame_cnt = stack->cnt < FRAMES_MAX ? stack->cnt : FRAMES_MAX;
	memcpy(noted->frames, stack->frames, noted->frame_cnt * sizeof(noted->frames[0]));
	if (map_set(&c->stacks, stack->id, noted))
		free(noted);
}

void milestone_choice_note_alloc(struct milestone_choice *c, uint64_t stack)
{
	struct noted *noted = stack ? map_get(&c->stacks, stack) : NULL;

	c->seen += stack != 0;
	if (noted)
		noted->cnt++;
}

static int by_addr(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/* The frames of a stack, each once. */
static size_t add_frames(struct candidate *v, const struct noted *noted, double all)
{
	size_t cnt = 0;

	for (uint32_t i = 0; i < noted->frame_cnt; i++) {
		bool again = false;

		for (size_t k = 0; k < cnt && !again; k++)
			again = v[k].addr == noted->frames[i];
		if (!again)
			v[cnt++] = (struct candidate){noted->frames[i], (double)noted->cnt / all, !i, i};
	}
	return cnt;
}

static size_t merge(struct candidate *v, size_t cnt)
{
	size_t kept = 0;

	qsort(v, cnt, sizeof(*v), by_addr);
	for (size_t i = 0; i < cnt; i++) {
		if (!kept || v[kept - 1].addr != v[i].addr) {
			v[kept++] = v[i];
			continue;
		}
		v[kept - 1].share += v[i].share;
		v[kept - 1].direct = v[kept - 1].direct && v[i].direct;
		if (v[i].depth < v[kept - 1].depth)
			v[kept - 1].depth = v[i].depth;
	}
	return kept;
}

/* All places on the stacks so far; the caller frees it. */
static struct candidate *list_candidates(const struct milestone_choice *c, size_t *cnt)
{
	struct candidate *v = c->seen >= SEEN_MIN ? calloc(c->stacks.cnt * FRAMES_MAX + 1, sizeof(*v)) : NULL;

	*cnt = 0;
	for (size_t i = 0; v && i < c->stacks.cap; i++)
		if (c->stacks.slots[i].value)
			*cnt += add_frames(v + *cnt, c->stacks.slots[i].value, (double)c->seen);
	*cnt = v ? merge(v, *cnt) : 0;
	return v;
}

static bool was_tried(const struct milestone_choice *c, uint64_t addr)
{
	for (unsigned i = 0; i < c->tried_cnt; i++)
		if (c->tried[i] == addr)
			return true;
	return false;
}

/* Which is to be tried first: the highest; 0: it is not to be. */
static double worth(const struct candidate *c, double allocs, double wanted)
{
	double passes = c->share * allocs;

	if (c->direct && (passes > TOO_OFTEN * wanted || passes < RARELY))
		return 0;
	if (c->direct)
		return 2 + (passes < wanted ? passes / wanted : wanted / passes);
	return passes <= wanted ? 1 + passes / wanted : (double)c->depth / FRAMES_MAX;
}

bool milestone_choice_next(struct milestone_choice *c, double allocs, double wanted,
			   struct milestone_place *place)
{
	double most = 0, value;
	size_t cnt;
	struct candidate *v = c->tried_cnt < MILESTONE_TRIED_MAX ? list_candidates(c, &cnt) : NULL;

	for (size_t i = 0; v && i < cnt; i++) {
		value = was_tried(c, v[i].addr) ? 0 : worth(&v[i], allocs, wanted);
		if (value > most) {
			most = value;
			*place = (struct milestone_place){v[i].addr, v[i].direct ? v[i].share : 0};
		}
	}
	free(v);
	if (most > 0)
		milestone_choice_avoid(c, place->addr);
	return most > 0;
}

void milestone_choice_again(struct milestone_choice *c)
{
	c->tried_cnt = 0;
}

void milestone_choice_avoid(struct milestone_choice *c, uint64_t addr)
{
	if (c->tried_cnt < MILESTONE_TRIED_MAX)
		c->tried[c->tried_cnt++] = addr;
}
