#include "probe/cost.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../bpf/share.h"
#include "base/clock.h"
#include "probe/gates.h"
#include "probe/own_code.h"

#define BATCH_CALLS 100
#define BATCH_CNT 10
#define LINKS_MAX 4

/* A malloc and a free that begin with what the kernel emulates, and a free that does not. */
void cost_alloc(uint64_t size), cost_alloc_ret(void), cost_free(uint64_t block),
	cost_free_stepped(uint64_t block);
__asm__(".text\n"
	".globl cost_alloc, cost_alloc_ret, cost_free, cost_free_stepped\n"
	"cost_alloc:\n"
	"	push %rbp\n"
	"	pop %rbp\n"
	"	mov %rdi, %rax\n"
	"cost_alloc_ret:\n"
	"	ret\n"
	"cost_free:\n"
	"	push %rbp\n"
	"	pop %rbp\n"
	"	ret\n"
	"cost_free_stepped:\n"
	"	test %rdi, %rdi\n"
	"	ret\n");

enum subject_call { CALL_ALLOC, CALL_FREE, CALL_STEPPED, CALL_CNT };

/* The least of some batches: everything else on the machine only adds. */
static double measure(void (*function)(uint64_t))
{
	uint64_t best = UINT64_MAX, data[2] = {0, 0};

	for (int batch = 0; batch < BATCH_CNT; batch++) {
		uint64_t began = clock_thread_cpu_ns(), took;

		for (int i = 0; i < BATCH_CALLS; i++)
			function((uintptr_t)&data[1]);
		took = clock_thread_cpu_ns() - began;
		if (took < best)
			best = took;
	}
	return (double)best / BATCH_CALLS;
}

static void __attribute__((noreturn)) child_main(int go, int result)
{
	static void (*const functions[CALL_CNT])(uint64_t) = {cost_alloc, cost_free, cost_free_stepped};
	double ns[CALL_CNT];
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(go, &byte, 1) == 1) {
		for (int i = 0; i < CALL_CNT; i++)
			ns[i] = measure(functions[i]);
		if (write(result, ns, sizeof(ns)) != sizeof(ns))
			_exit(1);
	}
	_exit(0);
}

struct child {
	pid_t pid;
	int go, result;
};

static int child_start(struct child *child)
{
	int go[2], result[2];

	if (pipe2(go, O_CLOEXEC))
		return -errno;
	if (pipe2(result, O_CLOEXEC)) {
		close(go[0]);
		close(go[1]);
		return -EMFILE;
	}
	child->pid = fork();
	if (child->pid == 0) {
		close(go[1]);
		close(result[0]);
		child_main(go[0], result[1]);
	}
	close(go[0]);
	close(result[1]);
	child->go = go[1];
	child->result = result[0];
	if (child->pid > 0)
		return 0;
	close(child->go);
	close(child->result);
	return -EAGAIN;
}

/* All calls, once more. */
static int child_run(const struct child *child, double ns[CALL_CNT])
{
	const ssize_t size = CALL_CNT * sizeof(*ns);

	if (write(child->go, "", 1) != 1)
		return -ECHILD;
	return read(child->result, ns, (size_t)size) == size ? 0 : -ECHILD;
}

static void child_end(const struct child *child)
{
	close(child->go);
	close(child->result);
	while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* Attaches a role's programs to one place of our own code, in the child. */
static int attach(const struct programs *programs, const struct feature *feature, struct keeper *keeper,
		  pid_t pid, enum plan_role role, void (*code)(uint64_t), enum call_shape shape,
		  kept_link *links, size_t *cnt)
{
	const uint64_t none = (uint64_t)ARG_NONE;
	bool frees = shape == SHAPE_FREE;
	struct link_spot spot = {
		.cookie = (uint64_t)shape << COOKIE_SHAPE_SHIFT | (frees ? COOKIE_HAS_HEADER : 0) |
			  (frees ? ARG_DI : none) << COOKIE_PTR_SHIFT |
			  (frees ? none : ARG_DI) << COOKIE_SIZE_SHIFT | none << COOKIE_COUNT_SHIFT,
	};
	struct program_use use[2];
	unsigned use_cnt = programs_of_role(programs, role, use);
	int ret = own_code_offset((const void *)(uintptr_t)code, &spot.offset);

	for (unsigned i = 0; !ret && i < use_cnt && *cnt < LINKS_MAX; i++) {
		ret = keeper_open(keeper,
				  &(struct link_request){
					  .backend = feature->backend,
					  .when = use[i].when,
					  .prog_fd = use[i].fd,
					  .path = "/proc/self/exe",
					  .pid = pid,
					  .spots = &spot,
					  .spot_cnt = 1,
				  },
				  &links[*cnt]);
		if (!ret)
			++*cnt;
	}
	return ret;
}

static int attach_all(const struct programs *programs, const struct feature *feature, struct keeper *keeper,
		      pid_t pid, kept_link *links, size_t *cnt)
{
	int ret = 0;

	if (!feature->return_probes)
		ret = attach(programs, feature, keeper, pid, PLAN_ALLOC_EXIT,
			     (void (*)(uint64_t))cost_alloc_ret, SHAPE_ALLOC, links, cnt);
	ret = ret ?: attach(programs, feature, keeper, pid, PLAN_ALLOC, cost_alloc, SHAPE_ALLOC, links, cnt);
	ret = ret ?: attach(programs, feature, keeper, pid, PLAN_FREE, cost_free, SHAPE_FREE, links, cnt);
	return ret
		       ?: attach(programs, feature, keeper, pid, PLAN_FREE, cost_free_stepped, SHAPE_FREE,
				 links, cnt);
}

/*
 * Under a budget: what of a hit is spent before and after the programs behind the gate, which are timed
 * in the target itself. ns: of calls with the gate closed, open: with it open.
 */
static void take_traps(const struct programs *programs, pid_t pid, const double ns[CALL_CNT],
		       const double open[CALL_CNT], struct probe_cost *cost)
{
	const struct gate_fds fds = programs_gate_fds(programs);
	double program_ns;
	struct gate_sum sum;

	cost->trap = ns[CALL_FREE];
	cost->return_trap = cost->call - 2 * cost->trap; /* if nothing was timed: most of what is left */
	if (!gates_spent(&fds, pid, CELL_BLOCKS, NULL, &sum) || !sum.returns)
		return;
	program_ns = (double)sum.program_ns / (double)sum.returns; /* of one of each call */
	cost->return_trap = open[CALL_ALLOC] + open[CALL_FREE] + (open[CALL_STEPPED] - cost->stepped) -
			    3 * cost->trap - program_ns;
	if (cost->return_trap < 0)
		cost->return_trap = 0;
}

static int measure_open(const struct programs *programs, const struct child *child, double ns[CALL_CNT])
{
	const struct gate_fds fds = programs_gate_fds(programs);
	const struct event_cell cell = {
		.head.func = CELL_BLOCKS, .state = CELL_BEGIN, .number = 1, .chance = CELL_SURE};
	int ret = gates_mark(&fds, child->pid, &cell, UINT32_MAX);

	return ret ? ret : child_run(child, ns);
}

static void take_costs(const double ns[CALL_CNT], struct probe_cost *cost)
{
	*cost = (struct probe_cost){
		.entry = ns[CALL_FREE],
		.call = ns[CALL_ALLOC],
		.stepped = ns[CALL_STEPPED] > ns[CALL_FREE] ? ns[CALL_STEPPED] - ns[CALL_FREE] : 0,
	};
}

int cost_calibrate(struct programs *programs, const struct feature *feature, struct unwind_tables *tables,
		   struct keeper *keeper, bool budgeted, struct probe_cost *cost)
{
	const struct gate_fds gates = programs_gate_fds(programs);
	double ns[CALL_CNT], open[CALL_CNT];
	kept_link links[LINKS_MAX];
	struct child child = {0};
	size_t cnt = 0;
	int ret;

	*cost = (struct probe_cost){
		.entry = 700, .call = 1500, .stepped = 2000, .trap = 650, .return_trap = 550};
	ret = child_start(&child);
	if (ret)
		return ret;
	programs_trace(programs, child.pid, &(struct program_process){.sees_loads = false});
	if (tables)
		unwind_tables_update(tables, child.pid, NULL);
	ret = budgeted ? gates_make(&gates, child.pid, CELL_BLOCKS) : 0;
	if (budgeted)
		gates_see_clock(&gates);
	ret = ret ?: attach_all(programs, feature, keeper, child.pid, links, &cnt);
	ret = ret ?: child_run(&child, ns);
	if (budgeted)
		ret = ret ?: measure_open(programs, &child, open);
	child_end(&child);
	keeper_drop(keeper, links, cnt);
	if (!ret) {
		take_costs(budgeted ? open : ns, cost);
		if (budgeted)
			take_traps(programs, child.pid, ns, open, cost);
	}
	if (tables)
		unwind_tables_forget(tables, child.pid);
	if (budgeted)
		gates_drop(&gates, child.pid, CELL_BLOCKS);
	programs_untrace(programs, child.pid);
	return ret;
}
