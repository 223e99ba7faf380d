#include "probe/programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../bpf/share.h"
#include "../bpf/unwind.h"
#include "alloctrace.skel.h"
#include "base/clock.h"
#include "probe/kfunc.h"

_Static_assert(RING_ALLOC / (BPF_RINGBUF_HDR_SZ + sizeof(struct event_head)) <
		       TRACER_RING_POLLS * TRACER_POLL_MAX,
	       "as many as there are of the shortest records");

/* How calls are seen from begin to end; one program serves one way. */
enum mode {
	MODE_SESSION = 1,   /* one program at both ends */
	MODE_RETURN = 2,    /* entry and return probes */
	MODE_NO_RETURN = 4, /* entry probes on the exits' instructions */
	MODE_ANY = 7,
};

/* Of one role, the end stands before the begin: a call is never seen without what reports it. */
static const struct row {
	const char *name;
	enum plan_role role;
	enum mode modes;
	enum link_when when;
} rows[] = {
	{"purge_exit", PLAN_PURGE_EXIT, MODE_NO_RETURN, LINK_AT_ENTRY},
	{"memory_exit", PLAN_MEMORY_EXIT, MODE_NO_RETURN, LINK_AT_ENTRY},
	{"loader_exit", PLAN_LOADER_EXIT, MODE_ANY, LINK_AT_ENTRY},
	{"gc_done", PLAN_GC_DONE, MODE_ANY, LINK_AT_ENTRY},
	{"gc_start", PLAN_GC_START, MODE_ANY, LINK_AT_ENTRY},
	{"purge_session", PLAN_PURGE, MODE_SESSION, LINK_AT_BOTH},
	{"purge_return", PLAN_PURGE, MODE_RETURN, LINK_AT_RETURN},
	{"purge_enter", PLAN_PURGE, MODE_RETURN | MODE_NO_RETURN, LINK_AT_ENTRY},
	{"memory_session", PLAN_MEMORY, MODE_SESSION, LINK_AT_BOTH},
	{"memory_return", PLAN_MEMORY, MODE_RETURN, LINK_AT_RETURN},
	{"memory_enter", PLAN_MEMORY, MODE_RETURN | MODE_NO_RETURN, LINK_AT_ENTRY},
	{"dlopen_enter", PLAN_OPEN, MODE_ANY, LINK_AT_ENTRY},
	{"dlclose_enter", PLAN_CLOSE, MODE_ANY, LINK_AT_ENTRY},
	{"loader_changed", PLAN_LOADED, MODE_ANY, LINK_AT_ENTRY},
	{"mark_enter", PLAN_MARK, MODE_ANY, LINK_AT_ENTRY},
	{"malloc_exit", PLAN_ALLOC_EXIT, MODE_ANY, LINK_AT_ENTRY},
	{"malloc_session", PLAN_ALLOC, MODE_SESSION, LINK_AT_BOTH},
	{"malloc_return", PLAN_ALLOC, MODE_RETURN, LINK_AT_RETURN},
	{"malloc_enter", PLAN_ALLOC, MODE_RETURN | MODE_NO_RETURN, LINK_AT_ENTRY},
	{"malloc_enter", PLAN_ALLOC_THROWS, MODE_ANY, LINK_AT_ENTRY},
	{"free_own", PLAN_OWN_FREE, MODE_ANY, LINK_AT_ENTRY},
	{"free_enter", PLAN_FREE, MODE_ANY, LINK_AT_ENTRY},
	{"object_pass", PLAN_OBJECT, MODE_ANY, LINK_AT_ENTRY},
	{"sweep", PLAN_ROLE_CNT, MODE_ANY, LINK_AT_ENTRY},
	{"milestone_pass", PLAN_ROLE_CNT, MODE_ANY, LINK_AT_ENTRY},
};

#define ROW_CNT (sizeof(rows) / sizeof(rows[0]))

static const struct {
	const char *program, *tracepoint;
} tracepoints[] = {
	{"process_fork", "sched_process_fork"},
	{"process_exec", "sched_process_exec"},
	{"process_exit", "sched_process_exit"},
	{"process_oom", "mark_victim"},
};

#define TRACEPOINT_CNT (sizeof(tracepoints) / sizeof(tracepoints[0]))

struct programs {
	struct alloctrace_bpf *skel;
	enum mode mode;
	struct bpf_link *tracepoints[TRACEPOINT_CNT];
	struct bpf_link *watch; /* NULL: off */
	uint32_t early_cnt;     /* numbers given out to inherited events */
};

/* libbpf prints through one function of the whole process, without an argument of ours. */
static const struct log *libbpf_log;

#define LOG_TAIL 3000 /* of what libbpf says: a verifier's reason is at the end of megabytes */

static int print_to_log(enum libbpf_print_level level, const char *fmt, va_list args)
{
	char *line, *from;
	int len;

	if (level == LIBBPF_DEBUG || !libbpf_log || !libbpf_log->verbose)
		return 0;
	len = vasprintf(&line, fmt, args);
	if (len < 0)
		return 0;
	if (len && line[len - 1] == '\n')
		line[--len] = '\0';
	from = len > LOG_TAIL ? line + len - LOG_TAIL : line;
	log_note(libbpf_log, "%s%s", from > line ? "… " : "", from);
	free(line);
	return 0;
}

static enum mode mode_of(const struct feature *feature)
{
	if (!feature->return_probes)
		return MODE_NO_RETURN;
	return feature->backend == LINK_SESSION ? MODE_SESSION : MODE_RETURN;
}

static struct bpf_program *find(const struct programs *p, const char *name)
{
	return bpf_object__find_program_by_name(p->skel->obj, name);
}

/* The kernel's tick: what its coarse clocks step by. */
static uint64_t kernel_tick(void)
{
	struct timespec tick = {.tv_sec = 0};

	return clock_getres(CLOCK_MONOTONIC_COARSE, &tick) ? 0 : (uint64_t)tick.tv_nsec;
}

static bool bind_session(const struct programs *p)
{
	return !kfunc_bind(p->skel->progs.malloc_session, HELPER_SESSION_COOKIE, "bpf_session_cookie");
}

static uint32_t known_objects(const struct object_options *options)
{
	return !options->wanted ? 1 : options->paced ? OBJECTS_KNOWN_CELLS : OBJECTS_KNOWN_MAX;
}

/* What the kernel must know before it loads them, and what it need not load. */
static void prepare(struct programs *p, const struct feature *feature, const struct tracer_options *options)
{
	bool inherits =
		options->follow && options->allocs && feature->backend != LINK_PERF && !options->max_overhead;
	int cpu_cnt = libbpf_num_possible_cpus();
	long online = sysconf(_SC_NPROCESSORS_ONLN);

	for (size_t i = 0; i < ROW_CNT; i++)
		bpf_program__set_autoload(find(p, rows[i].name), false);
	for (size_t i = 0; i < ROW_CNT; i++) {
		struct bpf_program *prog = find(p, rows[i].name);

		if (!(rows[i].modes & p->mode) || (plan_role_allocs(rows[i].role) && !options->allocs) ||
		    (rows[i].role == PLAN_OBJECT && !options->objects.wanted))
			continue;
		bpf_program__set_autoload(prog, true);
		bpf_program__set_expected_attach_type(prog, link_attach_type(feature->backend, rows[i].when));
	}
	bpf_program__set_autoload(p->skel->progs.early_enter, inherits);
	bpf_program__set_autoload(p->skel->progs.early_return, inherits && feature->return_probes);
	bpf_map__set_max_entries(p->skel->maps.ring, options->allocs ? RING_ALLOC : RING_SIZE);
	bpf_map__set_max_entries(p->skel->maps.objects_known, known_objects(&options->objects));
	bpf_map__set_max_entries(p->skel->maps.unwind_spaces,
				 options->many ? UNWIND_SPACES_MANY : UNWIND_SPACES_MAX);
	if ((options->max_overhead > 0 || options->objects.wanted) && options->many) {
		bpf_map__set_max_entries(p->skel->maps.gates, GATES_MANY);
		bpf_map__set_max_entries(p->skel->maps.gates_spent, GATES_MANY);
		bpf_map__set_max_entries(p->skel->maps.gate_slots, GATES_MANY);
		bpf_map__set_max_entries(p->skel->maps.taken_slots, GATES_MANY);
	}
	p->skel->rodata->keeps_in_session = p->mode == MODE_SESSION && options->allocs && bind_session(p);
	p->skel->rodata->tick_ns = kernel_tick();
	p->skel->rodata->takes_stacks = options->stacks;
	p->skel->rodata->is_budgeted = options->max_overhead > 0;
	p->skel->rodata->sample_bytes = options->sample_bytes;
	p->skel->rodata->free_sample_bytes = options->free_sample_bytes;
	for (int i = 0; i < SAMPLING_FRACTIONS; i++)
		p->skel->rodata->log2_fractions[i] =
			(uint16_t)(log2(1 + (i + 0.5) / SAMPLING_FRACTIONS) * 65536);
	p->skel->rodata->size_min = options->size_min;
	p->skel->rodata->size_max = options->size_max;
	p->skel->rodata->cpu_cnt = cpu_cnt > 0 ? (uint32_t)cpu_cnt : 1;
	p->skel->rodata->counter_batch = online > 16 ? (uint32_t)online * 2 : 32;
	p->skel->rodata->uses_return_probes = feature->return_probes;
}

static int load_failed(int code, struct error *err)
{
	struct stat st;

	if (code == -EPERM || code == -EACCES)
		return error_set(
			err, -EPERM,
			"cannot load BPF programs: permission denied; run as root (CAP_BPF, CAP_PERFMON "
			"and CAP_SYS_ADMIN are needed)");
	if (stat("/sys/kernel/btf/vmlinux", &st))
		return error_set(err, -ENOTSUP,
				 "this kernel does not describe its types (no /sys/kernel/btf/vmlinux, "
				 "CONFIG_DEBUG_INFO_BTF): only `alloctrace heap` works here");
	return error_set(err, -ENOTSUP,
			 "this kernel refuses our BPF programs: %s; --verbose shows what it says",
			 strerror(-code));
}

static int run_once(const struct bpf_program *prog)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	return bpf_prog_test_run_opts(bpf_program__fd(prog), &opts);
}

/* Where the per-CPU halves of the RSS counters are; without it RSS is off by their batches. */
static int init_rss(const struct programs *p)
{
	return run_once(p->skel->progs.rss_init);
}

static int attach_tracepoints(struct programs *p, struct error *err)
{
	for (size_t i = 0; i < TRACEPOINT_CNT; i++) {
		struct bpf_link *link = bpf_program__attach_raw_tracepoint(find(p, tracepoints[i].program),
									   tracepoints[i].tracepoint);
		long code = libbpf_get_error(link);

		if (code)
			return error_set(err, (int)code, "cannot attach to the tracepoint %s: %s",
					 tracepoints[i].tracepoint, strerror((int)-code));
		p->tracepoints[i] = link;
	}
	return 0;
}

/* What the verifier went through for the costliest of them: the kernel's bound is a million. */
static void note_verified(const struct log *log, const struct programs *p)
{
	struct bpf_program *prog;
	struct bpf_prog_info most = {.verified_insns = 0};
	unsigned cnt = 0;

	bpf_object__for_each_program(prog, p->skel->obj)
	{
		struct bpf_prog_info info = {.verified_insns = 0};
		uint32_t size = sizeof(info);

		if (bpf_program__fd(prog) < 0 || bpf_obj_get_info_by_fd(bpf_program__fd(prog), &info, &size))
			continue;
		cnt++;
		if (info.verified_insns >= most.verified_insns)
			most = info;
	}
	log_note(log, "%u programs loaded, at most %u instructions verified (%s)", cnt, most.verified_insns,
		 most.name);
}

int programs_load(const struct log *log, const struct feature *feature, const struct tracer_options *options,
		  struct programs **result, struct error *err)
{
	struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	struct programs *p = calloc(1, sizeof(*p));
	int ret;

	if (!p)
		return error_set(err, -ENOMEM, "out of memory");
	setrlimit(RLIMIT_MEMLOCK, &unlimited); /* counts before 5.11 only; a failure shows in the load */
	libbpf_log = log;
	libbpf_set_print(print_to_log);
	p->mode = mode_of(feature);
	p->skel = alloctrace_bpf__open();
	if (!p->skel) {
		ret = load_failed(-errno, err);
		goto fail;
	}
	prepare(p, feature, options);
	ret = alloctrace_bpf__load(p->skel);
	if (ret) {
		ret = load_failed(ret, err);
		goto fail;
	}
	note_verified(log, p);
	ret = init_rss(p);
	if (ret)
		log_note(log, "RSS is read without its per-CPU parts: %s", strerror(-ret));
	if (options->allocs)
		ret = run_once(p->skel->progs.tick_init);
	if (ret && options->allocs)
		log_note(log, "allocations carry times that are off: %s", strerror(-ret));
	ret = attach_tracepoints(p, err);
	if (ret)
		goto fail;
	*result = p;
	return 0;
fail:
	programs_free(p);
	return ret;
}

void programs_free(struct programs *p)
{
	if (!p)
		return;
	programs_watch(p, false);
	for (size_t i = 0; i < TRACEPOINT_CNT; i++)
		bpf_link__destroy(p->tracepoints[i]);
	alloctrace_bpf__destroy(p->skel);
	libbpf_log = NULL;
	free(p);
}

unsigned programs_of_role(const struct programs *p, enum plan_role role, struct program_use use[2])
{
	unsigned cnt = 0;

	for (size_t i = 0; i < ROW_CNT && cnt < 2; i++)
		if (rows[i].role == role && rows[i].modes & p->mode)
			use[cnt++] =
				(struct program_use){bpf_program__fd(find(p, rows[i].name)), rows[i].when};
	return cnt;
}

int programs_sweeper_fd(const struct programs *p)
{
	return bpf_program__fd(p->skel->progs.sweep);
}

struct gate_fds programs_gate_fds(const struct programs *p)
{
	return (struct gate_fds){
		.gates = bpf_map__fd(p->skel->maps.gates),
		.spent = bpf_map__fd(p->skel->maps.gates_spent),
		.slots = bpf_map__fd(p->skel->maps.gate_slots),
		.taken = bpf_map__fd(p->skel->maps.taken_slots),
		.cnt = bpf_map__max_entries(p->skel->maps.gates),
		.alarms = bpf_map__fd(p->skel->maps.alarms),
		.cell_mark = bpf_program__fd(p->skel->progs.cell_mark),
		.clock = bpf_program__fd(p->skel->progs.gate_clock),
		.running = bpf_program__fd(p->skel->progs.gate_running),
		.look = bpf_program__fd(p->skel->progs.gate_look),
		.milestone = bpf_program__fd(p->skel->progs.milestone_pass),
	};
}

int programs_ring_fd(const struct programs *p)
{
	return bpf_map__fd(p->skel->maps.ring);
}

int programs_trace(const struct programs *p, pid_t pid, const struct program_process *process)
{
	uint32_t tgid = (uint32_t)pid;
	struct traced traced = {
		.sees_loads = process->sees_loads,
		.flags = (process->followed ? TRACED_FOLLOWED : 0) | (process->young ? TRACED_YOUNG : 0),
	};

	return bpf_map_update_elem(bpf_map__fd(p->skel->maps.traced), &tgid, &traced, BPF_ANY) ? -errno : 0;
}

void programs_untrace(const struct programs *p, pid_t pid)
{
	uint32_t tgid = (uint32_t)pid;

	bpf_map_delete_elem(bpf_map__fd(p->skel->maps.traced), &tgid);
	programs_python(p, pid, NULL);
}

struct unwind_maps programs_unwind_maps(const struct programs *p)
{
	return (struct unwind_maps){
		.rows = bpf_map__fd(p->skel->maps.unwind_rows),
		.pages = bpf_map__fd(p->skel->maps.unwind_pages),
		.spaces = bpf_map__fd(p->skel->maps.unwind_spaces),
		.processes = bpf_map__fd(p->skel->maps.unwind_processes),
		.space_cnt = bpf_map__max_entries(p->skel->maps.unwind_spaces),
	};
}

int programs_python(const struct programs *p, pid_t pid, const struct python_layout *layout)
{
	int fd = bpf_map__fd(p->skel->maps.python_layouts);
	uint32_t tgid = (uint32_t)pid;

	if (!layout)
		return bpf_map_delete_elem(fd, &tgid) ? -errno : 0;
	return bpf_map_update_elem(fd, &tgid, layout, BPF_ANY) ? -errno : 0;
}

uint32_t programs_early_number(struct programs *p)
{
	return ++p->early_cnt;
}

static struct early_key early_key(uint32_t event, uint64_t at)
{
	return (struct early_key){.event = event, .at = at};
}

int programs_early_spot(const struct programs *p, uint32_t event, uint64_t offset, uint64_t cookie,
			uint32_t act)
{
	struct early_key key = early_key(event, offset);
	struct early_spot spot = {.cookie = cookie, .act = act};

	return bpf_map_update_elem(bpf_map__fd(p->skel->maps.early_spots), &key, &spot, BPF_ANY) ? -errno : 0;
}

void programs_early_place(const struct programs *p, uint32_t event, uint64_t addr, uint64_t cookie,
			  uint32_t act)
{
	struct early_key key = early_key(event, addr);
	struct early_spot spot = {.cookie = cookie, .act = act};

	bpf_map_update_elem(bpf_map__fd(p->skel->maps.early_places), &key, &spot, BPF_ANY);
}

void programs_early_forget(const struct programs *p, uint32_t event, uint64_t offset)
{
	struct early_key key = early_key(event, offset);

	bpf_map_delete_elem(bpf_map__fd(p->skel->maps.early_spots), &key);
}

int programs_early_fd(const struct programs *p, enum link_when when)
{
	return bpf_program__fd(when == LINK_AT_RETURN ? p->skel->progs.early_return
						      : p->skel->progs.early_enter);
}

void programs_settle(struct programs *p, uint64_t cnt)
{
	p->skel->bss->young_settled = cnt;
}

void programs_forget_blocks(struct programs *p)
{
	memset(p->skel->bss->recent, 0, sizeof(p->skel->bss->recent));
}

void programs_object_places(const struct programs *p, uint64_t hits[POOL_PLACES_MAX])
{
	memcpy(hits, p->skel->bss->object_place_hits, POOL_PLACES_MAX * sizeof(*hits));
}

void programs_read_headers(struct programs *p)
{
	p->skel->bss->reads_headers = true;
}

uint64_t programs_mark_hits(const struct programs *p, pid_t pid, uint32_t func)
{
	struct mark_key key = {.tgid = (uint32_t)pid, .func = func};
	struct mark_rate rate;

	return bpf_map_lookup_elem(bpf_map__fd(p->skel->maps.mark_rates), &key, &rate) ? 0 : rate.all;
}

void programs_silent_hits(const struct programs *p, uint64_t *nested, uint64_t *filtered)
{
	int cpu_cnt = libbpf_num_possible_cpus();
	struct silent_hits *per_cpu = calloc((size_t)(cpu_cnt > 0 ? cpu_cnt : 1), sizeof(*per_cpu));
	uint32_t zero = 0;

	*nested = *filtered = 0;
	if (per_cpu && !bpf_map_lookup_elem(bpf_map__fd(p->skel->maps.silent), &zero, per_cpu)) {
		for (int cpu = 0; cpu < cpu_cnt; cpu++) {
			*nested += per_cpu[cpu].nested;
			*filtered += per_cpu[cpu].filtered;
		}
	}
	free(per_cpu);
}

void programs_losses(const struct programs *p, uint64_t lost[LOSS_CNT])
{
	int cpu_cnt = libbpf_num_possible_cpus();
	uint64_t *per_cpu = calloc((size_t)(cpu_cnt > 0 ? cpu_cnt : 1), sizeof(*per_cpu));

	memset(lost, 0, LOSS_CNT * sizeof(*lost));
	for (uint32_t cause = 0; per_cpu && cause < LOSS_CNT; cause++) {
		if (bpf_map_lookup_elem(bpf_map__fd(p->skel->maps.losses), &cause, per_cpu))
			continue;
		for (int cpu = 0; cpu < cpu_cnt; cpu++)
			lost[cause] += per_cpu[cpu];
	}
	free(per_cpu);
}

int programs_watch(struct programs *p, bool on)
{
	long code;

	if (!on) {
		if (p->watch)
			p->skel->bss->watched_since = 0;
		bpf_link__destroy(p->watch);
		p->watch = NULL;
		return 0;
	}
	if (p->watch)
		return 0;
	p->skel->bss->watch_generation++;
	p->watch = bpf_program__attach_raw_tracepoint(p->skel->progs.rss_watch, "rss_stat");
	code = libbpf_get_error(p->watch);
	if (code) {
		p->watch = NULL;
		return (int)code;
	}
	p->skel->bss->watched_since = clock_monotonic_ns();
	return 0;
}
