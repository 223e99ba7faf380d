#include "target/launch.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target/maps.h"
#include "target/object.h"

#define BREAKPOINT 0xccUL /* int3 */

/* Execs argv; an error number comes back through the pipe, which closes itself on success. */
static _Noreturn void child(char *const argv[], int report)
{
	sigset_t none;
	int err;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	execvp(argv[0], argv);
	err = errno;
	if (write(report, &err, sizeof(err)) < 0)
		_exit(126);
	_exit(127);
}

/*
 * Where the loader calls out when its list of objects changes; 0 for a static program. glibc's
 * calls it when it begins to add objects and again when they are relocated, before any
 * constructor (elf/rtld.c, 2.36); musl's once, then.
 */
static uint64_t loader_hook(pid_t pid)
{
	struct maps maps;
	uint64_t addr = 0;

	if (maps_read(pid, &maps, NULL))
		return 0;
	for (size_t i = 0; i < maps.cnt && !addr; i++) {
		struct object_symbol sym;
		struct object *obj;

		if (!maps.v[i].inode || maps.v[i].offset || object_open_mapped(pid, &maps.v[i], &obj, NULL))
			continue;
		if (!object_is_static(obj) && !object_find_symbol(obj, "_dl_debug_state", &sym))
			addr = object_bias(obj, &maps.v[i]) + sym.value;
		object_free(obj);
	}
	maps_free(&maps);
	return addr;
}

/* The program's own first instruction, from its auxiliary vector; 0 if that cannot be read. */
static uint64_t program_entry(pid_t pid)
{
	uint64_t pair[2], entry = 0;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/auxv", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	while (!entry && read(fd, pair, sizeof(pair)) == sizeof(pair))
		if (pair[0] == AT_ENTRY)
			entry = pair[1];
	close(fd);
	return entry;
}

struct breakpoint {
	uint64_t addr; /* 0: none */
	long code;     /* the word it replaced */
};

static void set(pid_t pid, struct breakpoint *b)
{
	errno = 0;
	b->code = b->addr ? ptrace(PTRACE_PEEKTEXT, pid, b->addr, NULL) : 0;
	if (!b->addr || errno || ptrace(PTRACE_POKETEXT, pid, b->addr, (b->code & ~0xffL) | BREAKPOINT))
		b->addr = 0;
}

static void clear(pid_t pid, const struct breakpoint *b)
{
	if (b->addr)
		ptrace(PTRACE_POKETEXT, pid, b->addr, b->code);
}

/* Resumes the child, passing its signals on, until it stands behind a breakpoint. Its address, or 0: it ended. */
static uint64_t run_to_breakpoint(pid_t pid, const struct breakpoint b[2], int *status)
{
	struct user_regs_struct regs;
	int sig = 0;

	for (;;) {
		if (ptrace(PTRACE_CONT, pid, NULL, sig) || waitpid(pid, status, __WALL) != pid || !WIFSTOPPED(*status))
			return 0;
		sig = WSTOPSIG(*status);
		if (sig != SIGTRAP || ptrace(PTRACE_GETREGS, pid, NULL, &regs))
			continue;
		for (int i = 0; i < 2; i++) {
			if (!b[i].addr || regs.rip != b[i].addr + 1)
				continue;
			regs.rip = b[i].addr;
			ptrace(PTRACE_SETREGS, pid, NULL, &regs);
			return b[i].addr;
		}
	}
}

/* Steps the child over the instruction under a breakpoint. */
static bool step_over(pid_t pid, struct breakpoint *b, int *status)
{
	clear(pid, b);
	if (ptrace(PTRACE_SINGLESTEP, pid, NULL, 0) || waitpid(pid, status, __WALL) != pid || !WIFSTOPPED(*status))
		return false;
	set(pid, b);
	return true;
}

/* Runs the child to where its libraries are mapped: the hook's second call, or the entry. False: it ended. */
static bool run_loader(pid_t pid, int *status)
{
	struct breakpoint b[2] = {{.addr = loader_hook(pid)}, {.addr = program_entry(pid)}};
	uint64_t at;

	if (!b[0].addr || !b[1].addr)
		return true;
	set(pid, &b[0]);
	set(pid, &b[1]);
	at = run_to_breakpoint(pid, b, status);
	if (at && at == b[0].addr)
		at = step_over(pid, &b[0], status) ? run_to_breakpoint(pid, b, status) : 0;
	if (!at)
		return false;
	clear(pid, &b[0]);
	clear(pid, &b[1]);
	return true;
}

static int exec_failed(pid_t pid, int report, const char *name, struct error *err)
{
	int code;

	if (read(report, &code, sizeof(code)) != sizeof(code))
		return 0;
	waitpid(pid, NULL, 0);
	return error_set(err, -code, "cannot run %s: %s", name, strerror(code));
}

int launch_held(char *const argv[], pid_t *pid, int *status, struct error *err)
{
	int report[2], rc;

	if (pipe2(report, O_CLOEXEC))
		return error_set(err, -errno, "cannot make a pipe: %s", strerror(errno));
	*pid = fork();
	if (!*pid)
		child(argv, report[1]);
	rc = *pid < 0 ? error_set(err, -errno, "cannot fork to run %s: %s", argv[0], strerror(errno)) : 0;
	close(report[1]);
	if (!rc)
		rc = exec_failed(*pid, report[0], argv[0], err);
	close(report[0]);
	if (rc)
		return rc;
	if (waitpid(*pid, status, __WALL) != *pid || !WIFSTOPPED(*status) || !run_loader(*pid, status))
		return error_set(err, -ECHILD, "%s ended before its first instruction", argv[0]);
	return 0;
}

int launch_release(pid_t pid)
{
	return ptrace(PTRACE_DETACH, pid, NULL, NULL) ? -errno : 0;
}
