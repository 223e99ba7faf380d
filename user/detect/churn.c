#include "detect/churn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"

#define HANDLES_MAX 65536 /* handles open at once; the closes of further ones are charged by name */

struct row {
	struct churn_finding f;
	struct row *same_hash; /* further rows whose names have the same hash */
};

/* Which row opened a handle last, and how many of its opens were seen and not yet closed. */
struct handle {
	struct row *row;
	uint64_t opens;
};

struct churn_log {
	uint64_t flag_min;
	struct map rows;    /* hash of library and stack → struct row */
	struct map handles; /* handle → struct handle */
	const struct churn_finding **order; /* every row, sorted when looked at */
	size_t cnt, cap;
	bool sorted;
	struct row *others; /* once there are CHURN_ROWS_MAX rows */
};

struct churn_log *churn_log_new(uint64_t flag_min)
{
	struct churn_log *log = calloc(1, sizeof(*log));

	if (log)
		log->flag_min = flag_min;
	return log;
}

static void row_free(struct row *row)
{
	if (!row)
		return;
	free(row->f.library);
	free(row);
}

void churn_log_free(struct churn_log *log)
{
	if (!log)
		return;
	for (size_t i = 0; i < log->cnt; i++) /* f is the first member: the finding's address is its row's */
		row_free((struct row *)log->order[i]);
	for (size_t i = 0; i < log->handles.cap; i++)
		free(log->handles.slots[i].value);
	map_free(&log->handles);
	map_free(&log->rows);
	free(log->order);
	free(log);
}

static struct row *row_new(const char *library, const struct stack *stack)
{
	struct row *row = calloc(1, sizeof(*row));

	if (!row)
		return NULL;
	row->f.library = strdup(library);
	row->f.stack = stack;
	if (row->f.library)
		return row;
	row_free(row);
	return NULL;
}

static int order_reserve(struct churn_log *log)
{
	size_t cap = log->cap ? log->cap * 2 : 64;
	const struct churn_finding **order;

	if (log->cnt < log->cap)
		return 0;
	order = realloc(log->order, cap * sizeof(*order));
	if (!order)
		return -ENOMEM;
	log->order = order;
	log->cap = cap;
	return 0;
}

static struct row *row_add(struct churn_log *log, uint64_t hash, const char *library, const struct stack *stack)
{
	struct row *row;

	if (order_reserve(log))
		return NULL;
	row = row_new(library, stack);
	if (!row)
		return NULL;
	row->same_hash = map_get(&log->rows, hash);
	if (map_set(&log->rows, hash, row)) {
		row_free(row);
		return NULL;
	}
	log->order[log->cnt++] = &row->f;
	return row;
}

/* The row of library and stack, made if it is new; NULL: no memory. */
static struct row *row_of(struct churn_log *log, const char *library, const struct stack *stack)
{
	uint64_t hash = map_hash(0, library) ^ (uint64_t)(uintptr_t)stack;
	struct row *row = map_get(&log->rows, hash);

	for (; row; row = row->same_hash) {
		if (!strcmp(row->f.library, library) && row->f.stack == stack)
			return row;
	}
	if (log->others)
		return log->others;
	if (log->cnt < CHURN_ROWS_MAX - 1)
		return row_add(log, hash, library, stack);
	log->others = row_add(log, map_hash(0, "(others)"), "(others)", NULL);
	return log->others;
}

/* The loaded name where the loader gave one (the main program's is empty), else what was asked for. */
static const char *library_of(const char *name, const char *path)
{
	if (*name)
		return name;
	return *path ? path : "(main program)";
}

/* Remembers that row opened the handle. A full table is no failure: the close goes by its name then. */
static int handle_open(struct churn_log *log, uint64_t key, struct row *row)
{
	struct handle *h = map_get(&log->handles, key);

	if (!h) {
		if (log->handles.cnt >= HANDLES_MAX)
			return 0;
		h = calloc(1, sizeof(*h));
		if (!h)
			return -ENOMEM;
		if (map_set(&log->handles, key, h)) {
			free(h);
			return -ENOMEM;
		}
	}
	h->row = row;
	h->opens++;
	return 0;
}

/* The row to charge a close to, or NULL if no open of the handle was seen. */
static struct row *handle_close(struct churn_log *log, uint64_t key)
{
	struct handle *h = map_get(&log->handles, key);
	struct row *row;

	if (!h)
		return NULL;
	row = h->row;
	if (--h->opens == 0)
		free(map_remove(&log->handles, key));
	return row;
}

/* A record may say anything: sums that make no sense wrap. */
static int64_t sum(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}

static void charge(struct churn_log *log, struct row *row, const struct event_head *head, uint64_t duration,
		   int64_t maps_grown)
{
	uint64_t end = head->time + duration;

	row->f.ns += duration;
	row->f.maps_grown = sum(row->f.maps_grown, maps_grown);
	if (end > row->f.changed_ns)
		row->f.changed_ns = end;
	row->f.flagged = row->f.repeats + row->f.failures >= log->flag_min;
	log->sorted = false;
}

int churn_log_open(struct churn_log *log, const struct event_dlopen *ev, const struct stack *stack)
{
	struct row *row = row_of(log, library_of(ev->name, ev->path), stack);

	if (!row)
		return -ENOMEM;
	row->f.opens++;
	if (!ev->handle)
		row->f.failures++;
	else if (ev->new_mapping)
		row->f.new_mappings++;
	else
		row->f.repeats++;
	row->f.heap_grown = sum(row->f.heap_grown, ev->heap_grown);
	charge(log, row, &ev->head, ev->duration, ev->maps_grown);
	return ev->handle ? handle_open(log, ev->handle, row) : 0;
}

int churn_log_close(struct churn_log *log, const struct event_dlclose *ev, const struct stack *stack)
{
	struct row *row = handle_close(log, ev->handle);

	if (!row)
		row = row_of(log, library_of(ev->name, ""), stack);
	if (!row)
		return -ENOMEM;
	row->f.closes++;
	charge(log, row, &ev->head, ev->duration, ev->maps_grown);
	return 0;
}

static int most_opens_first(const void *a, const void *b)
{
	const struct churn_finding *x = *(const struct churn_finding *const *)a;
	const struct churn_finding *y = *(const struct churn_finding *const *)b;
	int by_library;

	if (x->opens != y->opens)
		return x->opens > y->opens ? -1 : 1;
	by_library = strcmp(x->library, y->library);
	if (by_library || !x->stack || !y->stack)
		return by_library ? by_library : (x->stack != NULL) - (y->stack != NULL);
	return x->stack->id < y->stack->id ? -1 : x->stack->id > y->stack->id;
}

size_t churn_log_view(struct churn_log *log, const struct churn_finding *const **view)
{
	if (!log->sorted && log->cnt)
		qsort(log->order, log->cnt, sizeof(*log->order), most_opens_first);
	log->sorted = true;
	*view = log->order;
	return log->cnt;
}
