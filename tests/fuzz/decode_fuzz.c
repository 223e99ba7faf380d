/* Records of whatever bytes, through the decoder into the detectors that keep what they say. */
#include <stdlib.h>
#include <string.h>

#include "detect/churn.h"
#include "detect/purge.h"
#include "detect/returned.h"
#include "event/source.h"

static struct location caller;
static const struct allocator glibc = { .name = "glibc" };

struct detectors {
	struct churn_log *churn;
	struct purge_log *purges;
	struct returned returned;
};

static void detect(struct detectors *d, const struct event *ev)
{
	switch (ev->head->kind) {
	case EVENT_PURGE:
		purge_log_add(d->purges, ev->purge, "malloc_trim", &glibc, true, NULL, &caller);
		break;
	case EVENT_DLOPEN:
		churn_log_open(d->churn, ev->dlopen, &caller);
		break;
	case EVENT_DLCLOSE:
		churn_log_close(d->churn, ev->dlclose, &caller);
		break;
	case EVENT_MEMORY:
		returned_add(&d->returned, ev->memory, ev->head->tid & 1);
		break;
	}
}

static const size_t sizes[EVENT_KIND_CNT] = {
	[EVENT_PURGE_BEGIN] = sizeof(struct event_purge_begin), [EVENT_PURGE] = sizeof(struct event_purge),
	[EVENT_DLOPEN] = sizeof(struct event_dlopen), [EVENT_DLCLOSE] = sizeof(struct event_dlclose),
	[EVENT_MEMORY] = sizeof(struct event_memory), [EVENT_LOADED] = sizeof(struct event_head),
	[EVENT_FORK] = sizeof(struct event_fork), [EVENT_EXEC] = sizeof(struct event_exec),
	[EVENT_OOM] = sizeof(struct event_head),  [EVENT_EXIT] = sizeof(struct event_exit),
};

/*
 * The input is a row of records: a kind, how many of the bytes that follow are its contents (the
 * rest is zero), and by how much its size is wrong. Returns the bytes consumed.
 */
static size_t take_record(const uint8_t *data, size_t size, uint64_t record[128], size_t *len)
{
	uint32_t kind = data[0] % (EVENT_KIND_CNT + 1);
	size_t contents = data[1] < size - 3 ? data[1] : size - 3;

	memset(record, 0, 128 * sizeof(*record));
	memcpy(record, &kind, sizeof(kind));
	memcpy((char *)record + sizeof(kind), data + 3, contents);
	*len = (kind < EVENT_KIND_CNT ? sizes[kind] : 64) + (data[2] > 240 ? data[2] - 248 : 0);
	return 3 + contents;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct detectors d = { .churn = churn_log_new(20), .purges = purge_log_new() };
	const struct churn_finding *const *rows;
	uint64_t record[128];
	struct event ev;
	size_t len;

	while (size > 3) {
		size_t taken = take_record(data, size, record, &len);

		data += taken;
		size -= taken;
		if (!event_decode(record, len, &ev))
			detect(&d, &ev);
	}
	for (size_t i = churn_log_view(d.churn, &rows); i > 0; i--) {
		if (rows[i - 1]->opens != rows[i - 1]->repeats + rows[i - 1]->new_mappings + rows[i - 1]->failures)
			abort();
	}
	churn_log_free(d.churn);
	purge_log_free(d.purges);
	return 0;
}
