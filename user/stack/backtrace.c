#include "stack/backtrace.h"

#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define FRAMES_MAX 4096 /* deeper stacks are cut */
#define REGISTERS 17    /* DWARF's rax … r15 and the return address (x86-64 psABI, figure 3.36) */

/* What is asked of one thread, while libdwfl calls us back. */
struct question {
	pid_t tid;
	const struct user_regs_struct *regs;
	bool (*fn)(const struct backtrace_frame *frame, void *arg);
	void *arg;
	unsigned frame_cnt;
	bool taken, cut;
};

struct backtrace {
	pid_t pid;
	Dwfl *dwfl;
	bool attached;
	struct question *now;
};

/* Not mapped (ELF_C_READ), unlike what libdwfl would open: a file truncated meanwhile would kill us by
 * SIGBUS. */
static int give_elf(Dwfl_Module *module, void **userdata, const char *name, Dwarf_Addr base, char **file,
		    Elf **elf)
{
	const struct object *obj = *userdata;
	int fd = fcntl(object_fd(obj), F_DUPFD_CLOEXEC, 0);

	(void)module;
	(void)base;
	*elf = fd < 0 ? NULL : elf_begin(fd, ELF_C_READ, NULL);
	*file = strdup(name);
	if (*elf)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static int give_nothing(Dwfl_Module *module, void **userdata, const char *name, Dwarf_Addr base,
			const char *file, const char *link, GElf_Word crc, char **found)
{
	(void)module;
	(void)userdata;
	(void)name;
	(void)base;
	(void)file;
	(void)link;
	(void)crc;
	(void)found;
	return -1;
}

static const Dwfl_Callbacks files = {.find_elf = give_elf, .find_debuginfo = give_nothing};

static pid_t next_thread(Dwfl *dwfl, void *arg, void **thread)
{
	struct backtrace *bt = arg;

	(void)dwfl;
	if (*thread)
		return 0;
	*thread = bt;
	return bt->now->tid;
}

static bool get_thread(Dwfl *dwfl, pid_t tid, void *arg, void **thread)
{
	(void)dwfl;
	(void)tid;
	*thread = arg;
	return true;
}

static bool read_word(Dwfl *dwfl, Dwarf_Addr addr, Dwarf_Word *word, void *arg)
{
	const struct backtrace *bt = arg;
	struct iovec local = {word, sizeof(*word)}, remote = {(void *)addr, sizeof(*word)};

	(void)dwfl;
	return process_vm_readv(bt->pid, &local, 1, &remote, 1, 0) == sizeof(*word);
}

static bool give_registers(Dwfl_Thread *thread, void *arg)
{
	const struct backtrace *bt = arg;
	const struct user_regs_struct *r = bt->now->regs;
	const Dwarf_Word words[REGISTERS] = {r->rax, r->rdx, r->rcx, r->rbx, r->rsi, r->rdi,
					     r->rbp, r->rsp, r->r8,  r->r9,  r->r10, r->r11,
					     r->r12, r->r13, r->r14, r->r15, r->rip};

	return dwfl_thread_state_registers(thread, 0, REGISTERS, words);
}

static const Dwfl_Thread_Callbacks threads = {.next_thread = next_thread,
					      .get_thread = get_thread,
					      .memory_read = read_word,
					      .set_initial_registers = give_registers};

/* An object's mappings follow one another, bss and all, and ascend in its file. */
static size_t object_end(const struct maps *maps, size_t first)
{
	size_t i = first + 1;

	while (i < maps->cnt && maps->v[i].inode == maps->v[first].inode &&
	       maps->v[i].dev == maps->v[first].dev && maps->v[i].offset > maps->v[i - 1].offset)
		i++;
	return i;
}

static bool has_code(const struct maps *maps, size_t first, size_t end)
{
	for (size_t i = first; i < end; i++)
		if (maps->v[i].exec)
			return true;
	return false;
}

static void report(struct backtrace *bt, const struct maps *maps, struct objects *objects)
{
	size_t end;

	dwfl_report_begin(bt->dwfl);
	for (size_t i = 0; i < maps->cnt; i = end) {
		struct object *obj;
		Dwfl_Module *module;
		void **userdata;

		end = i + 1;
		if (!maps->v[i].inode || maps->v[i].offset)
			continue;
		end = object_end(maps, i);
		obj = has_code(maps, i, end) ? objects_get(objects, &maps->v[i]) : NULL;
		module = obj ? dwfl_report_module(bt->dwfl, object_name(obj), maps->v[i].start,
						  maps->v[end - 1].end)
			     : NULL;
		if (!module)
			continue;
		dwfl_module_info(module, &userdata, NULL, NULL, NULL, NULL, NULL, NULL);
		*userdata = obj;
	}
	dwfl_report_end(bt->dwfl, NULL, NULL);
}

struct backtrace *backtrace_new(pid_t pid, const struct maps *maps, struct objects *objects)
{
	struct backtrace *bt = calloc(1, sizeof(*bt));

	if (!bt)
		return NULL;
	bt->pid = pid;
	elf_version(EV_CURRENT);
	bt->dwfl = dwfl_begin(&files);
	if (bt->dwfl) {
		report(bt, maps, objects);
		bt->attached = dwfl_attach_state(bt->dwfl, NULL, pid, &threads, bt);
	}
	if (bt->attached)
		return bt;
	backtrace_free(bt);
	return NULL;
}

void backtrace_free(struct backtrace *bt)
{
	if (!bt)
		return;
	if (bt->dwfl)
		dwfl_end(bt->dwfl);
	free(bt);
}

/* Whether call frame information covers an address, and whether it says that it is a signal frame. */
static bool is_covered(struct backtrace *bt, Dwarf_Addr addr, bool *signal)
{
	Dwfl_Module *module = dwfl_addrmodule(bt->dwfl, addr);

	for (int i = 0; module && i < 2; i++) {
		Dwarf_Addr bias;
		Dwarf_CFI *cfi = i ? dwfl_module_dwarf_cfi(module, &bias) : dwfl_module_eh_cfi(module, &bias);
		Dwarf_Frame *frame = NULL;

		if (!cfi || dwarf_cfi_addrframe(cfi, addr - bias, &frame))
			continue;
		dwarf_frame_info(frame, NULL, NULL, signal);
		free(frame);
		return true;
	}
	return false;
}

void backtrace_prepare(struct backtrace *bt, uint64_t addr)
{
	bool signal;

	is_covered(bt, addr, &signal);
}

static int take_frame(Dwfl_Frame *state, void *arg)
{
	struct backtrace *bt = arg;
	struct question *q = bt->now;
	struct backtrace_frame frame = {.signal = false};
	bool covered;

	if (q->frame_cnt++ == FRAMES_MAX || !dwfl_frame_pc(state, &frame.pc, &frame.exact)) {
		q->cut = true;
		return DWARF_CB_ABORT;
	}
	covered = is_covered(bt, frame.pc - !frame.exact, &frame.signal);
	q->taken = q->fn(&frame, q->arg);
	q->cut = !covered;
	return q->taken || q->cut ? DWARF_CB_ABORT : DWARF_CB_OK;
}

enum backtrace_end backtrace_each(struct backtrace *bt, pid_t tid, const struct user_regs_struct *regs,
				  bool (*fn)(const struct backtrace_frame *frame, void *arg), void *arg)
{
	struct question question = {.tid = tid, .regs = regs, .fn = fn, .arg = arg};
	int result;

	bt->now = &question;
	result = dwfl_getthread_frames(bt->dwfl, tid, take_frame, bt);
	bt->now = NULL;
	if (question.taken)
		return BACKTRACE_TAKEN;
	return question.cut || result != DWARF_CB_OK ? BACKTRACE_CUT : BACKTRACE_WHOLE;
}
