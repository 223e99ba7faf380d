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
#include "probe/tracer_state.h"

/* Records that wait for more to come are fetched at the latest then. */
#define TICK_NS (NSEC_PER_SEC / 5)
/* Consumed at most before the tracer acts on what it saw. */
#define BATCH_MAX 8192
/* So long after a child has got its own probes, calls that began before may still end. */
#define YOUNG_NS NSEC_PER_SEC
/* include/linux/proc_ns.h, PROC_PID_INIT_INO: BPF programs see PIDs as the first namespace numbers them. */
#define INIT_PID_NAMESPACE 0xEFFFFFFCu

static int add_process(struct tracer *t, pid_t pid, struct attached *attached, struct error *err)
{
	int ret = 0;

	t->newest = NULL;
	pthread_mutex_lock(&t->lock);
	if (map_set(&t->processes, (uint64_t)pid, attached)) {
		attached_close(attached);
		ret = error_set(err, -ENOMEM, "out of memory");
	} else if (t->slicer) {
		slicer_add(t->slicer, attached);
		slicer_look(t->slicer, attached);
	}
	pthread_mutex_unlock(&t->lock);
	return ret;
}

/* Event by event: notes what to do, and passes it on. A negative return ends the batch. */
static int take_record(void *ctx, void *data, size_t len)
{
	struct attached *attached;
	struct tracer *t = ctx;
	struct event ev;

	if (event_decode(data, len, &ev)) {
		t->malformed++;
		return 0;
	}
	attached = tracer_attached(t, (pid_t)ev.head->tgid);
	if (attached) {
		attached_note(attached, &ev);
		if (ev.head->kind < EVENT_ALLOC)
			watch_event(&t->watch, &ev);
	}
	if (t->fn)
		t->fn(&ev, t->arg);
	if (ev.head->kind == EVENT_FORK && ev.fork->covered) {
		t->young_cnt++;
		t->young_last_ns = clock_monotonic_ns();
	}
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
	int ret = cost_calibrate(t->programs, &t->feature, t->tables, t->keeper, t->options.max_overhead > 0,
				 &t->cost);

	if (ret)
		log_note(t->log, "what a probe costs is not measured, but taken from elsewhere: %s",
			 strerror(-ret));
	log_note(t->log, "a hit costs %.0f ns, with a return %.0f ns, single-stepped %.0f ns more",
		 t->cost.entry, t->cost.call, t->cost.stepped);
	if (t->options.max_overhead > 0)
		log_note(t->log, "of these the trap takes %.0f ns at an entry, %.0f ns at a return",
			 t->cost.trap, t->cost.return_trap);
}

/* What is made once for all processes. */
static int make_context(struct tracer *t, struct error *err)
{
	t->plans = plans_new(&(struct plan_context){
		.log = t->log,
		.functions = t->functions,
		.return_probes = t->feature.return_probes,
		.allocs = t->options.allocs,
		.objects = t->options.objects.wanted && t->feature.backend != LINK_PERF,
		.more = t->options.more,
		.marks = t->options.marks,
	});
	if (!t->plans)
		return error_set(err, -ENOMEM, "out of memory");
	t->early = (struct early_context){.keeper = t->keeper, .programs = t->programs};
	t->context = (struct attached_context){
		.log = t->log,
		.feature = &t->feature,
		.programs = t->programs,
		.functions = t->functions,
		.plans = t->plans,
		.tables = t->tables,
		.keeper = t->keeper,
		.early = &t->early,
		.objects = t->options.objects,
		.attaches_children = t->options.follow && t->options.allocs,
		/* With perf links (6.1) following children that inherit events was seen to hang in a virtual
		   machine. */
		.follow = t->options.follow && t->options.allocs && t->feature.backend != LINK_PERF &&
			  !t->options.max_overhead,
		.gates = programs_gate_fds(t->programs),
		.budgeted = t->options.max_overhead > 0,
	};
	return 0;
}

static int start_slicer(struct tracer *t, struct error *err)
{
	const struct slicer_options options = {
		.gates = programs_gate_fds(t->programs),
		.cost = &t->cost,
		.lock = &t->lock,
		.keeper = t->keeper,
		.programs = t->programs,
		.backend = t->feature.backend,
		.max_share = t->options.max_overhead,
		.stacks_sampled = t->options.stacks_sampled,
		.sample_bytes = t->options.sample_bytes,
		.free_sample_bytes = t->options.free_sample_bytes,
		.object_sample_bytes = t->options.objects.sample_bytes,
	};
	int ret = slicer_start(&options, &t->slicer);

	return ret ? error_set(err, ret, "cannot start the thread that keeps to the budget: %s",
			       strerror(-ret))
		   : 0;
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
	pthread_mutex_init(&t->lock, NULL);
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
	ret = make_context(t, err);
	if (ret)
		goto fail;
	if (options->allocs)
		calibrate(t);
	if (options->allocs && options->max_overhead > 0)
		ret = start_slicer(t, err);
	if (ret)
		goto fail;
	log_note(log, "probes are attached by %s links, %s return probes",
		 link_backend_names[t->feature.backend], t->feature.return_probes ? "with" : "without");
	*result = t;
	return 0;
fail:
	tracer_free(t);
	return ret;
}

int tracer_attach(struct tracer *t, pid_t pid, struct error *err)
{
	struct attached *attached;
	int ret;

	if (tracer_attached(t, pid))
		return 0;
	ret = attached_open(&t->context, pid, NULL, &attached, err);
	return ret ? ret : add_process(t, pid, attached, err);
}

int tracer_attach_child(struct tracer *t, const struct event_fork *fork, struct error *err)
{
	const struct attached *parent = fork->covered ? tracer_attached(t, (pid_t)fork->head.tgid) : NULL;
	pid_t pid = (pid_t)fork->child;
	struct attached *attached;
	int ret;

	if (tracer_attached(t, pid))
		return 0;
	ret = attached_open(&t->context, pid, parent, &attached, err);
	return ret ? ret : add_process(t, pid, attached, err);
}

void tracer_leave_child(struct tracer *t, const struct event_fork *fork)
{
	uint32_t pid = fork->child;

	programs_untrace(t->programs, (pid_t)pid);
	if (t->tables)
		unwind_tables_forget(t->tables, (pid_t)pid);
}

void tracer_detach(struct tracer *t, pid_t pid)
{
	struct attached *attached = map_remove(&t->processes, (uint64_t)pid);

	t->newest = NULL;
	if (attached)
		t->lost_probes += attached_lost_cnt(attached);
	pthread_mutex_lock(&t->lock);
	if (t->slicer)
		slicer_remove(t->slicer, pid);
	attached_close(attached);
	pthread_mutex_unlock(&t->lock);
}

void tracer_free(struct tracer *t)
{
	if (!t)
		return;
	slicer_stop(t->slicer);
	for (size_t i = 0; i < t->processes.cap; i++)
		attached_close(t->processes.slots[i].value);
	map_free(&t->processes);
	keeper_stop(t->keeper);
	plans_free(t->plans);
	unwind_tables_free(t->tables);
	ring_buffer__free(t->ring);
	programs_free(t->programs);
	functions_free(t->functions);
	missing_free(t->missing);
	if (t->epoll_fd >= 0)
		close(t->epoll_fd);
	if (t->timer_fd >= 0)
		close(t->timer_fd);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

int tracer_fd(const struct tracer *t)
{
	return t->epoll_fd;
}

static void look_for_objects(struct tracer *t, struct attached *attached)
{
	if (!t->slicer)
		return;
	pthread_mutex_lock(&t->lock);
	slicer_look(t->slicer, attached);
	pthread_mutex_unlock(&t->lock);
}

/* What the batch asked for. The most urgent first: a purge may be over soon. */
static void act(struct tracer *t)
{
	uint64_t now = clock_monotonic_ns();
	int ret = watch_apply(&t->watch, t->programs);

	if (ret)
		missing_add(t->missing, "what other threads fault during a purge is not counted: %s",
			    strerror(-ret));
	for (size_t i = 0; i < t->processes.cap; i++) {
		struct attached *attached = t->processes.slots[i].value;

		if (!attached || !attached_wants(attached))
			continue;
		attached_act(attached, now);
		look_for_objects(t, attached);
	}
	if (t->young_cnt && now > t->young_last_ns + YOUNG_NS)
		programs_settle(t->programs, t->young_cnt);
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
