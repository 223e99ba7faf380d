#include "report/perfetto.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/printable.h"
#include "heap/state.h"
#include "picture/history.h"
#include "report/budget_text.h"

#define SEQUENCE 1
#define TRACE_PACKET_TAG (1 << 3 | 2) /* Trace.packet: field 1, with a length */
#define VARINT_MAX 10

static int stream_error(void)
{
	return errno ? -errno : -EIO;
}

/* "Field 1, so many bytes", and where the packet begins: Trace is a sequence of these. */
static size_t put_length(uint8_t *bytes, size_t len)
{
	size_t used = 0;

	bytes[used++] = TRACE_PACKET_TAG;
	for (; len > 0x7f; len >>= 7)
		bytes[used++] = (uint8_t)(len & 0x7f) | 0x80;
	bytes[used++] = (uint8_t)len;
	return used;
}

void perfetto_put(struct perfetto *p, Perfetto__TracePacket *packet)
{
	size_t len, used;

	packet->trusted_packet_sequence_id = SEQUENCE;
	if (!packet->sequence_flags)
		packet->sequence_flags = PERFETTO__SEQUENCE_FLAGS__SEQ_NEEDS_INCREMENTAL_STATE;
	if (packet->timestamp)
		packet->timestamp_clock_id = PERFETTO__BUILTIN_CLOCK__BUILTIN_CLOCK_MONOTONIC;
	len = perfetto__trace_packet__get_packed_size(packet);
	if (!p->rc && p->size < len + VARINT_MAX + 1) {
		size_t size = 2 * (len + VARINT_MAX + 1);
		uint8_t *bytes = realloc(p->bytes, size);

		p->rc = bytes ? 0 : -ENOMEM;
		p->bytes = bytes ? bytes : p->bytes;
		p->size = bytes ? size : p->size;
	}
	if (p->rc)
		return;
	used = put_length(p->bytes, len);
	used += perfetto__trace_packet__pack(packet, p->bytes + used);
	errno = 0;
	if (fwrite(p->bytes, 1, used, p->out) != used)
		p->rc = stream_error();
}

void perfetto_put_event(struct perfetto *p, uint64_t time_ns, Perfetto__TrackEvent *event)
{
	Perfetto__TracePacket packet = PERFETTO__TRACE_PACKET__INIT;

	packet.timestamp = time_ns;
	packet.track_event = event;
	perfetto_put(p, &packet);
}

static uint64_t put_track(struct perfetto *p, Perfetto__TrackDescriptor *track)
{
	Perfetto__TracePacket packet = PERFETTO__TRACE_PACKET__INIT;

	track->uuid = ++p->tracks;
	packet.track_descriptor = track;
	perfetto_put(p, &packet);
	return track->uuid;
}

uint64_t perfetto_track(struct perfetto *p, const char *name, int rank, Perfetto__CounterDescriptor *counter)
{
	Perfetto__TrackDescriptor track = PERFETTO__TRACK_DESCRIPTOR__INIT;

	track.name = (char *)(uintptr_t)name;
	track.parent_uuid = p->process;
	track.sibling_order_rank = rank;
	track.counter = counter;
	return put_track(p, &track);
}

/* What time it is at the snapshot, by all clocks that are named. */
static void put_clocks(struct perfetto *p)
{
	const struct snapshot *s = p->s;
	const struct {
		uint32_t id;
		uint64_t ns;
	} rows[] = {
		{PERFETTO__BUILTIN_CLOCK__BUILTIN_CLOCK_MONOTONIC, s->time_ns},
		{PERFETTO__BUILTIN_CLOCK__BUILTIN_CLOCK_MONOTONIC_COARSE, s->time_ns},
		{PERFETTO__BUILTIN_CLOCK__BUILTIN_CLOCK_REALTIME, (uint64_t)(clock_epoch(s->time_ns) * 1e9)},
	};
	enum { CNT = sizeof(rows) / sizeof(rows[0]) };
	Perfetto__ClockSnapshot__Clock v[CNT], *clocks[CNT];
	Perfetto__ClockSnapshot snapshot = PERFETTO__CLOCK_SNAPSHOT__INIT;
	Perfetto__TracePacket packet = PERFETTO__TRACE_PACKET__INIT;

	for (size_t i = 0; i < CNT; i++) {
		perfetto__clock_snapshot__clock__init(&v[i]);
		v[i].clock_id = rows[i].id;
		v[i].timestamp = rows[i].ns;
		clocks[i] = &v[i];
	}
	snapshot.n_clocks = CNT;
	snapshot.clocks = clocks;
	snapshot.primary_trace_clock = PERFETTO__BUILTIN_CLOCK__BUILTIN_CLOCK_MONOTONIC;
	packet.clock_snapshot = &snapshot;
	packet.sequence_flags = PERFETTO__SEQUENCE_FLAGS__SEQ_INCREMENTAL_STATE_CLEARED;
	perfetto_put(p, &packet);
}

static void put_process(struct perfetto *p)
{
	Perfetto__TrackDescriptor track = PERFETTO__TRACK_DESCRIPTOR__INIT;
	Perfetto__ProcessDescriptor process = PERFETTO__PROCESS_DESCRIPTOR__INIT;
	char name[FRAME_TEXT_MAX + BUDGET_TEXT_MAX + 16], seen[BUDGET_TEXT_MAX];
	size_t used;

	printable(name, FRAME_TEXT_MAX, p->s->command ? p->s->command : "");
	used = strlen(name);
	if (p->s->allocs && p->s->allocs->budget.estimated)
		snprintf(name + used, sizeof(name) - used, ", estimates: %s",
			 budget_seen_text(seen, p->s->allocs));
	process.pid = p->pid;
	process.process_name = name;
	track.process = &process;
	track.child_ordering = PERFETTO__TRACK_DESCRIPTOR__CHILD_TRACKS_ORDERING__EXPLICIT;
	p->process = put_track(p, &track);
}

static const struct time_line {
	const char *name;
	size_t field;
} time_lines[] = {
	{"RSS", offsetof(struct history_point, rss)},
	{"resident", offsetof(struct history_point, resident)},
	{"live", offsetof(struct history_point, live)},
	{"live heap", offsetof(struct history_point, live_heap)},
	{"retained", offsetof(struct history_point, retained)},
	{"purgeable", offsetof(struct history_point, purgeable)},
	{"pinned", offsetof(struct history_point, pinned)},
	{"cgroup current", offsetof(struct history_point, cgroup_current)},
	{"cgroup limit", offsetof(struct history_point, cgroup_limit)},
};
enum { TIME_LINE_CNT = sizeof(time_lines) / sizeof(time_lines[0]) };

static uint64_t value_at(const struct history_point *point, const struct time_line *line)
{
	return *(const uint64_t *)((const char *)point + line->field);
}

/* A value holds until the next one. */
static void put_time_line(struct perfetto *p, const struct history_view *h, const struct time_line *line)
{
	Perfetto__CounterDescriptor counter = PERFETTO__COUNTER_DESCRIPTOR__INIT;
	uint64_t track = 0, last = UNKNOWN;

	counter.unit = PERFETTO__COUNTER_DESCRIPTOR__UNIT__UNIT_SIZE_BYTES;
	counter.y_axis_share_key = (char *)(uintptr_t) "memory";
	for (size_t i = 0; i < h->point_cnt; i++) {
		Perfetto__TrackEvent event = PERFETTO__TRACK_EVENT__INIT;
		uint64_t value = value_at(&h->points[i], line);

		if (value == UNKNOWN || (value == last && i + 1 < h->point_cnt))
			continue;
		if (!track)
			track = perfetto_track(p, line->name, (int)(line - time_lines), &counter);
		last = value;
		event.type = PERFETTO__TRACK_EVENT__TYPE__TYPE_COUNTER;
		event.track_uuid = track;
		event.counter_value_field_case = PERFETTO__TRACK_EVENT__COUNTER_VALUE_FIELD_COUNTER_VALUE;
		event.counter_value = (int64_t)value;
		perfetto_put_event(p, h->points[i].time_ns, &event);
	}
}

static void put_time_lines(struct perfetto *p)
{
	struct history_view history;

	if (!p->s->history)
		return;
	history_view(p->s->history, &history);
	for (size_t i = 0; i < TIME_LINE_CNT; i++)
		put_time_line(p, &history, &time_lines[i]);
}

/* Names change only here. */
static void want_names(const struct snapshot *s)
{
	for (size_t i = 0; s->allocs && i < s->allocs->site_cnt; i++)
		stack_want(s->names, s->allocs->sites[i].stack);
	for (size_t i = 0; i < s->purge_cnt; i++)
		stack_want(s->names, s->purges[i]->stack);
	for (size_t i = 0; i < s->churn_cnt; i++)
		stack_want(s->names, s->churn[i]->stack);
	names_wait(s->names);
}

int report_perfetto(FILE *out, const struct snapshot *s)
{
	struct perfetto p = {.out = out, .s = s, .pid = s->pid ? s->pid : PERFETTO_PID_OF_MANY};

	want_names(s);
	put_clocks(&p);
	put_process(&p);
	put_time_lines(&p);
	perfetto_put_events(&p);
	perfetto_put_heap(&p);
	perfetto_stacks_free(&p.stacks);
	free(p.bytes);
	errno = 0;
	if (!p.rc && fflush(out))
		p.rc = stream_error();
	return p.rc;
}
