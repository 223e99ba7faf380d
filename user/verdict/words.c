#include "verdict/words.h"

#include <inttypes.h>

#include "base/units.h"

const struct heap_allocator *verdict_serving(const struct snapshot *s)
{
	const struct heap_allocator *best = NULL;

	for (size_t i = 0; i < s->heap->allocator_cnt; i++) {
		const struct heap_allocator *a = &s->heap->allocators[i];

		if (a->serving && (!best || (a->resident != UNKNOWN && a->resident > best->resident)))
			best = a;
	}
	return best;
}

const char *verdict_purge_call(const struct snapshot *s)
{
	const struct heap_allocator *a = verdict_serving(s);

	return a ? a->kind->purge_call : NULL;
}

const char *verdict_purge_argument(const struct purge_finding *p, char buf[VERDICT_ARGUMENT_MAX])
{
	static const char *const names[CONTROL_CNT] = {
		[CONTROL_PURGE] = "purge",
		[CONTROL_DECAY] = "decay",
		[CONTROL_RESET] = "reset",
		[CONTROL_DESTROY] = "destroy",
	};

	if (!names[p->control])
		return NULL;
	snprintf(buf, VERDICT_ARGUMENT_MAX, "arena.%" PRIu64 ".%s", p->arena, names[p->control]);
	return buf;
}

const char *verdict_name(const struct heap_allocator *a, char *buf, size_t len)
{
	snprintf(buf, len, "%s%s%s", a->kind->name, a->version[0] ? " " : "", a->version);
	return buf;
}

double verdict_state_age(const struct snapshot *s)
{
	uint64_t taken = s->heap->taken_ns;

	return s->time_ns > taken ? (double)(s->time_ns - taken) / 1e9 : 0;
}

const char *verdict_sentence(const struct snapshot *s, char buf[VERDICT_MAX])
{
	const struct heap_allocator *a = verdict_serving(s);
	char name[48], resident[UNITS_TEXT_MAX];

	if (!s->heap->taken_ns)
		snprintf(buf, VERDICT_MAX, "the heap has not been read yet");
	else if (!a)
		snprintf(buf, VERDICT_MAX, "no allocator that we know serves this process");
	else if (a->walked)
		heap_walk_sentence(&a->walk, a->kind->purge_call, buf, VERDICT_MAX);
	else if (a->resident == UNKNOWN)
		snprintf(buf, VERDICT_MAX, "%s serves this process; its heap could not be read",
			 verdict_name(a, name, sizeof(name)));
	else
		snprintf(buf, VERDICT_MAX,
			 "%s serves this process and has up to %s resident; how much of that is "
			 "free is not known, since its heap cannot be walked",
			 verdict_name(a, name, sizeof(name)), units_bytes(resident, a->resident));
	return buf;
}

/* The layer that keeps most, if that is worth a line. */
static const struct heap_allocator *find_layer(const struct snapshot *s)
{
	const struct heap_allocator *most = NULL;
	uint64_t all = s->heap->retained == UNKNOWN ? 0 : s->heap->retained;

	for (size_t i = 0; i < s->heap->allocator_cnt; i++) {
		const struct heap_allocator *a = &s->heap->allocators[i];

		if (heap_is_layer(a) && (!most || a->retained > most->retained))
			most = a;
	}
	return most && most->retained >= MIB && most->retained >= all / 10 ? most : NULL;
}

const char *verdict_layer_keeps(const struct heap_allocator *a, char buf[VERDICT_MAX])
{
	char name[48], retained[UNITS_TEXT_MAX], bytes[UNITS_TEXT_MAX], live[UNITS_TEXT_MAX],
		kept[UNITS_TEXT_MAX], size[UNITS_TEXT_MAX + 8] = "", sparse[128] = "";
	const struct heap_ranges *r = &a->ranges;

	if (r->size)
		snprintf(size, sizeof(size), " of %s", units_bytes(bytes, r->size));
	if (r->sparse)
		snprintf(sparse, sizeof(sparse), "; %s live in %" PRIu64 " of them hold %s back",
			 units_bytes(live, r->sparse_live), r->sparse, units_bytes(kept, r->sparse_retained));
	snprintf(buf, VERDICT_MAX,
		 "%s keeps %s free in %" PRIu64 " %s%s, which go back only as a whole%s. Neither "
		 "malloc_trim nor mi_collect returns it",
		 verdict_name(a, name, sizeof(name)), units_bytes(retained, a->retained), r->cnt, r->name,
		 size, sparse);
	return buf;
}

const char *verdict_layer(const struct snapshot *s, char buf[VERDICT_MAX])
{
	const struct heap_allocator *a = s->heap->taken_ns ? find_layer(s) : NULL;
	char keeps[VERDICT_MAX];

	if (!a)
		return NULL;
	snprintf(buf, VERDICT_MAX, "%s; what helps: %s", verdict_layer_keeps(a, keeps), a->kind->remedy);
	return buf;
}
