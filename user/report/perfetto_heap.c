#include <errno.h>
#include <stdlib.h>

#include "report/perfetto.h"
#include "report/stack_steps.h"

#define SAMPLES_MAX 1000 /* a packet */

struct dump {
	struct perfetto *p;
	const char *heap;
	uint64_t index;             /* of the next packet */
	uint64_t start_ns, time_ns; /* of the dump */
	uint64_t packet_ns;         /* readers take packets by that */
	struct told {
		struct site_count allocated, freed;
	} * told; /* by row: its last sample */
	size_t cnt;
	Perfetto__ProfilePacket__HeapSample v[SAMPLES_MAX], *samples[SAMPLES_MAX];
};

/* What has come together; continued: not all of it. */
static void put_samples(struct dump *d, bool continued)
{
	Perfetto__ProfilePacket__ProcessHeapSamples dump =
		PERFETTO__PROFILE_PACKET__PROCESS_HEAP_SAMPLES__INIT;
	Perfetto__ProfilePacket__ProcessHeapSamples *dumps = &dump;
	Perfetto__ProfilePacket profile = PERFETTO__PROFILE_PACKET__INIT;
	Perfetto__TracePacket packet = PERFETTO__TRACE_PACKET__INIT;
	uint64_t sampled = d->p->s->allocs->sample_bytes;

	dump.pid = (uint64_t)d->p->pid;
	dump.heap_name = (char *)(uintptr_t)d->heap;
	dump.start_timestamp = d->start_ns;
	dump.timestamp = d->time_ns;
	dump.sampling_interval_bytes = dump.orig_sampling_interval_bytes = sampled ? sampled : 1;
	dump.n_samples = d->cnt;
	dump.samples = d->samples;
	profile.n_process_dumps = 1;
	profile.process_dumps = &dumps;
	profile.continued = continued;
	profile.index = d->index++;
	packet.timestamp = d->packet_ns;
	packet.profile_packet = &profile;
	perfetto_put(d->p, &packet);
	d->cnt = 0;
}

static Perfetto__ProfilePacket__HeapSample *next_sample(struct dump *d, const struct stack_row *row)
{
	Perfetto__ProfilePacket__HeapSample *sample;

	if (d->cnt == SAMPLES_MAX)
		put_samples(d, true);
	sample = &d->v[d->cnt];
	d->samples[d->cnt++] = sample;
	perfetto__profile_packet__heap_sample__init(sample);
	sample->callstack_id = row->number;
	return sample;
}

static uint64_t most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/*
 * Readers want sums that never fall, and subtract them for what is live. What is not live any more
 * counts as freed, also where its free was not seen; what is live again (of a process that has ended,
 * in the last step) as allocated once more.
 */
static void tell(uint64_t *allocated, uint64_t *freed, uint64_t now_allocated, uint64_t now_live)
{
	uint64_t all = most(most(*allocated, now_allocated), *freed + now_live);

	*allocated = all;
	*freed = all - now_live;
}

static void add_sample(struct dump *d, const struct stack_row *row, struct told *told)
{
	Perfetto__ProfilePacket__HeapSample *sample;

	if (!row->allocated.cnt) /* it has only freed */
		return;
	tell(&told->allocated.bytes, &told->freed.bytes, row->allocated.bytes, row->live.bytes);
	tell(&told->allocated.cnt, &told->freed.cnt, row->allocated.cnt, row->live.cnt);
	sample = next_sample(d, row);
	sample->self_allocated = told->allocated.bytes;
	sample->self_freed = told->freed.bytes;
	sample->alloc_count = told->allocated.cnt;
	sample->free_count = told->freed.cnt;
}

static void put_step(struct dump *d, const struct stack_steps *steps)
{
	d->time_ns = d->packet_ns = steps->end_ns;
	for (size_t i = 0; i < steps->changed_cnt; i++)
		add_sample(d, &steps->rows[steps->changed[i]], &d->told[steps->changed[i]]);
	if (d->cnt)
		put_samples(d, false);
	d->start_ns = steps->end_ns;
}

/* Behind all others: readers count on from the last sample of a stack, whatever heap it is of. */
static void put_peak(struct dump *d, const struct stack_steps *steps)
{
	const struct snapshot *s = d->p->s;

	d->heap = PERFETTO_PEAK_HEAP;
	d->start_ns = s->started_ns;
	d->time_ns = s->allocs->totals.peak_ns;
	d->packet_ns = s->time_ns + 1;
	for (size_t i = 0; i < steps->row_cnt; i++) {
		const struct stack_row *row = &steps->rows[i];
		Perfetto__ProfilePacket__HeapSample *sample;

		if (!row->peak.bytes)
			continue;
		sample = next_sample(d, row);
		sample->self_max = row->peak.bytes;
		sample->self_max_count = row->peak.cnt;
	}
	if (d->cnt)
		put_samples(d, false);
}

static int number_stack(void *form, const struct stack *stack, uint32_t *number)
{
	return perfetto_stack(form, stack, number);
}

static void put_dumps(struct perfetto *p, struct stack_steps *steps)
{
	struct dump *d = calloc(1, sizeof(*d));
	struct told *told = calloc(steps->row_cnt ? steps->row_cnt : 1, sizeof(*told));

	if (!d || !told) {
		p->rc = -ENOMEM;
		free(told);
		free(d);
		return;
	}
	d->p = p;
	d->told = told;
	d->heap = PERFETTO_HEAP;
	d->start_ns = p->s->started_ns;
	while (stack_steps_next(steps))
		put_step(d, steps);
	if (p->s->allocs->totals.peak_ns)
		put_peak(d, steps);
	free(told);
	free(d);
}

void perfetto_put_heap(struct perfetto *p)
{
	struct stack_steps steps;
	int rc;

	if (!p->s->allocs || p->rc)
		return;
	rc = stack_steps_begin(&steps, p->s, number_stack, p);
	if (rc)
		p->rc = rc;
	else
		put_dumps(p, &steps);
	stack_steps_free(&steps);
}
