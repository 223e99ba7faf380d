#include "screen/sparkline.h"

#include <stdlib.h>
#include <string.h>

#define POINTS 4096
#define CARRIED_MAX 2 /* columns that a reading fills which came a little late */

struct point {
	uint64_t time_ns, value;
};

struct series {
	struct point points[POINTS]; /* a ring */
	size_t cnt;                  /* ever */
};

struct series *series_new(void)
{
	return calloc(1, sizeof(struct series));
}

void series_free(struct series *s)
{
	free(s);
}

void series_add(struct series *s, uint64_t time_ns, uint64_t value)
{
	if (value != UNKNOWN)
		s->points[s->cnt++ % POINTS] = (struct point){time_ns, value};
}

uint64_t sparkline_step(size_t cnt, uint64_t watched_ns, uint64_t interval_ns)
{
	uint64_t span = watched_ns < SPARKLINE_SPAN_FIRST_NS ? SPARKLINE_SPAN_FIRST_NS : SPARKLINE_SPAN_NS;
	uint64_t step = span / (cnt ? cnt : 1);

	return step > interval_ns ? step : interval_ns;
}

/* A column between two readings had none because they are not to the tick: it shows the one before. */
static void carry(uint64_t *values, size_t cnt)
{
	size_t last = 0;
	bool any = false;

	for (size_t i = 0; i < cnt; i++) {
		if (values[i] == UNKNOWN)
			continue;
		for (size_t j = last + 1; any && i - last <= CARRIED_MAX + 1 && j < i; j++)
			values[j] = values[last];
		last = i;
		any = true;
	}
}

void series_columns(const struct series *s, uint64_t now_ns, uint64_t step_ns, uint64_t *values, size_t cnt)
{
	uint64_t now = now_ns / step_ns;

	for (size_t i = 0; i < cnt; i++)
		values[i] = UNKNOWN;
	for (size_t i = s->cnt > POINTS ? s->cnt - POINTS : 0; i < s->cnt; i++) {
		const struct point *p = &s->points[i % POINTS];
		uint64_t column = p->time_ns / step_ns, *value;

		if (column > now || now - column >= cnt)
			continue;
		value = &values[cnt - 1 - (size_t)(now - column)];
		if (*value == UNKNOWN || p->value > *value)
			*value = p->value;
	}
	carry(values, cnt);
}

uint64_t sparkline_text(char buf[SPARKLINE_TEXT_MAX], const uint64_t *values, size_t cnt)
{
	static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	uint64_t max = UNKNOWN;
	size_t used = 0;

	for (size_t i = 0; i < cnt; i++)
		if (values[i] != UNKNOWN && (max == UNKNOWN || values[i] > max))
			max = values[i];
	for (size_t i = 0; i < cnt && i < SPARKLINE_MAX; i++) {
		double share = max && max != UNKNOWN ? (double)values[i] / (double)max : 0;
		const char *block = values[i] == UNKNOWN ? " " : blocks[share >= 1 ? 7 : (int)(share * 8)];

		memcpy(buf + used, block, strlen(block));
		used += strlen(block);
	}
	buf[used] = '\0';
	return max;
}
