#include "purge/plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/file.h"
#include "target/cgroup.h"
#include "target/errno_place.h"
#include "target/sigreturn.h"

#define KCMP_VM 1 /* linux/kcmp.h */

static bool read_code(pid_t pid, uint64_t addr, uint8_t *bytes, size_t len)
{
	struct iovec local = {bytes, len}, remote = {(void *)addr, len};

	return process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)len;
}

static bool remember(const struct purge_plan *plan, uint64_t addr, size_t len, struct purge_code *code)
{
	code->len = plan->is_for_show ? 0 : len;
	code->addr = addr && (!code->len || read_code(plan->process->pid, addr, code->bytes, len)) ? addr : 0;
	return code->addr;
}

static bool find_function(const struct purge_plan *plan, struct object *obj, const struct mapping *m,
			  const char *name, struct purge_code *code)
{
	struct object_symbol sym;

	return !object_find_symbol(obj, name, &sym) &&
	       remember(plan, object_bias(obj, m) + sym.value, PURGE_CODE_LEN, code);
}

static int find_method(struct purge_plan *plan, const struct allocator *kind, struct error *err)
{
	plan->method = purge_method_of(kind);
	if (!plan->method)
		return error_set(err, -ENOTSUP, "%s has no purge: what it keeps cannot be had back",
				 kind->name);
	for (size_t i = 0; i < plan->found_cnt; i++) {
		struct object *obj = plan->found[i].kind == kind
					     ? objects_get(plan->objects, plan->found[i].object)
					     : NULL;
		const char *prefix;
		size_t at = 0;

		while (obj && (prefix = allocator_prefix_in(kind, obj, &at)))
			if (find_function(plan, obj, plan->found[i].object,
					  allocator_symbol(plan->symbol, prefix, plan->method->symbol),
					  &plan->function))
				return 0;
	}
	return error_set(err, -ENOENT,
			 "%s of process %d is not found: its program has been stripped of names",
			 plan->method->symbol, plan->process->pid);
}

/* What the C library has for it, or a static program; of several objects the first. */
static void find_helpers(struct purge_plan *plan)
{
	for (size_t i = 0; i < plan->maps.cnt; i++) {
		const struct mapping *m = &plan->maps.v[i];
		struct object *obj = m->exec && m->inode ? objects_get(plan->objects, m) : NULL;

		if (!obj)
			continue;
		if (!plan->sigreturn.addr)
			remember(plan, sigreturn_find(obj, m), SIGRETURN_LEN, &plan->sigreturn);
		if (!plan->errno_known)
			plan->errno_known =
				!errno_place_find(plan->process->pid, obj, m, &plan->errno_distance);
		if (!plan->swab.addr)
			find_function(plan, obj, m, "swab", &plan->swab);
	}
}

/* A child of vfork, or of clone with CLONE_VM: not until its exec is the memory its own. */
static bool shares_memory_with_parent(pid_t pid, const char *status)
{
	const char *at = strstr(status, "\nPPid:");
	int parent = at ? atoi(at + 6) : 0;

	return parent > 0 && syscall(SYS_kcmp, pid, parent, KCMP_VM, 0, 0) == 0;
}

/* By the freezer of cgroup v2: its own cgroup's, or one above (Documentation/admin-guide/cgroup-v2.rst). */
static bool is_frozen(pid_t pid)
{
	char proc[64], text[4096], folder[CGROUP_PATH_MAX], *path;
	struct cgroup_tree *tree = malloc(sizeof(*tree));
	bool frozen = false;

	snprintf(proc, sizeof(proc), "/proc/%d", pid);
	if (tree && !cgroup_tree_open("/proc", tree, NULL) &&
	    file_read_in(proc, "cgroup", text, sizeof(text)) > 0 && (path = strstr(text, "0::/"))) {
		path += strlen("0::");
		path[strcspn(path, "\n")] = '\0';
		frozen = cgroup_folder(&tree->unified, path, folder) &&
			 file_read_in(folder, "cgroup.events", text, sizeof(text)) > 0 &&
			 strstr(text, "frozen 1");
	}
	free(tree);
	return frozen;
}

/* What about a process as a whole speaks against it. */
static int check_process(const struct process *p, struct error *err)
{
	char path[64], status[4096];
	const char *at;

	snprintf(path, sizeof(path), "/proc/%d", p->pid);
	if (file_read_in(path, "status", status, sizeof(status)) <= 0)
		return error_set(err, -ESRCH, "process %d has ended", p->pid);
	at = strstr(status, "\nTracerPid:");
	if (at && atoi(at + 11))
		return error_set(
			err, -ENOTSUP,
			"process %d is traced by process %d (a debugger?), and can have one tracer only",
			p->pid, atoi(at + 11));
	at = strstr(status, "\nState:\t");
	if (at && (at[8] == 'T' || at[8] == 't'))
		return error_set(err, -ENOTSUP, "process %d is stopped: continue it first (kill -CONT %d)",
				 p->pid, p->pid);
	if (is_frozen(p->pid))
		return error_set(err, -ENOTSUP, "process %d is frozen by its cgroup: thaw it first", p->pid);
	if (shares_memory_with_parent(p->pid, status))
		return error_set(err, -ENOTSUP, "process %d is a vfork child: the memory is its parent's",
				 p->pid);
	return 0;
}

int purge_plan_make(const struct process *process, struct memory *mem, const struct allocator *kind,
		    bool is_for_show, struct purge_plan *plan, struct error *err)
{
	int result;

	*plan = (struct purge_plan){.process = process, .kind = kind, .is_for_show = is_for_show};
	result = check_process(process, err);
	if (!result)
		result = memory_maps(mem, &plan->maps, err);
	if (result)
		return result;
	plan->objects = objects_new(process->pid);
	if (!plan->objects)
		return error_set(err, -ENOMEM, "no memory to look at process %d", process->pid);
	plan->found_cnt = serving_find(&plan->maps, plan->objects, mem, NULL, plan->found);
	result = find_method(plan, kind, err);
	if (result)
		return result;
	find_helpers(plan);
	if (!plan->sigreturn.addr)
		return error_set(err, -ENOTSUP, "process %d has no code to return from signals by",
				 process->pid);
	plan->ground = ground_new(&plan->maps, plan->objects, plan->found, plan->found_cnt);
	plan->backtrace = backtrace_new(process->pid, &plan->maps, plan->objects);
	if (!plan->ground || !plan->backtrace)
		return error_set(err, -ENOMEM, "no memory to look at process %d", process->pid);
	return 0;
}

void purge_plan_free(struct purge_plan *plan)
{
	backtrace_free(plan->backtrace);
	ground_free(plan->ground);
	objects_free(plan->objects);
	maps_free(&plan->maps);
	*plan = (struct purge_plan){.process = NULL};
}

static bool holds(pid_t pid, const struct purge_code *code)
{
	uint8_t now[PURGE_CODE_LEN];

	return !code->addr || !code->len ||
	       (read_code(pid, code->addr, now, code->len) && !memcmp(now, code->bytes, code->len));
}

bool purge_plan_holds(const struct purge_plan *plan)
{
	pid_t pid = plan->process->pid;

	return holds(pid, &plan->function) && holds(pid, &plan->sigreturn) && holds(pid, &plan->swab);
}
