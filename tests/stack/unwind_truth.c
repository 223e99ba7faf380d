/*
 * Whether our unwinding in the kernel and libdwfl's agree on the very same moments of a process:
 *
 *   unwind_truth PID OBJECT FUNCTION EVENTS SECONDS EVERY
 *
 * Looks at one of EVERY calls of OBJECT's FUNCTION and prints, when EVENTS have been compared
 * or SECONDS are over, one JSON object: compared, same, and of the others a few in words.
 */
#include <bpf/libbpf.h>
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../bpf/unwind.h"
#include "base/clock.h"
#include "base/units.h"
#include "probe/unwind_tables.h"
#include "unwind_truth.h"
#include "unwind_truth.skel.h"

#define TOLD_MAX 5

struct comparison {
	pid_t pid;
	Dwfl *dwfl;
	const struct truth *now;
	uint64_t frames[EVENT_FRAMES_MAX + 1]; /* libdwfl's, of the event being compared */
	unsigned cnt;
	uint64_t wanted, compared, same, theirs_cut, ended[STACK_END_CNT], depth;
	char told[TOLD_MAX][2000];
	unsigned told_cnt;
};

static pid_t next_thread(Dwfl *dwfl, void *arg, void **thread)
{
	struct comparison *c = arg;

	(void)dwfl;
	if (*thread)
		return 0;
	*thread = c;
	return (pid_t)c->now->tid;
}

static bool get_thread(Dwfl *dwfl, pid_t tid, void *arg, void **thread)
{
	(void)dwfl;
	(void)tid;
	*thread = arg;
	return true;
}

static bool read_memory(Dwfl *dwfl, Dwarf_Addr addr, Dwarf_Word *word, void *arg)
{
	const struct comparison *c = arg;
	uint64_t offset = addr - c->now->registers[7];
	struct iovec local = {word, sizeof(*word)}, remote = {(void *)addr, sizeof(*word)};

	(void)dwfl;
	if (offset <= c->now->stack_size && c->now->stack_size - offset >= sizeof(*word)) {
		memcpy(word, c->now->stack + offset, sizeof(*word));
		return true;
	}
	return process_vm_readv(c->pid, &local, 1, &remote, 1, 0) == sizeof(*word);
}

static bool set_registers(Dwfl_Thread *thread, void *arg)
{
	const struct comparison *c = arg;
	Dwarf_Word words[17];

	for (int i = 0; i < 17; i++)
		words[i] = c->now->registers[i];
	return dwfl_thread_state_registers(thread, 0, 17, words);
}

static int take_frame(Dwfl_Frame *frame, void *arg)
{
	struct comparison *c = arg;
	Dwarf_Addr pc;
	bool exact;

	if (c->cnt == EVENT_FRAMES_MAX + 1 || !dwfl_frame_pc(frame, &pc, &exact))
		return DWARF_CB_ABORT;
	c->frames[c->cnt++] = pc;
	return DWARF_CB_OK;
}

/* Of a frame that a signal interrupted ours is where it stands and one more, as if it had called. */
static bool is_same(uint64_t ours, uint64_t theirs)
{
	return ours == theirs || ours == theirs + 1;
}

static void name(const struct comparison *c, uint64_t addr, char *buf, size_t size)
{
	Dwfl_Module *module = dwfl_addrmodule(c->dwfl, addr - 1);
	const char *symbol = module ? dwfl_module_addrname(module, addr - 1) : NULL;
	const char *file = module ? dwfl_module_info(module, 0, 0, 0, 0, 0, 0, 0) : NULL;

	snprintf(buf, size, "%" PRIx64 " %.60s (%s)", addr, symbol ? symbol : "?", file ? strrchr(file, '/') ?: file : "?");
}

/* Around the first difference. */
static void tell(struct comparison *c, unsigned at, unsigned theirs)
{
	const struct truth *t = c->now;
	char *out, ours_name[160], theirs_name[160];
	size_t used;

	if (c->told_cnt == TOLD_MAX)
		return;
	out = c->told[c->told_cnt++];
	used = (size_t)snprintf(out, sizeof(c->told[0]), "ours %u frames, end %u, libdwfl %u: %s;", t->cnt, t->end, theirs,
				dwfl_errmsg(-1) ?: "");
	for (unsigned i = at > 1 ? at - 2 : 0; i < at + 2 && used < sizeof(c->told[0]); i++) {
		strcpy(ours_name, "-");
		strcpy(theirs_name, "-");
		if (i < t->cnt)
			name(c, t->frames[i], ours_name, sizeof(ours_name));
		if (i < theirs)
			name(c, c->frames[i + 1], theirs_name, sizeof(theirs_name));
		used += (size_t)snprintf(out + used, sizeof(c->told[0]) - used, " #%u ours %s, libdwfl %s;", i, ours_name,
					 theirs_name);
	}
}

static int compare(void *arg, void *data, size_t size)
{
	struct comparison *c = arg;
	const struct truth *t = data;
	unsigned at = 0, theirs;
	bool cut;

	(void)size;
	if (c->compared == c->wanted)
		return 0;
	c->now = t;
	c->cnt = 0;
	cut = dwfl_getthread_frames(c->dwfl, (pid_t)t->tid, take_frame, c) && dwfl_errno();
	theirs = c->cnt ? c->cnt - 1 : 0; /* ours begin with the caller */
	while (at < t->cnt && at < theirs && is_same(t->frames[at], c->frames[at + 1]))
		at++;
	c->compared++;
	c->depth += t->cnt;
	c->ended[t->end < STACK_END_CNT ? t->end : 0]++;
	if (at == t->cnt && (at == theirs || t->end == STACK_END_LIMIT))
		c->same++;
	else if (at == theirs && cut) /* as far as libdwfl gets: it has nothing of the vdso */
		c->theirs_cut++;
	else
		tell(c, at, theirs);
	return 0;
}

static int open_dwfl(struct comparison *c)
{
	static char *no_path = "";
	static const Dwfl_Callbacks files = {.find_elf = dwfl_linux_proc_find_elf,
					     .find_debuginfo = dwfl_standard_find_debuginfo,
					     .debuginfo_path = &no_path};
	static const Dwfl_Thread_Callbacks threads = {.next_thread = next_thread,
						      .get_thread = get_thread,
						      .memory_read = read_memory,
						      .set_initial_registers = set_registers};

	c->dwfl = dwfl_begin(&files);
	if (!c->dwfl || dwfl_linux_proc_report(c->dwfl, c->pid) || dwfl_report_end(c->dwfl, NULL, NULL))
		return -1;
	return dwfl_attach_state(c->dwfl, NULL, c->pid, &threads, c) ? 0 : -1;
}

static void print_text(const char *text)
{
	for (; *text; text++)
		if (*text != '"' && *text != '\\' && *text >= ' ')
			putchar(*text);
}

static void print(const struct comparison *c, uint64_t dropped)
{
	printf("{\"compared\": %" PRIu64 ", \"same\": %" PRIu64 ", \"theirs_cut\": %" PRIu64 ", \"dropped\": %" PRIu64 ", \"depth\": %.1f, \"ended\": [",
	       c->compared, c->same, c->theirs_cut, dropped, c->compared ? (double)c->depth / (double)c->compared : 0);
	for (int i = 0; i < STACK_END_CNT; i++)
		printf("%s%" PRIu64, i ? ", " : "", c->ended[i]);
	printf("], \"differences\": [");
	for (unsigned i = 0; i < c->told_cnt; i++) {
		printf("%s\"", i ? ", " : "");
		print_text(c->told[i]);
		putchar('"');
	}
	puts("]}");
}

static int fail(const char *what)
{
	fprintf(stderr, "unwind_truth: %s: %s\n", what, strerror(errno));
	return 1;
}

int main(int argc, char **argv)
{
	struct comparison c = {.pid = argc > 1 ? atoi(argv[1]) : 0};
	LIBBPF_OPTS(bpf_uprobe_opts, options);
	struct log log = {.verbose = false};
	struct unwind_tables *tables;
	struct unwind_truth_bpf *skel;
	struct ring_buffer *ring;
	struct bpf_link *link;
	struct error err;
	uint64_t end;

	if (argc != 7)
		return fail("PID OBJECT FUNCTION EVENTS SECONDS EVERY");
	options.func_name = argv[3];
	c.wanted = strtoull(argv[4], NULL, 10);
	skel = unwind_truth_bpf__open();
	if (!skel)
		return fail("open");
	skel->rodata->every = (uint32_t)atoi(argv[6]);
	if (unwind_truth_bpf__load(skel))
		return fail("load");
	if (unwind_tables_new(&log,
			      &(struct unwind_maps){.rows = bpf_map__fd(skel->maps.unwind_rows),
						    .pages = bpf_map__fd(skel->maps.unwind_pages),
						    .spaces = bpf_map__fd(skel->maps.unwind_spaces),
						    .processes = bpf_map__fd(skel->maps.unwind_processes),
						    .space_cnt = UNWIND_SPACES_MAX},
			      missing_new(), &tables, &err) ||
	    unwind_tables_update(tables, c.pid, &err))
		return fail(err.text);
	if (open_dwfl(&c))
		return fail("libdwfl");
	ring = ring_buffer__new(bpf_map__fd(skel->maps.truth_ring), compare, &c, NULL);
	link = bpf_program__attach_uprobe_opts(skel->progs.truth, c.pid, argv[2], 0, &options);
	if (!ring || libbpf_get_error(link))
		return fail("attach");
	end = clock_monotonic_ns() + strtoull(argv[5], NULL, 10) * NSEC_PER_SEC;
	while (c.compared < c.wanted && clock_monotonic_ns() < end)
		ring_buffer__poll(ring, 50);
	bpf_link__destroy(link);
	print(&c, skel->bss->dropped);
	ring_buffer__free(ring);
	dwfl_end(c.dwfl);
	unwind_tables_free(tables);
	unwind_truth_bpf__destroy(skel);
	return 0;
}
