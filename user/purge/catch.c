#include "purge/catch.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "purge/standing.h"

#define SPOTS_MAX 6
#define INSTRUCTION_MAX 15
#define STOPS_MAX                                                                                            \
	16 /* refused ones, after which it is left alone: it may come by a million times a second            \
	    */
#define USER_CODE 0x33 /* the selector of 64-bit code, arch/x86/include/asm/segment.h */

struct spots {
	struct catcher_spot at[SPOTS_MAX];
	uint64_t addr[SPOTS_MAX]; /* in the target */
	enum attempt_place place[SPOTS_MAX];
	size_t cnt;
	uint64_t deadline_ns;
	unsigned stops;
};

static void add_spot(struct spots *s, struct object *obj, uint64_t offset, uint64_t addr,
		     enum attempt_place place)
{
	if (s->cnt == SPOTS_MAX)
		return;
	s->at[s->cnt] = (struct catcher_spot){obj, offset};
	s->addr[s->cnt] = addr;
	s->place[s->cnt++] = place;
}

static void add_return(const struct purge_plan *plan, const struct attempt *a, struct spots *s)
{
	const struct mapping *m = a->call.number == WAIT_RUNS ? NULL : maps_find(&plan->maps, a->call.pc);
	struct object *obj = m && m->exec ? objects_get(plan->objects, m) : NULL;

	if (obj)
		add_spot(s, obj, a->call.pc - m->start + m->offset, a->call.pc, ATTEMPT_RETURNING);
}

static void add_entries_of(struct object *obj, const struct mapping *m, const char *prefix, struct spots *s)
{
	static const char *const entries[] = {"malloc", "free", "realloc", "calloc"};
	char name[ALLOCATOR_SYMBOL_MAX];
	struct object_symbol sym;

	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++)
		if (!object_find_symbol(obj, allocator_symbol(name, prefix, entries[i]), &sym))
			add_spot(s, obj, sym.file_offset, object_bias(obj, m) + sym.value,
				 ATTEMPT_ALLOCATING);
}

static void add_entries(const struct purge_plan *plan, struct spots *s)
{
	for (size_t i = 0; i < plan->found_cnt; i++) {
		const struct mapping *m = plan->found[i].object;
		struct object *obj = plan->found[i].kind == plan->kind ? objects_get(plan->objects, m) : NULL;
		const char *prefix;
		size_t at = 0;

		while (obj && (prefix = allocator_prefix_in(plan->kind, obj, &at)))
			add_entries_of(obj, m, prefix, s);
	}
}

/* At one of the spots: the kernel has executed the probed instruction before it delivers the signal. */
static bool is_at_spot(const struct spots *s, const struct user_regs_struct *regs, enum attempt_place *place)
{
	if (regs->cs != USER_CODE || (long)regs->orig_rax >= 0)
		return false;
	for (size_t i = 0; i < s->cnt; i++) {
		if (regs->rip - s->addr[i] <= INSTRUCTION_MAX) {
			*place = s->place[i];
			return true;
		}
	}
	return false;
}

/*
 * While it is traced, signals that are ignored interrupt its calls as others do: those that they
 * would end are begun anew.
 */
static int pass_on(struct tracee *t, struct user_regs_struct *regs)
{
	attempt_begin_anew(t, regs);
	return tracee_resume(t, TRACEE_RUN, t->stop == TRACEE_SIGNAL ? t->signal : 0);
}

static int take_stop(const struct purge_plan *plan, struct attempt *a, struct spots *s, struct tracee *t,
		     bool *called)
{
	struct user_regs_struct regs;
	struct thread_stack stack;
	int err = tracee_registers(t, &regs);

	if (err)
		return attempt_refuse(a, "has ended");
	if (t->stop != TRACEE_SIGNAL || t->signal != a->signal || !is_at_spot(s, &regs, &a->place))
		return pass_on(t, &regs) ? attempt_refuse(a, "has ended") : 0;
	a->stopped_ns = clock_monotonic_ns();
	if (standing_check(plan, a, t, &regs, a->place == ATTEMPT_ALLOCATING, &stack)) {
		if (++s->stops < STOPS_MAX)
			return tracee_resume(t, TRACEE_RUN, 0) ? attempt_refuse(a, "has ended") : 0;
		tracee_release(t, 0);
		return -EAGAIN;
	}
	*called = true;
	err = standing_call(plan, a, t, &regs, &stack);
	a->released_ns = clock_monotonic_ns();
	return err;
}

static int not_come(struct attempt *a)
{
	char before[ATTEMPT_WHY_MAX];

	memcpy(before, a->why, sizeof(before));
	return attempt_refuse(a, "%.120s; waited for, it neither came back nor allocated", before);
}

static int catch_tracing(const struct purge_plan *plan, struct attempt *a, void *arg)
{
	struct spots *s = arg;
	struct tracee t;
	bool called = false;
	int err = tracee_seize(&t, a->tid);

	if (err)
		return process_alive(plan->process)
			       ? attempt_refuse(a, "may not be traced: it is ending, or somebody else's")
			       : -ESRCH;
	while (!called && !err) {
		err = tracee_wait(&t, s->deadline_ns);
		if (err == -ETIMEDOUT)
			return s->stops ? -EAGAIN : not_come(a);
		if (err)
			return attempt_refuse(a, "has ended");
		if (t.stop == TRACEE_JOB) {
			tracee_release(&t, 0);
			return attempt_refuse(a, "was stopped as a job");
		}
		err = take_stop(plan, a, s, &t, &called);
	}
	return err;
}

/* Armed before the thread is seized: what it is traced for without need is kept short. */
int catch_call(const struct purge_plan *plan, struct catcher *catcher, struct attempt *a,
	       uint64_t deadline_ns)
{
	struct spots s = {.deadline_ns = deadline_ns};
	int err;

	if (!attempt_check_status(plan, a))
		return -EAGAIN;
	if (a->signal_blocked)
		return attempt_refuse(
			a, "blocks or catches both SIGURG and SIGWINCH: no signal is left to stop it by");
	add_return(plan, a, &s);
	add_entries(plan, &s);
	err = s.cnt ? catcher_arm(catcher, plan->process->pid, a->tid, a->signal, s.at, s.cnt) : -ENOENT;
	if (err)
		return attempt_refuse(a, "cannot be caught: %s", strerror(-err));
	err = attempt_trace(plan, a, catch_tracing, &s);
	catcher_disarm(catcher);
	return err;
}
