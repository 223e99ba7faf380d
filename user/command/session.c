#include "command/session_state.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/units.h"

static struct addresses *addresses_of(const struct session_options *options, pid_t pid)
{
	if (options->forked_from)
		return addresses_fork(options->forked_from->addresses, pid);
	return addresses_new(options->naming.locations, pid);
}

static int make_parts(struct session *s, const struct session_options *options)
{
	s->names = options->naming.names;
	if (options->forked_from)
		s->forked_from = options->forked_from->process->pid;
	s->addresses = addresses_of(options, s->process->pid);
	s->owners = s->addresses ? owners_new(s->addresses, options->more) : NULL;
	s->more = options->more;
	s->purges = purge_log_new();
	s->windows = window_detector_new(&options->window);
	s->churn = churn_log_new(options->churn_min);
	s->collector = collector_new();
	s->marking = marking_new(s->process->pid, s->tracer, options->marks);
	s->window_options = options->window;
	s->stacks = s->addresses ? stacks_new(s->addresses, options->native) : NULL;
	if (s->stacks && s->tracer && options->want_allocs) {
		s->allocs = allocs_new(&options->allocs, s->process, s->tracer, s->stacks);
		if (!s->allocs)
			return -ENOMEM;
	}
	return s->stacks && s->owners && s->purges && s->windows && s->churn && s->collector && s->marking
		       ? 0
		       : -ENOMEM;
}

int session_open(const struct session_options *options, struct process *p, struct tracer *tracer,
		 struct session **session, struct error *err)
{
	struct session *s = calloc(1, sizeof(*s));
	int rc = -ENOMEM;

	if (s) {
		s->process = p;
		s->tracer = tracer;
		s->started_ns = s->reported_ns = clock_monotonic_ns();
		rc = make_parts(s, options);
	}
	if (rc)
		error_set(err, rc, "no memory to watch process %d", p->pid);
	else
		rc = sampler_start(p, &options->sampler, &s->sampler, err);
	if (rc)
		session_close(s);
	else
		*session = s;
	return rc;
}

void session_close(struct session *s)
{
	if (!s)
		return;
	sampler_stop(s->sampler);
	sample_free(&s->now);
	sample_free(&s->before);
	allocs_free(s->allocs);
	marking_free(s->marking);
	collector_free(s->collector);
	churn_log_free(s->churn);
	window_detector_free(s->windows);
	purge_log_free(s->purges);
	stacks_free(s->stacks);
	owners_free(s->owners);
	addresses_free(s->addresses);
	readings_free(&s->readings);
	readings_free(&s->reported);
	free(s->churn_rows);
	free(s->window_rows);
	free(s->gap_rows);
	free(s);
}

void session_limit(struct session *s, uint64_t max_memory, double walk_budget)
{
	sampler_budget(s->sampler, walk_budget);
	if (s->allocs)
		allocs_limit(s->allocs, max_memory);
}

/* The newest heap state that was taken before an instant. */
static const struct heap_state *state_before(const struct session *s, uint64_t time_ns)
{
	if (s->now.heap.taken_ns && s->now.heap.taken_ns <= time_ns)
		return &s->now.heap;
	return s->before.heap.taken_ns ? &s->before.heap : NULL;
}

static const struct stack *stack_of(const struct session *s, uint64_t id, uint64_t caller)
{
	const struct stack *stack = stacks_find(s->stacks, stacks_own_id(s->stacks, id));

	return stack ? stack : stacks_of_caller(s->stacks, caller);
}

/* An allocator has by itself returned as much as an effective purge does. */
static void end_window(struct session *s, const struct window_return *own)
{
	if (s->allocs)
		allocs_before_sample(s->allocs, s->windows);
	window_detector_own_return(s->windows, own);
}

static struct window_return span_of(const struct event_purge *purge)
{
	return (struct window_return){purge->head.time, purge->head.time + purge->duration};
}

/* False: somebody else has called it. */
static bool is_own_purge(struct session *s, const struct event_purge *purge, const struct allocator *kind)
{
	const struct window_return span = span_of(purge);
	uint64_t returned = purge_returned(purge);

	if (owners_find(s->owners, purge->caller) != kind)
		return false;
	returned_add_own_purge(&s->returned, returned);
	if (own_returns_add_purge(&s->own_returns, purge, returned, kind, state_before(s, purge->head.time)))
		end_window(s, &span);
	return true;
}

static uint64_t live_now(const struct session *s)
{
	return s->allocs ? allocs_live(s->allocs) : UNKNOWN;
}

static void on_purge_begin(struct session *s, const struct event *ev)
{
	window_detector_purge_begins(s->windows, ev->head->tid, ev->head->time);
}

static void on_purge(struct session *s, const struct event *ev)
{
	const struct event_purge *purge = ev->purge;
	const struct window_return span = span_of(purge);
	const struct traced_function *fn = tracer_function(s->tracer, purge->head.func);
	const struct purge_finding *found;

	window_detector_purge_is_over(s->windows, purge->head.tid);
	if (!fn || !fn->allocator || is_own_purge(s, purge, fn->allocator))
		return;
	found = purge_log_add(s->purges, purge, fn->symbol, fn->allocator, fn->has_result,
			      state_before(s, purge->head.time), stack_of(s, purge->stack, purge->caller));
	if (!found)
		return;
	purge_log_live(s->purges, live_now(s));
	returned_add_purge(&s->returned, found->returned);
	collector_purge(s->collector, purge->head.time);
	if (s->allocs)
		allocs_before_sample(s->allocs, s->windows);
	window_detector_purge(s->windows, &span, found->effective);
}

static void on_dlopen(struct session *s, const struct event *ev)
{
	churn_log_open(s->churn, ev->dlopen, stack_of(s, ev->dlopen->stack, ev->dlopen->caller));
}

static void on_dlclose(struct session *s, const struct event *ev)
{
	churn_log_close(s->churn, ev->dlclose, stack_of(s, ev->dlclose->stack, ev->dlclose->caller));
}

/* What an allocator gave back unasked: enough of it is as good as a purge. */
static void own_return(struct session *s, const struct event_memory *ev)
{
	const struct allocator *kind = ev->shrink ? owners_find(s->owners, ev->caller) : NULL;

	if (kind && own_returns_add(&s->own_returns, ev, kind, state_before(s, ev->head.time)))
		end_window(s, &(struct window_return){ev->head.time, ev->head.time});
}

static void on_memory(struct session *s, const struct event *ev)
{
	returned_add(&s->returned, ev->memory, addresses_in_libc(s->addresses, ev->memory->caller));
	own_return(s, ev->memory);
	if (ev->memory->op == MEMORY_MADVISE && ev->memory->advice == MADV_FREE)
		sampler_lazy_free(s->sampler);
}

static void on_loaded(struct session *s, const struct event *ev)
{
	(void)ev;
	addresses_stale(s->addresses);
}

static void on_exec(struct session *s, const struct event *ev)
{
	process_refresh(s->process, ev->exec->comm, NULL);
	s->forked_from = 0;
	addresses_exec(s->addresses);
	sampler_restart(s->sampler);
	collector_exec(s->collector, ev->head->time);
	if (s->allocs)
		allocs_exec(s->allocs);
}

static void on_stack(struct session *s, const struct event *ev)
{
	const struct python *python = tracer_python(s->tracer, s->process->pid);

	if (!python && s->forked_from)
		python = tracer_python(s->tracer, s->forked_from);
	stacks_add(s->stacks, ev->stack, python);
}

static void on_code(struct session *s, const struct event *ev)
{
	stacks_code(s->stacks, ev->code);
}

static void on_alloc(struct session *s, const struct event *ev)
{
	if (s->allocs)
		allocs_event(s->allocs, ev);
}

static void on_cell(struct session *s, const struct event *ev)
{
	if (s->allocs)
		allocs_cell(s->allocs, ev->cell);
}

static void on_oom(struct session *s, const struct event *ev)
{
	(void)ev;
	s->out_of_memory = true;
}

static void on_collection(struct session *s, const struct event *ev)
{
	collector_run(s->collector, ev->collection);
}

static void on_mark(struct session *s, const struct event *ev)
{
	if (marking_event(s->marking, ev, live_now(s)))
		sampler_want(s->sampler);
}

static void on_process_end(struct session *s, const struct event *ev)
{
	int code = (int)ev->exit->code;

	s->killed = WIFSIGNALED(code);
	if (s->killed && s->out_of_memory)
		snprintf(s->target_end, sizeof(s->target_end), "was killed by the OOM killer (signal %d, %s)",
			 WTERMSIG(code), strsignal(WTERMSIG(code)));
	else if (WIFSIGNALED(code))
		snprintf(s->target_end, sizeof(s->target_end), "was killed by signal %d (%s)", WTERMSIG(code),
			 strsignal(WTERMSIG(code)));
	else
		snprintf(s->target_end, sizeof(s->target_end), "exited with status %d", WEXITSTATUS(code));
}

void session_event(const struct event *ev, void *session)
{
	static void (*const on[EVENT_KIND_CNT])(struct session * s, const struct event *ev) = {
		[EVENT_PURGE_BEGIN] = on_purge_begin,
		[EVENT_PURGE] = on_purge,
		[EVENT_DLOPEN] = on_dlopen,
		[EVENT_DLCLOSE] = on_dlclose,
		[EVENT_MEMORY] = on_memory,
		[EVENT_LOADED] = on_loaded,
		[EVENT_EXEC] = on_exec,
		[EVENT_OOM] = on_oom,
		[EVENT_EXIT] = on_process_end,
		[EVENT_ALLOC] = on_alloc,
		[EVENT_FREE] = on_alloc,
		[EVENT_REALLOC_BEGIN] = on_alloc,
		[EVENT_REALLOC] = on_alloc,
		[EVENT_FREE_OWN] = on_alloc,
		[EVENT_CELL] = on_cell,
		[EVENT_STACK] = on_stack,
		[EVENT_CODE] = on_code,
		[EVENT_COLLECTION] = on_collection,
		[EVENT_MARK] = on_mark,
	};
	struct session *s = session;

	/* A forked child inherits the probes until it is swept: what it does is not ours. */
	if ((pid_t)ev->head->tgid == s->process->pid && on[ev->head->kind])
		on[ev->head->kind](s, ev);
}

const struct stack *session_stack(const struct session *s, uint64_t id)
{
	return stacks_find(s->stacks, stacks_own_id(s->stacks, id));
}

int session_sample_fd(const struct session *s)
{
	return sampler_fd(s->sampler);
}

/* Whether the newest reading is the one that was hurried: it began after the call. */
static bool is_hurried(const struct session *s)
{
	return s->hurried_ns && s->now.began_ns > s->hurried_ns;
}

/* failed: it tells nothing, but nearer ones will not come. */
static void read_marks(struct session *s, const struct sample *sample, bool failed)
{
	struct mark_reading reading = {
		.began_ns = sample->began_ns,
		.taken_ns = failed ? 0 : sample->heap.taken_ns,
		.live_heap = sample->heap.live_heap,
		.retained = sample->heap.retained,
		.purgeable = sample->heap.purgeable,
	};

	marking_reading(s->marking, &reading);
	purge_log_reading(s->purges, &reading);
}

/* What was read in the midst of a purge that goes on does not tell what there was before it. */
static void keep_before(struct session *s)
{
	if (window_detector_is_purged_at(s->windows, s->now.heap.taken_ns)) {
		sample_free(&s->now);
		return;
	}
	sample_free(&s->before);
	s->before = s->now;
}

bool session_sample(struct session *s)
{
	struct sample sample;

	if (!sampler_take(s->sampler, &sample))
		return false;
	if (sample.status) {
		/* The last good state stays, and grows old: its age is printed. */
		s->now.status = sample.status;
		s->now.error = sample.error;
		read_marks(s, &sample, true);
		sample_free(&sample);
		return true;
	}
	keep_before(s);
	s->now = sample;
	s->usage = sample.usage;
	read_marks(s, &s->now, false);
	if (s->allocs) {
		allocs_sample(s->allocs, &s->now, is_hurried(s));
		allocs_before_sample(s->allocs, s->windows);
	}
	readings_add(&s->readings, &s->now, live_now(s));
	window_detector_sample(s->windows, &(struct window_sample){
						   .time_ns = sample.heap.taken_ns,
						   .began_ns = sample.began_ns,
						   .rss = sample.usage.rss,
						   .retained = sample.heap.retained,
						   .purgeable = sample.heap.purgeable,
					   });
	if (s->allocs)
		allocs_after_sample(s->allocs, s->windows);
	collector_sample(s->collector,
			 &(struct collector_sample){
				 .time_ns = sample.heap.taken_ns,
				 .live = sample.heap.live_heap,
				 .threshold = window_threshold(&s->window_options, sample.usage.rss),
			 });
	return true;
}

bool session_work(struct session *s)
{
	return s->allocs && allocs_work(s->allocs);
}

void session_tick(struct session *s)
{
	if (s->allocs)
		allocs_tick(s->allocs);
}

void session_hurry(struct session *s)
{
	s->hurried_ns = clock_monotonic_ns();
	sampler_hurry(s->sampler);
}

bool session_is_current(const struct session *s)
{
	return s->now.status || (is_hurried(s) && !(s->allocs && allocs_is_busy(s->allocs)));
}

uint64_t session_mark(struct session *s, const char *kind, const char *text, bool awaited)
{
	struct mark mark = {
		.time_ns = clock_monotonic_ns(),
		.kind = kind,
		.text = text,
		.live = live_now(s),
		.reads = awaited ? MARK_READS_AWAITED : MARK_READS_NEAREST,
	};
	uint64_t number;

	session_look(s);
	mark.rss = s->usage.rss ? s->usage.rss : UNKNOWN;
	number = marking_add(s->marking, &mark);
	sampler_want(s->sampler);
	return number;
}

bool session_mark_is_read(const struct session *s, uint64_t mark)
{
	return marking_is_read(s->marking, mark);
}

const char *session_target_end(const struct session *s)
{
	return s->target_end[0] ? s->target_end : NULL;
}
