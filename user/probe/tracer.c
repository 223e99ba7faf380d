#include "probe/tracer.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/units.h"
#include "probe/cost.h"
#include "probe/follow.h"
#include "probe/functions.h"
#include "probe/missing.h"
#include "probe/python.h"
#include "probe/unwind_tables.h"
#include "probe/watch.h"
#include "target/memory.h"
#include "target/objects.h"

/* Records that wait for more to come are fetched at the latest then. */
#define TICK_NS (NSEC_PER_SEC / 5)
/* A program that loads library after library has its maps read no oftener. */
#define UPDATE_INTERVAL (NSEC_PER_SEC / 10)
/* Consumed at most before the tracer acts on what it saw. */
#define BATCH_MAX 8192
/* include/linux/proc_ns.h, PROC_PID_INIT_INO: BPF programs see PIDs as the first namespace numbers them. */
#define INIT_PID_NAMESPACE 0xEFFFFFFCu

struct tracer {
	const struct log *log;
	struct tracer_options options;
	struct feature feature;
	struct programs *programs;
	struct functions *functions;
	struct missing *missing;
	struct follow *follow;        /* NULL before tracer_attach */
	struct unwind_tables *tables; /* NULL: no stacks are taken */
	struct python python;
	int python_status; /* of python_find: 0, or −ENOENT as long as there is none */
	struct ring_buffer *ring;
	struct watch watch;
	struct keeper *keeper; /* of all links to the target and to children of ours */
	struct probe_cost cost;
	uint64_t *hits; /* by function, of those that leave a record */
	uint32_t hits_cap;
	pid_t pid;
	int epoll_fd, timer_fd;
	uint64_t malformed, last_update;

	/* What the batch being consumed has shown, acted upon behind it. */
	bool loaded, forked, execed, changed_leader;
	bool cut; /* a stack led to code that the tables do not know */
	unsigned batch_cnt;
	void (*fn)(const struct event *ev, void *arg);
	void *arg;
};

/* A realloc counts once, at its end. */
static void count_hit(struct tracer *t, const struct event_head *head)
{
	uint32_t cap = head->func < 256 ? 256 : 2 * head->func;
	uint64_t *hits;

	if ((pid_t)head->tgid != t->pid || head->kind == EVENT_REALLOC_BEGIN)
		return;
	if (head->func >= t->hits_cap) {
		hits = functions_get(t->functions, head->func) ? realloc(t->hits, cap * sizeof(*hits)) : NULL;
		if (!hits)
			return;
		memset(hits + t->hits_cap, 0, (cap - t->hits_cap) * sizeof(*hits));
		t->hits = hits;
		t->hits_cap = cap;
	}
	t->hits[head->func]++;
}

static void note(struct tracer *t, const struct event *ev)
{
	watch_event(&t->watch, ev);
	switch (ev->head->kind) {
	case EVENT_LOADED:
		t->loaded = true;
		break;
	case EVENT_FORK:
		t->forked = true;
		break;
	case EVENT_EXEC:
		t->execed = true;
		t->changed_leader = t->changed_leader || ev->head->tid != ev->head->tgid;
		break;
	default:
		break;
	}
}

/* Event by event: notes what to do, and passes it on. A negative return ends the batch. */
static int take_record(void *ctx, void *data, size_t len)
{
	struct tracer *t = ctx;
	struct event ev;

	if (event_decode(data, len, &ev)) {
		t->malformed++;
		return 0;
	}
	if (ev.head->kind == EVENT_STACK)
		t->cut = t->cut || ev.stack->end == STACK_END_NO_MAPPING;
	else if (ev.head->kind >= EVENT_ALLOC && ev.head->kind <= EVENT_REALLOC)
		count_hit(t, ev.head);
	else
		note(t, &ev);
	if (t->fn)
		t->fn(&ev, t->arg);
	return ++t->batch_cnt < BATCH_MAX ? 0 : -EAGAIN;
}

static int check_pid_namespace(struct error *err)
{
	struct stat st;

	if (!stat("/proc/self/ns/pid", &st) && st.st_ino != INIT_PID_NAMESPACE)
		return error_set(
			err, -ENOTSUP,
			"we are in a PID namespace of our own, where probes see other PIDs than /proc shows: "
			"run on the host, or with the host's PID namespace (docker run --pid=host)");
	return 0;
}

static int add_to_epoll(struct tracer *t, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN};

	return epoll_ctl(t->epoll_fd, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

static int open_wakeups(struct tracer *t)
{
	struct itimerspec tick = {.it_interval.tv_nsec = TICK_NS, .it_value.tv_nsec = TICK_NS};
	int ret;

	t->ring = ring_buffer__new(programs_ring_fd(t->programs), take_record, t, NULL);
	if (!t->ring)
		return -errno;
	t->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	t->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (t->epoll_fd < 0 || t->timer_fd < 0 || timerfd_settime(t->timer_fd, 0, &tick, NULL))
		return -errno;
	ret = add_to_epoll(t, ring_buffer__epoll_fd(t->ring));
	return ret ? ret : add_to_epoll(t, t->timer_fd);
}

static void calibrate(struct tracer *t)
{
	int ret = cost_calibrate(t->programs, &t->feature, t->tables, t->keeper, &t->cost);

	if (ret)
		log_note(t->log, "what a probe costs is not measured, but taken from elsewhere: %s",
			 strerror(-ret));
	log_note(t->log, "a hit costs %.0f ns, with a return %.0f ns, single-stepped %.0f ns more",
		 t->cost.entry, t->cost.call, t->cost.stepped);
}

int tracer_open(const struct log *log, const struct tracer_options *options, struct tracer **result,
		struct error *err)
{
	struct tracer *t = calloc(1, sizeof(*t));
	int ret;

	if (!t)
		return error_set(err, -ENOMEM, "out of memory");
	t->log = log;
	t->options = *options;
	t->epoll_fd = t->timer_fd = -1;
	t->python_status = -ENOENT;
	t->functions = functions_new();
	t->missing = missing_new();
	if (!t->functions || !t->missing) {
		ret = error_set(err, -ENOMEM, "out of memory");
		goto fail;
	}
	ret = check_pid_namespace(err);
	if (ret)
		goto fail;
	ret = keeper_start(&t->keeper);
	if (ret) {
		error_set(err, ret, "cannot start the process that holds the probes: %s", strerror(-ret));
		goto fail;
	}
	ret = feature_probe(log, t->keeper, &t->feature, err);
	if (ret)
		goto fail;
	ret = programs_load(log, &t->feature, options, &t->programs, err);
	if (ret)
		goto fail;
	ret = open_wakeups(t);
	if (ret) {
		error_set(err, ret, "cannot open the ring of events: %s", strerror(-ret));
		goto fail;
	}
	if (options->stacks) {
		const struct unwind_maps maps = programs_unwind_maps(t->programs);

		ret = unwind_tables_new(log, &maps, t->missing, &t->tables, err);
	}
	if (ret)
		goto fail;
	if (options->allocs)
		calibrate(t);
	log_note(log, "probes are attached by %s links, %s return probes",
		 link_backend_names[t->feature.backend], t->feature.return_probes ? "with" : "without");
	*result = t;
	return 0;
fail:
	tracer_free(t);
	return ret;
}

/* What holds for every process on this kernel. */
static void say_mode(struct tracer *t)
{
	if (!t->feature.return_probes)
		missing_add(t->missing,
			    "no return probes: on this kernel they kill a process under a seccomp filter; "
			    "calls are seen to end at their exits' instructions instead");
}

/*
 * An interpreter may come with any library that is loaded; one that is found stays where it is.
 * Every object's symbols are looked through: not for a stack that was cut, of which a JIT makes many.
 */
static void find_python(struct tracer *t)
{
	struct objects *objects;
	struct memory *mem = NULL;
	struct maps maps = {.v = NULL};
	struct error err = {.text = ""};
	int ret;

	if (!t->tables || t->python_status != -ENOENT)
		return;
	objects = objects_new(t->pid);
	ret = objects ? maps_read(t->pid, &maps, &err) : -ENOMEM;
	ret = ret ?: memory_open_process(t->pid, &mem, &err);
	ret = ret ?: python_find(mem, &maps, objects, &t->python, &err);
	ret = ret ?: programs_python(t->programs, t->pid, &t->python.layout);
	if (ret == -ENOTSUP)
		missing_add(t->missing, "%s", err.text);
	t->python_status = ret;
	memory_free(mem);
	maps_free(&maps);
	objects_free(objects);
}

const struct python *tracer_python(const struct tracer *t)
{
	return t->tables && !t->python_status ? &t->python : NULL;
}

/* Of what is mapped now; the process's end is told otherwise. */
static void update_tables(struct tracer *t)
{
	struct error err;
	int ret = t->tables ? unwind_tables_update(t->tables, t->pid, &err) : 0;

	t->cut = false;
	if (ret && ret != -ESRCH)
		missing_add(t->missing, "stacks through code loaded lately are cut: %s", err.text);
}

int tracer_attach(struct tracer *t, pid_t pid, struct error *err)
{
	struct plan_context ctx = {
		.log = t->log,
		.functions = t->functions,
		.missing = t->missing,
		.return_probes = t->feature.return_probes,
		.allocs = t->options.allocs,
	};
	uint64_t begin = clock_monotonic_ns();
	int ret;

	if (t->follow)
		return error_set(err, -EBUSY, "process %d is traced already", t->pid);
	ret = programs_trace(t->programs, pid, false);
	if (ret)
		return error_set(err, ret, "cannot mark process %d as traced: %s", pid, strerror(-ret));
	say_mode(t);
	t->pid = pid;
	update_tables(t);
	find_python(t);
	t->follow = follow_new(pid, &ctx, t->programs, t->keeper, t->feature.backend);
	if (!t->follow)
		return error_set(err, -ENOMEM, "out of memory");
	ret = follow_update(t->follow, err);
	if (ret)
		return ret;
	if (!follow_probe_cnt(t->follow))
		missing_add(t->missing,
			    "process %d holds no function that we know: only its life is followed", pid);
	log_note(t->log, "%u probes placed in %.1f ms", tracer_probe_cnt(t),
		 (double)(clock_monotonic_ns() - begin) / 1e6);
	return 0;
}

void tracer_free(struct tracer *t)
{
	if (!t)
		return;
	follow_free(t->follow);
	keeper_stop(t->keeper);
	unwind_tables_free(t->tables);
	ring_buffer__free(t->ring);
	programs_free(t->programs);
	functions_free(t->functions);
	missing_free(t->missing);
	free(t->hits);
	if (t->epoll_fd >= 0)
		close(t->epoll_fd);
	if (t->timer_fd >= 0)
		close(t->timer_fd);
	free(t);
}

int tracer_fd(const struct tracer *t)
{
	return t->epoll_fd;
}

static void note_failure(const struct tracer *t, int code, const struct error *err)
{
	if (code && code != -ESRCH && code != -ENOENT) /* the process's end is told otherwise */
		log_note(t->log, "probes are not up to date: %s", err->text);
}

/* What the batch asked for. The most urgent first: a purge may be over soon. */
static void act(struct tracer *t)
{
	uint64_t now = clock_monotonic_ns();
	struct error err = {.text = ""};
	int ret = watch_apply(&t->watch, t->programs);

	if (ret)
		missing_add(t->missing, "what other threads fault during a purge is not counted: %s",
			    strerror(-ret));
	if (!t->follow)
		return;
	if (t->execed) {
		programs_forget_blocks(t->programs);
		/* The tables are replaced as a whole, below: without any in between stacks would be lost. */
		if (t->tables)
			programs_python(t->programs, t->pid, NULL);
		t->python_status = -ENOENT;
		update_tables(t);
		find_python(t);
		note_failure(t, follow_exec(t->follow, t->changed_leader, &err), &err);
		say_mode(t);
		t->execed = t->changed_leader = t->loaded = false;
		t->last_update = now;
	} else if ((t->loaded || t->cut) && now - t->last_update >= UPDATE_INTERVAL) {
		update_tables(t);
		if (t->loaded) {
			find_python(t);
			note_failure(t, follow_update(t->follow, &err), &err);
		}
		t->loaded = false;
		t->last_update = now;
	}
	if (t->forked)
		follow_sweep(t->follow);
	t->forked = false;
	follow_tick(t->follow);
}

int tracer_poll(struct tracer *t, void (*fn)(const struct event *ev, void *arg), void *arg)
{
	uint64_t expirations;
	int total = 0, ret;

	if (read(t->timer_fd, &expirations, sizeof(expirations)) < 0) {
		if (errno != EAGAIN)
			return -errno;
	} else if (keeper_is_dead(t->keeper)) {
		missing_add(t->missing, "all probes are gone: the process that held them (uprobe-keeper) was "
					"killed; attach again");
	}
	t->fn = fn;
	t->arg = arg;
	do {
		t->batch_cnt = 0;
		ret = ring_buffer__consume(t->ring);
		total += (int)t->batch_cnt;
		act(t);
	} while (ret == -EAGAIN && total < TRACER_POLL_MAX);
	return ret < 0 && ret != -EAGAIN ? ret : total;
}

const struct traced_function *tracer_function(const struct tracer *t, uint32_t func)
{
	return functions_get(t->functions, func);
}

void tracer_losses(const struct tracer *t, uint64_t lost[SOURCE_LOSS_CNT])
{
	programs_losses(t->programs, lost);
	lost[SOURCE_LOSS_MALFORMED] = t->malformed;
	lost[SOURCE_LOSS_PROBES] = t->follow ? follow_lost_cnt(t->follow) : 0;
}

size_t tracer_missing(const struct tracer *t, const char *const **lines)
{
	return missing_lines(t->missing, lines);
}

uint64_t tracer_probe_ns(const struct tracer *t)
{
	uint64_t nested, filtered, lost[SOURCE_LOSS_CNT];
	double ns;

	programs_silent_hits(t->programs, &nested, &filtered);
	programs_losses(t->programs, lost);
	ns = t->cost.entry * (double)(nested + filtered + lost[LOSS_RING_FULL]);
	for (uint32_t i = 0; i < t->hits_cap; i++) {
		const struct traced_function *fn = t->hits[i] ? functions_get(t->functions, i) : NULL;

		if (fn)
			ns += (double)t->hits[i] * ((fn->shape == PROBE_FREE ? t->cost.entry : t->cost.call) +
						    (fn->stepped ? t->cost.stepped : 0));
	}
	return (uint64_t)ns;
}

void tracer_read_headers(struct tracer *t)
{
	programs_read_headers(t->programs);
}

void tracer_drop_allocs(struct tracer *t)
{
	t->options.allocs = false;
	programs_end_blocks(t->programs);
	if (t->follow)
		follow_drop_allocs(t->follow);
}

unsigned tracer_probe_cnt(const struct tracer *t)
{
	return t->follow ? follow_probe_cnt(t->follow) : 0;
}
