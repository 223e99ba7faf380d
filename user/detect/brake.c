#include "detect/brake.h"

#define SPAN_NS BRAKE_AFTER_NS /* that the share is taken over */
#define RING_CNT (sizeof(((struct brake *)0)->ring) / sizeof(((struct brake *)0)->ring[0]))

void brake_init(struct brake *brake, double max_share)
{
	*brake = (struct brake){.max_share = max_share, .share = -1};
}

/* The newest sample that is SPAN_NS old, or the oldest there is. */
static unsigned reference(const struct brake *b, uint64_t time_ns)
{
	unsigned found = (b->next + RING_CNT - b->cnt) % RING_CNT;

	for (unsigned i = 0; i < b->cnt; i++) {
		unsigned at = (b->next + RING_CNT - b->cnt + i) % RING_CNT;

		if (b->ring[at].time_ns + SPAN_NS <= time_ns)
			found = at;
	}
	return found;
}

static void keep(struct brake *b, uint64_t time_ns, uint64_t probe_ns, uint64_t target_ns)
{
	b->ring[b->next].time_ns = time_ns;
	b->ring[b->next].probe_ns = probe_ns;
	b->ring[b->next].target_ns = target_ns;
	b->next = (b->next + 1) % RING_CNT;
	if (b->cnt < RING_CNT)
		b->cnt++;
}

bool brake_is_due(const struct brake *b, uint64_t time_ns)
{
	unsigned last = (b->next + RING_CNT - 1) % RING_CNT;

	return !b->cnt || time_ns - b->ring[last].time_ns >= SPAN_NS / (RING_CNT - 2);
}

static bool went_back(const struct brake *b, uint64_t probe_ns, uint64_t target_ns)
{
	unsigned last = (b->next + RING_CNT - 1) % RING_CNT;

	return b->cnt && (probe_ns < b->ring[last].probe_ns || target_ns < b->ring[last].target_ns);
}

static double share(uint64_t probe, uint64_t target)
{
	if (!target)
		return probe ? 1 : 0;
	return (double)probe / (double)target;
}

bool brake_sample(struct brake *b, uint64_t time_ns, uint64_t probe_ns, uint64_t target_ns)
{
	unsigned from;

	if (went_back(b, probe_ns, target_ns)) {
		b->cnt = 0;
		b->over_since = 0;
	}
	if (!brake_is_due(b, time_ns))
		return false;
	if (b->cnt) {
		from = reference(b, time_ns);
		b->share = share(probe_ns - b->ring[from].probe_ns, target_ns - b->ring[from].target_ns);
		if (b->share <= b->max_share || !b->max_share)
			b->over_since = 0;
		else if (!b->over_since)
			b->over_since = b->ring[from].time_ns;
	}
	keep(b, time_ns, probe_ns, target_ns);
	if (b->tripped || !b->over_since || time_ns - b->over_since < BRAKE_AFTER_NS)
		return false;
	b->tripped = true;
	b->tripped_at = b->share;
	return true;
}
