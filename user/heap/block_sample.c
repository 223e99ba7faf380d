#include "heap/block_sample.h"

#include <stdlib.h>

static bool is_below(uint64_t addr, unsigned halvings)
{
	uint64_t hash = addr * 0x9e3779b97f4a7c15ULL;

	hash = (hash ^ hash >> 29) * 0xbf58476d1ce4e5b9ULL;
	return !halvings || hash >> (64 - halvings) == 0;
}

void block_sample_free(struct block_sample *s)
{
	free(s->v);
	*s = (struct block_sample){.v = NULL};
}

static void halve(struct block_sample *s)
{
	size_t cnt = 0;

	s->halvings++;
	for (size_t i = 0; i < s->cnt; i++)
		if (is_below(s->v[i].addr, s->halvings))
			s->v[cnt++] = s->v[i];
	s->cnt = cnt;
}

void block_sample_add(struct block_sample *s, uint64_t addr, uint64_t size)
{
	if (!is_below(addr, s->halvings))
		return;
	if (!s->v)
		s->v = malloc(BLOCK_SAMPLE_MAX * sizeof(*s->v));
	if (!s->v)
		return;
	while (s->cnt == BLOCK_SAMPLE_MAX && s->halvings < 63)
		halve(s);
	if (s->cnt < BLOCK_SAMPLE_MAX && is_below(addr, s->halvings))
		s->v[s->cnt++] = (struct sampled_block){.addr = addr, .size = size};
}

static int by_address(const void *x, const void *y)
{
	uint64_t a = ((const struct sampled_block *)x)->addr, b = ((const struct sampled_block *)y)->addr;

	return (a > b) - (a < b);
}

void block_sample_finish(struct block_sample *s, bool (*is_there)(const void *arg, uint64_t addr),
			 const void *arg)
{
	size_t cnt = 0;

	if (s->cnt)
		qsort(s->v, s->cnt, sizeof(*s->v), by_address);
	for (size_t i = 0; i < s->cnt; i++) {
		if (cnt && s->v[cnt - 1].addr == s->v[i].addr)
			s->v[cnt - 1] = s->v[i];
		else if (is_there(arg, s->v[i].addr))
			s->v[cnt++] = s->v[i];
	}
	s->cnt = cnt;
}
