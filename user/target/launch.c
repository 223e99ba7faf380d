#include "target/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
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

/* Where the loader calls out once its list of objects is consistent; 0 for a static program. */
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

/* Lets the child run until it stands at addr, passing its signals on. False: it ended instead. */
static bool run_to(pid_t pid, uint64_t addr)
{
	struct user_regs_struct regs;
	int status, sig = 0;
	long code;

	errno = 0;
	code = ptrace(PTRACE_PEEKTEXT, pid, addr, NULL);
	if (errno || ptrace(PTRACE_POKETEXT, pid, addr, (code & ~0xffL) | BREAKPOINT))
		return true;
	for (;;) {
		if (ptrace(PTRACE_CONT, pid, NULL, sig) || waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status))
			return false;
		sig = WSTOPSIG(status);
		if (sig == SIGTRAP && !ptrace(PTRACE_GETREGS, pid, NULL, &regs) && regs.rip == addr + 1)
			break;
	}
	regs.rip = addr;
	ptrace(PTRACE_POKETEXT, pid, addr, code);
	ptrace(PTRACE_SETREGS, pid, NULL, &regs);
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

int launch_held(char *const argv[], pid_t *pid, struct error *err)
{
	uint64_t hook;
	int report[2], status, rc;

	if (pipe2(report, O_CLOEXEC))
		return error_set(err, -errno, "cannot make a pipe: %s", strerror(errno));
	*pid = fork();
	if (*pid < 0) {
		rc = error_set(err, -errno, "cannot fork to run %s: %s", argv[0], strerror(errno));
		close(report[0]);
		close(report[1]);
		return rc;
	}
	if (!*pid)
		child(argv, report[1]);
	close(report[1]);
	rc = exec_failed(*pid, report[0], argv[0], err);
	close(report[0]);
	if (rc)
		return rc;
	if (waitpid(*pid, &status, __WALL) != *pid || !WIFSTOPPED(status))
		return error_set(err, -ECHILD, "%s ended before it could be traced", argv[0]);
	hook = loader_hook(*pid);
	if (hook && !run_to(*pid, hook))
		return error_set(err, -ECHILD, "%s ended before it could be traced", argv[0]);
	return 0;
}

int launch_release(pid_t pid)
{
	return ptrace(PTRACE_DETACH, pid, NULL, NULL) ? -errno : 0;
}
