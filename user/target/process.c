#include "target/process.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/printable.h"

#define PF_KTHREAD 0x00200000 /* linux/sched.h; its place in /proc/PID/stat is field 9 */
#define PROGRAM_HEADERS_MAX 64

/* Reads /proc/PID/name whole into buf, NUL-ended; its length or −errno. */
static ssize_t read_proc(pid_t pid, const char *name, char *buf, size_t size)
{
	char path[64];
	size_t used = 0;
	ssize_t got = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (used < size - 1 && (got = read(fd, buf + used, size - 1 - used)) > 0)
		used += (size_t)got;
	got = used || got == 0 ? (ssize_t)used : -errno;
	close(fd);
	buf[used] = '\0';
	return got;
}

/* The number after "\nkey:" in a status or smaps_rollup file; false if there is no such line. */
static bool find_number(const char *text, const char *key, uint64_t *value)
{
	char line[32];
	const char *at;

	snprintf(line, sizeof(line), "\n%s:", key);
	at = strstr(text, line);
	if (!at)
		return false;
	*value = strtoull(at + strlen(line), NULL, 10);
	return true;
}

static bool find_bytes(const char *text, const char *key, uint64_t *bytes)
{
	if (!find_number(text, key, bytes))
		return false;
	*bytes <<= 10; /* these files count in KiB */
	return true;
}

struct stat_line {
	char state;
	unsigned flags;
	unsigned threads;
};

/* State, flags and num_threads of /proc/PID/stat, which everybody may read. */
static int read_stat(pid_t pid, struct stat_line *st)
{
	char text[1024], *at;
	ssize_t len = read_proc(pid, "stat", text, sizeof(text));

	if (len < 0)
		return (int)len;
	at = strrchr(text, ')'); /* comm may hold anything, parentheses too */
	if (!at || sscanf(at + 1, " %c %*d %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %u",
			  &st->state, &st->flags, &st->threads) != 3)
		return -ESRCH;
	return 0;
}

static void read_comm(struct process *p)
{
	char text[sizeof(p->comm)];
	ssize_t len = read_proc(p->pid, "comm", text, sizeof(text));

	if (len > 0 && text[len - 1] == '\n')
		text[len - 1] = '\0';
	printable(p->comm, sizeof(p->comm), len > 0 ? text : "?");
}

static int no_such_process(pid_t pid, struct error *err)
{
	return error_set(err, -ESRCH, "there is no process %d", pid);
}

/* Refuses what has no user address space of its own that could be looked at. */
static int check_kind(const struct process *p, struct error *err)
{
	char text[4096];
	uint64_t tgid;
	struct stat_line st;

	if (read_proc(p->pid, "status", text, sizeof(text)) <= 0 || read_stat(p->pid, &st) != 0)
		return no_such_process(p->pid, err);
	if (find_number(text, "Tgid", &tgid) && tgid != (uint64_t)p->pid)
		return error_set(err, -EINVAL, "%d is a thread of process %" PRIu64 ": name that one", p->pid,
				 tgid);
	if (st.flags & PF_KTHREAD)
		return error_set(err, -EINVAL, "%d (%s) is a kernel thread: it has no heap", p->pid, p->comm);
	if (st.state == 'Z' && st.threads > 1)
		return error_set(err, -ENOTSUP,
				 "the main thread of %d (%s) has ended while others run: "
				 "its memory cannot be reached through /proc",
				 p->pid, p->comm);
	if (st.state == 'Z' || st.state == 'X')
		return error_set(err, -ESRCH,
				 "%d (%s) has ended already: it is a zombie that its parent "
				 "has not waited for",
				 p->pid, p->comm);
	return 0;
}

/* Why the kernel denies us a process, as far as it can be told from outside. */
static int no_permission(const struct process *p, int code, struct error *err)
{
	char text[4096], scope = '0';
	uint64_t uid = 0;
	FILE *f;

	if (read_proc(p->pid, "status", text, sizeof(text)) <= 0 || !find_number(text, "Uid", &uid))
		return no_such_process(p->pid, err);
	if (geteuid() == 0)
		return error_set(err, code,
				 "no permission to read the memory of %d (%s) although we are root: "
				 "CAP_SYS_PTRACE is missing (in a container: --cap-add SYS_PTRACE)",
				 p->pid, p->comm);
	if (uid != geteuid())
		return error_set(err, code,
				 "no permission to read the memory of %d (%s), which belongs to "
				 "uid %" PRIu64 ": run as that user, or with sudo",
				 p->pid, p->comm, uid);
	f = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
	if (f) {
		if (fread(&scope, 1, 1, f) != 1)
			scope = '0';
		fclose(f);
	}
	if (scope != '0')
		return error_set(err, code,
				 "no permission to read the memory of %d (%s): "
				 "/proc/sys/kernel/yama/ptrace_scope is %c, so run with sudo",
				 p->pid, p->comm, scope);
	return error_set(err, code,
			 "no permission to read the memory of %d (%s), which has shut itself off "
			 "(setuid program or PR_SET_DUMPABLE 0): run with sudo",
			 p->pid, p->comm);
}

/* The right that every reader of memory needs (PTRACE_MODE_ATTACH, ptrace(2)); this open tries it. */
static int check_permission(const struct process *p, struct error *err)
{
	char path[64];
	int fd, code;

	snprintf(path, sizeof(path), "/proc/%d/mem", p->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		close(fd);
		return 0;
	}
	code = -errno;
	if (code == -EACCES || code == -EPERM)
		return no_permission(p, code, err);
	return no_such_process(p->pid, err);
}

static bool has_interpreter(int fd, const Elf64_Ehdr *eh)
{
	Elf64_Phdr ph;

	for (unsigned i = 0; i < eh->e_phnum && i < PROGRAM_HEADERS_MAX; i++) {
		if (pread(fd, &ph, sizeof(ph), (off_t)(eh->e_phoff + i * sizeof(ph))) != sizeof(ph))
			break;
		if (ph.p_type == PT_INTERP)
			return true;
	}
	return false;
}

/* exe and is_static. A program that we may run but not read is taken for a dynamic one. */
static int read_exe(struct process *p, struct error *err)
{
	char path[64], target[sizeof(p->exe)];
	Elf64_Ehdr eh;
	ssize_t len;
	int fd, result = 0;

	snprintf(path, sizeof(path), "/proc/%d/exe", p->pid);
	len = readlink(path, target, sizeof(target) - 1);
	target[len > 0 ? len : 0] = '\0';
	printable(p->exe, sizeof(p->exe), target);
	p->is_static = false;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (pread(fd, &eh, sizeof(eh), 0) == sizeof(eh) && memcmp(eh.e_ident, ELFMAG, SELFMAG) == 0) {
		if (eh.e_ident[EI_CLASS] != ELFCLASS64)
			result = error_set(err, -ENOTSUP,
					   "%d (%s) is a 32-bit process: only 64-bit ones are supported",
					   p->pid, p->comm);
		else
			p->is_static = !has_interpreter(fd, &eh);
	}
	close(fd);
	return result;
}

/* −1 where there is none (before Linux 5.3, or filtered): then the PID alone has to do. */
static int open_pidfd(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0); /* close-on-exec by itself */
}

int process_open(pid_t pid, struct process *p, struct error *err)
{
	int result;

	*p = (struct process){.pid = pid, .pidfd = -1};
	if (pid <= 0)
		return no_such_process(pid, err);
	/* First: whatever is found out afterwards is about the process that the descriptor holds. */
	p->pidfd = open_pidfd(pid);
	read_comm(p);
	result = check_kind(p, err);
	if (result == 0)
		result = check_permission(p, err);
	if (result == 0)
		result = read_exe(p, err);
	if (result == 0 && !process_alive(p))
		result = no_such_process(pid, err);
	if (result != 0)
		process_close(p);
	return result;
}

void process_close(struct process *p)
{
	if (p->pidfd >= 0)
		close(p->pidfd);
	p->pidfd = -1;
}

/* Where a pidfd would be stands what is readable as that would be, whoever has the PID now. */
int process_gone(pid_t pid, const struct process *parent, struct process *p)
{
	*p = *parent;
	p->pid = pid;
	p->pidfd = eventfd(1, EFD_CLOEXEC);
	return p->pidfd < 0 ? -errno : 0;
}

bool process_alive(const struct process *p)
{
	struct pollfd fd = {.fd = p->pidfd, .events = POLLIN};
	struct stat_line st;

	if (p->pidfd >= 0)
		return poll(&fd, 1, 0) == 0;
	return read_stat(p->pid, &st) == 0 && (st.state != 'Z' || st.threads > 1) && st.state != 'X';
}

int process_uid(const struct process *p, uid_t *uid)
{
	uint64_t number;
	char text[4096];

	if (read_proc(p->pid, "status", text, sizeof(text)) <= 0 || !find_number(text, "Uid", &number))
		return -ESRCH;
	*uid = (uid_t)number;
	return 0;
}

int process_refresh(struct process *p, const char *comm, struct error *err)
{
	printable(p->comm, sizeof(p->comm), comm);
	if (!process_alive(p))
		return no_such_process(p->pid, err);
	return read_exe(p, err);
}

int process_usage(const struct process *p, bool want_lazy_free, struct process_usage *u)
{
	char text[4096];

	*u = (struct process_usage){0};
	if (read_proc(p->pid, "status", text, sizeof(text)) <= 0 || !find_bytes(text, "VmRSS", &u->rss))
		return -ESRCH; /* gone, or on its way out: it has no memory any more */
	find_bytes(text, "RssAnon", &u->anon);
	find_bytes(text, "RssShmem", &u->shmem);
	find_bytes(text, "VmSwap", &u->swap);
	if (!want_lazy_free)
		return 0;
	if (read_proc(p->pid, "smaps_rollup", text, sizeof(text)) <= 0 ||
	    !find_bytes(text, "LazyFree", &u->lazy_free))
		return process_alive(p) ? -EACCES : -ESRCH;
	/* From 6.2 to 6.16 status lags by what each CPU has not added up yet; this sum is exact. */
	find_bytes(text, "Rss", &u->rss);
	return 0;
}
