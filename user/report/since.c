#include "report/since.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "picture/snapshot.h"

struct row {
	uint64_t taken[SINCE_SUMS_MAX], put[SINCE_SUMS_MAX];
};

struct since {
	struct map rows; /* id of a stack → struct row */
	struct row no_stack;
	uint64_t taken_ns, put_ns;
};

struct since *since_new(void)
{
	return calloc(1, sizeof(struct since));
}

void since_free(struct since *since)
{
	if (!since)
		return;
	for (size_t i = 0; i < since->rows.cap; i++)
		free(since->rows.slots[i].value);
	map_free(&since->rows);
	free(since);
}

uint64_t since_from_ns(const struct since *since)
{
	return since->taken_ns;
}

void since_begin(struct since *since, uint64_t now_ns)
{
	since->put_ns = now_ns;
}

static struct row *row_of(struct since *since, const struct stack *stack)
{
	struct row *row;

	if (!stack)
		return &since->no_stack;
	row = map_get(&since->rows, stack->id);
	if (row)
		return row;
	row = calloc(1, sizeof(*row));
	if (row && !map_set(&since->rows, stack->id, row))
		return row;
	free(row);
	return NULL;
}

/* Sums may shrink where a process has left those of many: then nothing is new. */
int since_take(struct since *since, const struct site_view *site, uint64_t *sums, unsigned cnt)
{
	struct row *row = row_of(since, site->stack);

	if (!row)
		return -ENOMEM;
	for (unsigned i = 0; i < cnt && i < SINCE_SUMS_MAX; i++) {
		row->put[i] = sums[i];
		sums[i] = sums[i] > row->taken[i] ? sums[i] - row->taken[i] : 0;
	}
	return 0;
}

static void settle_row(struct row *row)
{
	memcpy(row->taken, row->put, sizeof(row->taken));
}

void since_settle(struct since *since, bool taken)
{
	if (!taken)
		return;
	since->taken_ns = since->put_ns;
	settle_row(&since->no_stack);
	for (size_t i = 0; i < since->rows.cap; i++)
		if (since->rows.slots[i].value)
			settle_row(since->rows.slots[i].value);
}
