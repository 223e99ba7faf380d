#include "heap/sites.h"

#include <stdlib.h>

#include "base/map.h"

struct sites {
	struct site *v;
	uint32_t cnt, cap;
	struct map numbers; /* stack → number, as a pointer */
};

struct sites *sites_new(void)
{
	struct sites *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->v = calloc(64, sizeof(*s->v));
	if (!s->v) {
		free(s);
		return NULL;
	}
	s->cap = 64;
	s->cnt = 1;
	return s;
}

void sites_free(struct sites *s)
{
	if (!s)
		return;
	map_free(&s->numbers);
	free(s->v);
	free(s);
}

static uint32_t add(struct sites *s, uint64_t stack)
{
	if (s->cnt == SITES_MAX)
		return 0;
	if (s->cnt == s->cap) {
		struct site *v = realloc(s->v, 2 * s->cap * sizeof(*v));

		if (!v)
			return 0;
		s->v = v;
		s->cap *= 2;
	}
	if (map_set(&s->numbers, stack, (void *)(uintptr_t)s->cnt)) /* NOLINT(performance-no-int-to-ptr) */
		return 0;
	s->v[s->cnt] = (struct site){.stack = stack};
	return s->cnt++;
}

uint32_t sites_get(struct sites *s, uint64_t stack)
{
	uint32_t number = stack ? (uint32_t)(uintptr_t)map_get(&s->numbers, stack) : 0;

	return number || !stack ? number : add(s, stack);
}

uint32_t sites_cnt(const struct sites *s)
{
	return s->cnt;
}

struct site *sites_at(struct sites *s, uint32_t number)
{
	return &s->v[number];
}
