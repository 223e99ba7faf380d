#include "probe/attached.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/units.h"
#include "probe/functions.h"
#include "probe/gates.h"
#include "probe/missing.h"
#include "target/memory.h"
#include "target/objects.h"

/* A program that loads library after library has its maps read no oftener. */
#define UPDATE_INTERVAL (NSEC_PER_SEC / 10)

struct attached {
	const struct attached_context *ctx;
	pid_t pid;
	struct missing *missing;
	struct follow *follow;
	pthread_mutex_t placing; /* what follow does with links */
	struct python python;
	int python_status;             /* of python_find: 0, or −ENOENT as long as there is none */
	bool objects_on;               /* Python's, all the time */
	bool young;                    /* what it has inherited records, until its own probes are placed */
	struct milestones *milestones; /* NULL: no budget */
	struct early *early;           /* what its children inherit; NULL: they are not followed */
	uint64_t *hits;                /* by function, of those that leave a record */
	uint32_t hits_cap;
	uint64_t hit_cnt, charged_cnt; /* all of these; those when silent hits were charged last */
	double silent_ns;              /* what hits without a record have cost it */
	uint64_t last_update;

	/* What events have shown, to be acted upon. */
	bool loaded, forked, execed, changed_leader;
	bool cut; /* a stack led to code that the tables do not know */
};

/* What holds for every process on this kernel. */
static void say_mode(struct attached *a)
{
	if (!a->ctx->feature->return_probes)
		missing_add(a->missing,
			    "no return probes: on this kernel they kill a process under a seccomp filter; "
			    "calls are seen to end at their exits' instructions instead");
}

/* Said again whenever one of it changes. */
static int tell_kernel_side(struct attached *a)
{
	return programs_trace(a->ctx->programs, a->pid,
			      &(struct program_process){
				      .sees_loads = a->follow && follow_sees_loads(a->follow),
				      .followed = a->early && early_cnt(a->early),
				      .young = a->young,
			      });
}

/* Of what is mapped now; the process's end is told otherwise. */
static void update_tables(struct attached *a)
{
	struct error err;
	int ret = a->ctx->tables ? unwind_tables_update(a->ctx->tables, a->pid, &err) : 0;

	a->cut = false;
	if (ret && ret != -ESRCH)
		missing_add(a->missing, "stacks through code loaded lately are cut: %s", err.text);
}

/*
 * An interpreter may come with any library that is loaded; one that is found stays where it is.
 * Every object's symbols are looked through: not for a stack that was cut, of which a JIT makes many.
 */
static void find_python(struct attached *a)
{
	struct objects *objects;
	struct memory *mem = NULL;
	struct maps maps = {.v = NULL};
	struct error err = {.text = ""};
	int ret;

	if (!a->ctx->tables || a->python_status != -ENOENT)
		return;
	objects = objects_new(a->pid);
	ret = objects ? maps_read(a->pid, &maps, &err) : -ENOMEM;
	ret = ret ?: memory_open_process(a->pid, &mem, &err);
	ret = ret ?: python_find(mem, &maps, objects, &a->python, &err);
	ret = ret ?: programs_python(a->ctx->programs, a->pid, &a->python.layout);
	if (ret == -ENOTSUP)
		missing_add(a->missing, "%s", err.text);
	a->python_status = ret;
	memory_free(mem);
	maps_free(&maps);
	objects_free(objects);
}

static struct attached *attached_new(const struct attached_context *ctx, pid_t pid,
				     const struct attached *parent)
{
	struct attached *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->ctx = ctx;
	a->pid = pid;
	a->young = parent != NULL;
	a->python_status = -ENOENT;
	pthread_mutex_init(&a->placing, NULL);
	a->missing = missing_new();
	if (ctx->follow)
		a->early = early_new(ctx->early, parent ? parent->early : NULL);
	if (ctx->budgeted && ctx->tables)
		a->milestones = milestones_new(pid); /* without them is only less exact */
	if (a->missing && (a->early || !ctx->follow))
		return a;
	missing_free(a->missing);
	early_free(a->early);
	milestones_free(a->milestones);
	free(a);
	return NULL;
}

/* Its own probes record from here on, and the kernel side knows what its children are to inherit. */
static void come_of_age(struct attached *a)
{
	a->young = false;
	tell_kernel_side(a);
	if (!a->early)
		return;
	follow_inherit(a->follow, a->early);
	tell_kernel_side(a);
}

/* Those that are not in cells: once they are found, all the time. */
static void begin_objects(struct attached *a)
{
	const struct object_options *objects = &a->ctx->objects;
	const struct event_cell sure = {
		.head.func = CELL_OBJECTS,
		.number = 1,
		.chance = CELL_SURE,
		.sample_bytes = objects->sample_bytes,
		.state = CELL_BEGIN,
	};

	if (a->objects_on || objects->paced || !attached_sees_objects(a) ||
	    gates_make(&a->ctx->gates, a->pid, CELL_OBJECTS) ||
	    gates_mark(&a->ctx->gates, a->pid, &sure, INT64_MAX))
		return;
	pthread_mutex_lock(&a->placing);
	follow_switch_objects(a->follow, true);
	pthread_mutex_unlock(&a->placing);
	a->objects_on = true;
}

static struct follow_context follow_context(const struct attached *a)
{
	return (struct follow_context){
		.programs = a->ctx->programs,
		.plans = a->ctx->plans,
		.functions = a->ctx->functions,
		.missing = a->missing,
		.keeper = a->ctx->keeper,
		.backend = a->ctx->feature->backend,
	};
}

static int place(struct attached *a, struct error *err)
{
	const struct follow_context ctx = follow_context(a);
	uint64_t begin = clock_monotonic_ns();
	int ret = tell_kernel_side(a);

	if (!ret && a->ctx->budgeted)
		ret = gates_make(&a->ctx->gates, a->pid, CELL_BLOCKS);
	if (ret)
		return error_set(err, ret, "cannot mark process %d as traced: %s", a->pid, strerror(-ret));
	say_mode(a);
	update_tables(a);
	find_python(a);
	a->follow = follow_new(a->pid, &ctx);
	if (!a->follow)
		return error_set(err, -ENOMEM, "out of memory");
	ret = follow_update(a->follow, err);
	if (ret)
		return ret;
	come_of_age(a);
	begin_objects(a);
	if (!follow_probe_cnt(a->follow))
		missing_add(a->missing,
			    "process %d holds no function that we know: only its life is followed", a->pid);
	log_note(a->ctx->log, "%u probes placed in %.1f ms", follow_probe_cnt(a->follow),
		 (double)(clock_monotonic_ns() - begin) / 1e6);
	return 0;
}

int attached_open(const struct attached_context *ctx, pid_t pid, const struct attached *parent,
		  struct attached **result, struct error *err)
{
	struct attached *a = attached_new(ctx, pid, parent);
	int ret;

	if (!a)
		return error_set(err, -ENOMEM, "out of memory");
	ret = place(a, err);
	if (ret)
		attached_close(a);
	else
		*result = a;
	return ret;
}

void attached_close(struct attached *a)
{
	if (!a)
		return;
	follow_free(a->follow);
	early_free(a->early);
	if (a->milestones)
		milestones_drop(a->milestones, a->ctx->keeper);
	milestones_free(a->milestones);
	programs_untrace(a->ctx->programs, a->pid);
	gates_drop(&a->ctx->gates, a->pid, CELL_BLOCKS);
	gates_drop(&a->ctx->gates, a->pid, CELL_OBJECTS);
	if (a->ctx->tables)
		unwind_tables_forget(a->ctx->tables, a->pid);
	missing_free(a->missing);
	pthread_mutex_destroy(&a->placing);
	free(a->hits);
	free(a);
}

/* A realloc counts once, at its end. */
static void count_hit(struct attached *a, const struct event_head *head)
{
	uint32_t cap = head->func < 256 ? 256 : 2 * head->func;
	uint64_t *hits;

	if (head->kind == EVENT_REALLOC_BEGIN)
		return;
	if (head->func >= a->hits_cap) {
		hits = functions_get(a->ctx->functions, head->func) ? realloc(a->hits, cap * sizeof(*hits))
								    : NULL;
		if (!hits)
			return;
		memset(hits + a->hits_cap, 0, (cap - a->hits_cap) * sizeof(*hits));
		a->hits = hits;
		a->hits_cap = cap;
	}
	a->hits[head->func]++;
	a->hit_cnt++;
}

void attached_note(struct attached *a, const struct event *ev)
{
	if (a->milestones)
		milestones_note(a->milestones, ev);
	switch (ev->head->kind) {
	case EVENT_ALLOC:
	case EVENT_FREE:
	case EVENT_REALLOC_BEGIN:
	case EVENT_REALLOC:
		count_hit(a, ev->head);
		break;
	case EVENT_STACK:
		a->cut = a->cut || ev->stack->end == STACK_END_NO_MAPPING;
		break;
	case EVENT_LOADED:
		a->loaded = true;
		break;
	case EVENT_FORK:
		a->forked = true;
		if (a->ctx->attaches_children && !ev->fork->covered)
			missing_add(
				a->missing,
				"what children of process %d allocate until they are attached to, in their "
				"first 10-30 ms, is not seen",
				a->pid);
		break;
	case EVENT_EXEC:
		a->execed = true;
		a->changed_leader = a->changed_leader || ev->head->tid != ev->head->tgid;
		break;
	default:
		break;
	}
}

static void note_failure(const struct attached *a, int code, const struct error *err)
{
	if (code && code != -ESRCH && code != -ENOENT) /* the process's end is told otherwise */
		log_note(a->ctx->log, "probes are not up to date: %s", err->text);
}

static void act_on_exec(struct attached *a)
{
	struct error err = {.text = ""};

	programs_forget_blocks(a->ctx->programs);
	/* The tables are replaced as a whole: without any in between stacks would be lost. */
	if (a->ctx->tables)
		programs_python(a->ctx->programs, a->pid, NULL);
	a->python_status = -ENOENT;
	update_tables(a);
	find_python(a);
	pthread_mutex_lock(&a->placing);
	note_failure(a, follow_exec(a->follow, a->changed_leader, &err), &err);
	pthread_mutex_unlock(&a->placing);
	say_mode(a);
}

bool attached_wants(const struct attached *a)
{
	return a->execed || a->loaded || a->cut || a->forked || follow_wants_tick(a->follow);
}

void attached_act(struct attached *a, uint64_t now)
{
	struct error err = {.text = ""};

	if (a->execed) {
		act_on_exec(a);
		come_of_age(a);
		a->execed = a->changed_leader = a->loaded = false;
		a->last_update = now;
	} else if ((a->loaded || a->cut) && now - a->last_update >= UPDATE_INTERVAL) {
		update_tables(a);
		if (a->loaded) {
			find_python(a);
			pthread_mutex_lock(&a->placing);
			note_failure(a, follow_update(a->follow, &err), &err);
			pthread_mutex_unlock(&a->placing);
			come_of_age(a);
		}
		a->loaded = false;
		a->last_update = now;
	}
	begin_objects(a);
	if (a->forked)
		follow_sweep(a->follow);
	a->forked = false;
	follow_tick(a->follow);
}

const struct python *attached_python(const struct attached *a)
{
	return a->ctx->tables && !a->python_status ? &a->python : NULL;
}

bool attached_sees_collections(const struct attached *a)
{
	return a->follow && follow_sees_collections(a->follow);
}

enum mark_sight attached_sees_mark(const struct attached *a, size_t i)
{
	return a->follow ? follow_sees_mark(a->follow, i) : MARK_NO_OBJECT;
}

struct missing *attached_missing(const struct attached *a)
{
	return a->missing;
}

uint64_t attached_fresh_hits(const struct attached *a)
{
	return a->hit_cnt - a->charged_cnt;
}

void attached_charge(struct attached *a, double ns_per_hit, double ns)
{
	a->silent_ns += ns_per_hit * (double)attached_fresh_hits(a) + ns;
	a->charged_cnt = a->hit_cnt;
}

uint64_t attached_probe_ns(const struct attached *a, const struct probe_cost *cost)
{
	struct gate_sum objects;
	double ns = a->silent_ns;

	if (gates_spent(&a->ctx->gates, a->pid, CELL_OBJECTS, NULL, &objects))
		ns += (double)objects.entries * cost->entry +
		      (double)objects.stacks * (cost->call - cost->entry);
	for (uint32_t i = 0; i < a->hits_cap; i++) {
		const struct traced_function *fn = a->hits[i] ? functions_get(a->ctx->functions, i) : NULL;

		if (fn && !(fn->allocator && fn->allocator->layer))
			ns += (double)a->hits[i] * ((fn->shape == PROBE_FREE ? cost->entry : cost->call) +
						    (fn->stepped ? cost->stepped : 0));
	}
	return (uint64_t)ns;
}

bool attached_sees_objects(const struct attached *a)
{
	return a->ctx->objects.wanted && a->follow && follow_has_objects(a->follow);
}

bool attached_paces_objects(const struct attached *a)
{
	return a->ctx->objects.paced && attached_sees_objects(a);
}

bool attached_switch(struct attached *a, uint32_t stream, bool on)
{
	if (pthread_mutex_trylock(&a->placing))
		return false;
	if (stream == CELL_OBJECTS)
		follow_switch_objects(a->follow, on);
	else
		follow_switch_allocs(a->follow, on);
	pthread_mutex_unlock(&a->placing);
	return true;
}

struct milestones *attached_milestones(const struct attached *a)
{
	return a->milestones;
}

pid_t attached_pid(const struct attached *a)
{
	return a->pid;
}

unsigned attached_probe_cnt(const struct attached *a)
{
	return follow_probe_cnt(a->follow);
}

unsigned attached_lost_cnt(const struct attached *a)
{
	return follow_lost_cnt(a->follow);
}
