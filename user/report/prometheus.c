#include "report/prometheus.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/printable.h"

#define LABELS_MAX 2560 /* of one sample, escaped */

/* What a row's offset is into, and so which labels its samples have. */
enum source {
	OF_WATCH,      /* struct picture */
	OF_CGROUP,     /* struct cgroup_view */
	OF_PROCESS,    /* struct snapshot */
	OF_HEAP,       /* struct heap_state */
	OF_ALLOCATOR,  /* struct heap_allocator, each that is known something of */
	OF_OWN_RETURN, /* struct own_return, each */
	OF_ALLOCS,     /* struct allocation_view */
	OF_OBJECTS,    /* struct objects_view */
	OF_COLLECTOR,  /* struct collector_runs, a generation each */
	OF_LOSSES,     /* by cause */
};

enum unit {
	AS_IT_IS, /* bytes, a count */
	SECONDS,  /* from nanoseconds */
	MOMENT,   /* CLOCK_MONOTONIC, 0: never */
};

/* Samples of rows that have one name follow each other, and are one metric. */
struct row {
	const char *name; /* behind "alloctrace_"; ends with _total in a counter */
	const char *help;
	const char *label; /* beside those of the source; NULL: none */
	enum source source;
	enum unit unit;
	size_t offset;
	double (*value)(
		const struct snapshot *s); /* of OF_PROCESS, in place of offset; negative: not known */
};

#define WATCH(member) OF_WATCH, AS_IT_IS, offsetof(struct picture, member), NULL
#define CGROUP(member) OF_CGROUP, AS_IT_IS, offsetof(struct cgroup_view, member), NULL
#define PROCESS(member) OF_PROCESS, AS_IT_IS, offsetof(struct snapshot, member), NULL
#define HEAP(member) OF_HEAP, AS_IT_IS, offsetof(struct heap_state, member), NULL
#define ALLOCATOR(member) OF_ALLOCATOR, AS_IT_IS, offsetof(struct heap_allocator, member), NULL
#define OWN_RETURN(member) OF_OWN_RETURN, AS_IT_IS, offsetof(struct own_return, member), NULL
#define ALLOCS(member) OF_ALLOCS, AS_IT_IS, offsetof(struct allocation_view, member), NULL
#define OBJECTS(member) OF_OBJECTS, AS_IT_IS, offsetof(struct objects_view, member), NULL
#define COLLECTOR(member) OF_COLLECTOR, AS_IT_IS, offsetof(struct collector_runs, member), NULL
#define VALUE(function) OF_PROCESS, AS_IT_IS, 0, function

static double open_windows(const struct snapshot *s)
{
	unsigned cnt = 0;

	for (size_t i = 0; i < s->window_cnt; i++)
		cnt += !s->windows[i].end_ns;
	return cnt;
}

static double window_start(const struct snapshot *s)
{
	for (size_t i = 0; i < s->window_cnt; i++)
		if (!s->windows[i].end_ns)
			return clock_epoch(s->windows[i].start_ns);
	return -1;
}

/* Of the allocation probes; negative, and so absent, without them. */
static double probe_share(const struct snapshot *s)
{
	return s->allocs ? s->allocs->budget.probe_share : -1;
}

static double tracer_share(const struct snapshot *s)
{
	return s->allocs ? s->allocs->budget.tracer_share : -1;
}

static double max_overhead(const struct snapshot *s)
{
	return s->allocs && s->allocs->budget.max_overhead > 0 ? s->allocs->budget.max_overhead : -1;
}

static double duty(const struct snapshot *s)
{
	return s->allocs ? s->allocs->budget.duty_now : -1;
}

static double estimated(const struct snapshot *s)
{
	return s->allocs ? s->allocs->budget.estimated : -1;
}

static double objects_duty(const struct snapshot *s)
{
	return s->allocs && s->allocs->objects ? s->allocs->objects->duty : -1;
}

static double error_of_sites(const struct snapshot *s)
{
	return s->allocs && s->allocs->budget.estimated ? s->allocs->budget.error : -1;
}

/* clang-format off */
static const struct row rows[] = {
	{"start_time_seconds", "When the watch began, since the epoch.", NULL,
	 OF_WATCH, MOMENT, offsetof(struct picture, started_ns), NULL},
	{"processes", "Processes watched now.", NULL, WATCH(living)},
	{"processes_ended_total", "Processes that were watched and have ended.", NULL, WATCH(went)},
	{"processes_left_out_total", "Processes that were to be watched and are not, for want of room.", NULL, WATCH(left_out)},
	{"processes_missed_total", "Children that had ended before they could be looked at.", NULL, WATCH(too_short)},
	{"lost_events_total", "Losses since the start, by cause: figures that rest on events may be incomplete.", NULL,
	 OF_LOSSES, AS_IT_IS, 0, NULL},

	{"cgroup_memory_bytes", "memory.current of the cgroup.", NULL, CGROUP(memory.current)},
	{"cgroup_swap_bytes", "memory.swap.current of the cgroup.", NULL, CGROUP(memory.swap_current)},
	{"cgroup_memory_high_bytes", "The smallest memory.high from the cgroup up; absent without one.", NULL,
	 CGROUP(memory.effective_high.bytes)},
	{"cgroup_memory_max_bytes", "The smallest memory.max from the cgroup up; absent without one.", NULL,
	 CGROUP(memory.effective_max.bytes)},
	{"cgroup_events_total", "Entries of memory.events since the attach.", "event=\"high\"", CGROUP(high_events)},
	{"cgroup_events_total", NULL, "event=\"max\"", CGROUP(max_events)},
	{"cgroup_events_total", NULL, "event=\"oom_kill\"", CGROUP(oom_kills)},

	{"rss_bytes", "Resident set size.", NULL, PROCESS(rss)},
	{"shmem_bytes", "Shared memory in the resident set.", NULL, PROCESS(shmem)},
	{"swap_bytes", "Swapped out.", NULL, PROCESS(swap)},
	{"lazy_free_bytes", "In the resident set and given back by MADV_FREE: the kernel takes it when it needs it.", NULL,
	 PROCESS(lazy_free)},
	{"heap_read_timestamp_seconds", "When the heap was last read, since the epoch.", NULL,
	 OF_HEAP, MOMENT, offsetof(struct heap_state, taken_ns), NULL},
	{"held_bytes", "Address space that the allocators have from the kernel.", NULL, HEAP(held)},
	{"resident_bytes", "The part of held in RAM.", NULL, HEAP(resident)},
	{"live_heap_bytes", "In blocks that are allocated, as the allocators round them.", NULL, HEAP(live_heap)},
	{"retained_bytes", "Resident and in no live block: freed, not returned.", NULL, HEAP(retained)},
	{"purgeable_bytes", "The part of retained that a purge would return now.", NULL, HEAP(purgeable)},
	{"pinned_bytes", "The part of retained that no purge returns.", NULL, HEAP(pinned)},

	{"allocator_held_bytes", "Held, by allocator.", NULL, ALLOCATOR(held)},
	{"allocator_resident_bytes", "Resident, by allocator.", NULL, ALLOCATOR(resident)},
	{"allocator_live_heap_bytes", "Live, by allocator.", NULL, ALLOCATOR(live_heap)},
	{"allocator_retained_bytes", "Retained, by allocator.", NULL, ALLOCATOR(retained)},
	{"allocator_purgeable_bytes", "Purgeable, by allocator.", NULL, ALLOCATOR(purgeable)},
	{"allocator_pinned_bytes", "Pinned, by allocator.", NULL, ALLOCATOR(pinned)},
	{"allocator_returned_bytes_total", "What an allocator returned by itself, outside of purges.", NULL, OWN_RETURN(bytes)},

	{"window_open", "Missing-purge windows that are open: 0 or 1.", NULL, VALUE(open_windows)},
	{"window_start_timestamp_seconds", "Since when the open one is, since the epoch; absent without.", NULL, VALUE(window_start)},
	{"windows_total", "Missing-purge windows, an open one included.", NULL, PROCESS(totals.windows)},
	{"purges_total", "Purges that the program called.", NULL, PROCESS(purges_total)},
	{"effective_purges_total", "Purges that returned at least 1 MiB and a quarter of what was purgeable.", NULL,
	 PROCESS(totals.purges.effective)},
	{"misdirected_purges_total", "Purges that went to an allocator that does not serve the process.", NULL,
	 PROCESS(totals.purges.misdirected)},
	{"purge_seconds_total", "Time in purges.", NULL, OF_PROCESS, SECONDS, offsetof(struct snapshot, totals.purges.ns), NULL},
	{"returned_bytes_total", "Bytes that left the resident set, by way.", "way=\"purge\"", PROCESS(returned.purge)},
	{"returned_bytes_total", NULL, "way=\"trim\"", PROCESS(returned.trim)},
	{"returned_bytes_total", NULL, "way=\"munmap\"", PROCESS(returned.munmap)},
	{"returned_bytes_total", NULL, "way=\"madvise\"", PROCESS(returned.madvise)},
	{"taken_bytes_total", "Address space taken from the kernel, by way.", "way=\"brk\"", PROCESS(returned.taken_brk)},
	{"taken_bytes_total", NULL, "way=\"mmap\"", PROCESS(returned.taken_mmap)},
	{"dlopens_total", "Calls of dlopen.", NULL, PROCESS(totals.opens)},
	{"dlopen_repeats_total", "Calls of dlopen that mapped nothing new.", NULL, PROCESS(totals.repeats)},

	{"live_bytes", "Allocated since the attach and not freed, as asked for.", NULL, ALLOCS(totals.live.bytes)},
	{"live_blocks", "Blocks allocated since the attach and not freed.", NULL, ALLOCS(totals.live.cnt)},
	{"live_peak_bytes", "The highest of live_bytes since the attach.", NULL, ALLOCS(totals.peak.bytes)},
	{"unattributed_bytes", "Live in blocks that no allocation seen accounts for: from before the attach.", NULL,
	 ALLOCS(unattributed)},
	{"allocations_total", "Allocations.", NULL, ALLOCS(totals.allocated.cnt)},
	{"allocated_bytes_total", "Bytes allocated, as asked for.", NULL, ALLOCS(totals.allocated.bytes)},
	{"frees_total", "Frees.", NULL, ALLOCS(totals.freed.cnt)},
	{"freed_bytes_total", "Bytes freed.", NULL, ALLOCS(totals.freed.bytes)},
	{"temporary_allocations_total", "Allocations freed by the same thread's next event.", NULL, ALLOCS(totals.temporary.cnt)},
	{"probe_cpu_ratio", "What the probes of malloc and free take of the process's CPU time.", NULL, VALUE(probe_share)},
	{"probe_cpu_budget_ratio", "What they may take of it: --max-overhead; absent without.", NULL, VALUE(max_overhead)},
	{"probe_duty_ratio", "Of the process's own CPU time in the last seconds, that with these probes on.", NULL, VALUE(duty)},
	{"tracer_cpu_ratio", "The CPU time of alloctrace itself, as a share of the process's.", NULL, VALUE(tracer_share)},
	{"figures_estimated", "Whether figures of events (live_bytes, allocations_total, …) are estimates: 0 or 1.", NULL,
	 VALUE(estimated)},
	{"site_error_ratio", "Half of the 95 % interval of sites' live bytes, relative, on average.", NULL, VALUE(error_of_sites)},

	{"python_objects_live_bytes",
	 "In Python's small objects born since the attach and live, as pools round them; under a budget about.", NULL,
	 OBJECTS(sites.totals.live.bytes)},
	{"python_objects_live", "These objects.", NULL, OBJECTS(sites.totals.live.cnt)},
	{"python_objects_heap_bytes", "In all of Python's small objects, by the walk of its pools.", NULL, OBJECTS(live_heap)},
	{"python_objects_seen_born_total", "Births of small objects while they were looked at.", NULL, OBJECTS(born.cnt)},
	{"python_objects_seen_died_total", "Deaths of small objects while they were looked at.", NULL, OBJECTS(died.cnt)},
	{"python_objects_duty_ratio", "Of the process's own CPU time since the attach, that with their probes on.", NULL,
	 VALUE(objects_duty)},

	{"gc_collections_total", "Runs of Python's garbage collector.", NULL, COLLECTOR(cnt)},
	{"gc_collected_objects_total", "Objects that they found in unreachable cycles.", NULL, COLLECTOR(collected)},
	{"gc_seconds_total", "Time in them.", NULL, OF_COLLECTOR, SECONDS, offsetof(struct collector_runs, ns), NULL},
};
/* clang-format on */

#define ROW_CNT (sizeof(rows) / sizeof(rows[0]))

struct page {
	FILE *out;
	const struct picture *picture;
	pid_t tracer;
	const char *begun; /* the metric that has its head */
};

static bool is_counter(const char *name)
{
	size_t len = strlen(name);

	return len > 6 && !strcmp(name + len - 6, "_total");
}

/* A metric without samples has no head either. */
static void put_head(struct page *p, const struct row *row)
{
	if (p->begun && !strcmp(p->begun, row->name))
		return;
	while (!row->help)
		row--;
	fprintf(p->out, "# HELP alloctrace_%s %s\n# TYPE alloctrace_%s %s\n", row->name, row->help, row->name,
		is_counter(row->name) ? "counter" : "gauge");
	p->begun = row->name;
}

static void put_sample(struct page *p, const struct row *row, const char *labels, const char *value)
{
	put_head(p, row);
	fprintf(p->out, "alloctrace_%s{%s%s%s} %s\n", row->name, labels, row->label ? "," : "",
		row->label ? row->label : "", value);
}

static void put_value(struct page *p, const struct row *row, const char *labels, double value)
{
	char text[64];

	if (!(value >= 0) || isinf(value))
		return;
	snprintf(text, sizeof(text), "%.*f", value == floor(value) ? 0 : 3, value);
	put_sample(p, row, labels, text);
}

static void put_figure(struct page *p, const struct row *row, const char *labels, const void *from)
{
	uint64_t figure;
	char text[64];

	memcpy(&figure, (const char *)from + row->offset, sizeof(figure));
	if (figure == UNKNOWN)
		return;
	snprintf(text, sizeof(text), "%" PRIu64, figure);
	if (row->unit == SECONDS)
		snprintf(text, sizeof(text), "%.9f", (double)figure / 1e9);
	if (row->unit == MOMENT)
		put_value(p, row, labels, figure ? clock_epoch(figure) : -1);
	else
		put_sample(p, row, labels, text);
}

/* A backslash, a quote and a line end are written with a backslash; what is no UTF-8 is '?' by then. */
static const char *escaped(char *buf, size_t size, const char *text)
{
	char printed[CGROUP_PATH_MAX];
	size_t used = 0;

	for (const char *c = printable(printed, sizeof(printed), text ? text : ""); *c && used + 2 < size;
	     c++) {
		if (*c == '\\' || *c == '"')
			buf[used++] = '\\';
		buf[used++] = *c;
	}
	buf[used] = '\0';
	return buf;
}

/* Appends name="text". */
static void add_label(char labels[LABELS_MAX], const char *name, const char *text)
{
	char value[2 * CGROUP_PATH_MAX];
	size_t used = strlen(labels);

	snprintf(labels + used, LABELS_MAX - used, "%s%s=\"%s\"", used ? "," : "", name,
		 escaped(value, sizeof(value), text));
}

static void label_watch(const struct page *p, char labels[LABELS_MAX])
{
	snprintf(labels, LABELS_MAX, "tracer=\"%d\"", p->tracer);
}

static void label_process(const struct snapshot *s, char labels[LABELS_MAX])
{
	snprintf(labels, LABELS_MAX, "pid=\"%d\"", s->pid);
	add_label(labels, "comm", s->command);
}

static void put_losses(struct page *p, const struct row *row)
{
	const struct snapshot *s =
		p->picture->cnt ? p->picture->v[0] : NULL; /* the tracer's, of all at once */
	char labels[LABELS_MAX], text[32];

	for (size_t i = 0; s && i < SOURCE_LOSS_CNT; i++) {
		label_watch(p, labels);
		add_label(labels, "cause", source_loss_names[i]);
		snprintf(text, sizeof(text), "%" PRIu64, s->lost[i]);
		put_sample(p, row, labels, text);
	}
}

static void put_cgroup(struct page *p, const struct row *row)
{
	const struct cgroup_view *view = p->picture->cgroup;
	char labels[LABELS_MAX];
	uint64_t figure;

	if (!view)
		return;
	memcpy(&figure, (const char *)view + row->offset, sizeof(figure));
	if (figure == CGROUP_NO_LIMIT || figure == CGROUP_UNKNOWN)
		return;
	label_watch(p, labels);
	add_label(labels, "cgroup", view->path);
	put_figure(p, row, labels, view);
}

/* Whether there is anything to say of it. */
static bool is_present(const struct heap_allocator *a)
{
	return a->serving || heap_is_layer(a) || (a->resident && a->resident != UNKNOWN);
}

static void put_allocators(struct page *p, const struct row *row, const struct snapshot *s)
{
	char labels[LABELS_MAX];

	for (size_t i = 0; i < s->heap->allocator_cnt; i++) {
		const struct heap_allocator *a = &s->heap->allocators[i];

		if (!is_present(a))
			continue;
		label_process(s, labels);
		add_label(labels, "allocator", a->kind->name);
		add_label(labels, "version", a->version);
		add_label(labels, "role", a->serving ? "serves" : a->kind->layer ? "layer" : "idle");
		put_figure(p, row, labels, a);
	}
}

static void put_own_returns(struct page *p, const struct row *row, const struct snapshot *s)
{
	char labels[LABELS_MAX];

	for (size_t i = 0; i < s->own_return_cnt; i++) {
		label_process(s, labels);
		add_label(labels, "allocator", s->own_returns[i].kind->name);
		put_figure(p, row, labels, &s->own_returns[i]);
	}
}

static void put_collector(struct page *p, const struct row *row, const struct snapshot *s)
{
	char labels[LABELS_MAX], number[12];

	for (int i = 0; s->collector && i < COLLECTOR_GENERATIONS; i++) {
		snprintf(number, sizeof(number), "%d", i);
		label_process(s, labels);
		add_label(labels, "generation", number);
		put_figure(p, row, labels, &s->collector->runs[i]);
	}
}

static void put_of_process(struct page *p, const struct row *row, const struct snapshot *s)
{
	char labels[LABELS_MAX];

	label_process(s, labels);
	if (row->source == OF_ALLOCATOR)
		put_allocators(p, row, s);
	else if (row->source == OF_OWN_RETURN)
		put_own_returns(p, row, s);
	else if (row->source == OF_COLLECTOR)
		put_collector(p, row, s);
	else if (row->value)
		put_value(p, row, labels, row->value(s));
	else if (row->source == OF_PROCESS)
		put_figure(p, row, labels, s);
	else if (row->source == OF_HEAP && s->heap->taken_ns)
		put_figure(p, row, labels, s->heap);
	else if (row->source == OF_ALLOCS && s->allocs)
		put_figure(p, row, labels, s->allocs);
	else if (row->source == OF_OBJECTS && s->allocs && s->allocs->objects)
		put_figure(p, row, labels, s->allocs->objects);
}

static void put_row(struct page *p, const struct row *row)
{
	char labels[LABELS_MAX];

	label_watch(p, labels);
	if (row->source == OF_LOSSES)
		put_losses(p, row);
	else if (row->source == OF_CGROUP)
		put_cgroup(p, row);
	else if (row->source == OF_WATCH)
		put_figure(p, row, labels, p->picture);
	else
		for (size_t i = 0; i < p->picture->cnt; i++)
			if (!p->picture->v[i]->gone)
				put_of_process(p, row, p->picture->v[i]);
}

int report_prometheus(FILE *out, const struct picture *picture, pid_t tracer)
{
	struct page page = {.out = out, .picture = picture, .tracer = tracer};

	for (size_t i = 0; i < ROW_CNT; i++)
		put_row(&page, &rows[i]);
	return fflush(out) ? -errno : ferror(out) ? -EIO : 0;
}
