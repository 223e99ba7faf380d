/*
 * The maps of stacks and tables, and the steps that leave a frame. Sorts before the files that
 * use its maps: see events.bpf.c.
 */
#include "frames.bpf.h"
#include "below.bpf.h"
#include "unwind.bpf.h"

struct scratches_map scratches SEC(".maps");
/* LRU: a stack that has been forgotten is submitted again. */
struct seen_map stacks_seen SEC(".maps");

const volatile bool takes_stacks = true;

/* In front of stacks_seen, without a helper's cost; of all CPUs: one half of an entry may be another's. */
#define STACKS_KNOWN 8192
static struct {
	u64 id, check;
} stacks_known[STACKS_KNOWN];

struct unwind_rows_map unwind_rows SEC(".maps");
struct unwind_pages_map unwind_pages SEC(".maps");
struct unwind_spaces_map unwind_spaces SEC(".maps");
struct unwind_processes_map unwind_processes SEC(".maps");
struct python_layouts_map python_layouts SEC(".maps");

/* One word of the stack, through the window; the last words of a stack are read one by one. */
static __always_inline int stack_word(struct unwinding *u, u64 addr, u64 *word)
{
	u64 offset = addr - u->window_at;

	if (offset >= u->window_len || offset & 7) {
		u->window_len = 0;
		if (bpf_probe_read_user(u->window, sizeof(u->window), (void *)addr))
			return bpf_probe_read_user(word, sizeof(*word), (void *)addr);
		u->window_at = addr;
		u->window_len = sizeof(u->window);
		offset = 0;
	}
	*word = u->window[offset / 8 & (WINDOW_WORDS - 1)];
	return 0;
}

static __always_inline bool is_in(const struct unwind_mapping *m, u64 pc)
{
	return pc >= m->start && pc < m->end;
}

/* Mostly the one that the last frame was in. */
static __always_inline const struct unwind_mapping *find_mapping(struct unwinding *u,
								 const struct unwind_space *p, u64 pc)
{
	u32 low = 0, high = p->cnt, last = u->mapping;

	if (last < UNWIND_MAPPINGS_MAX && is_in(&p->v[last], pc))
		return &p->v[last];
	for (int i = 0; i < UNWIND_MAPPINGS_BITS + 1 && low < high; i++) {
		u32 mid = (low + high) / 2, lower;

		if (mid >= UNWIND_MAPPINGS_MAX)
			return NULL;
		lower = is_below(pc, p->v[mid].start);
		low = (low & lower) | ((mid + 1) & ~lower);
		high = (mid & lower) | (high & ~lower);
	}
	low--;
	if (low >= UNWIND_MAPPINGS_MAX || !is_in(&p->v[low], pc))
		return NULL;
	u->mapping = low;
	return &p->v[low];
}

static __always_inline const struct unwind_row *find_row(const struct unwind_mapping *m, u64 pc)
{
	u64 linked = pc - m->bias, page = (linked - m->text) >> UNWIND_PAGE_SHIFT;
	const struct unwind_row *row;
	const u64 *range;
	u32 low, high;

	if (page >= m->page_cnt)
		return NULL;
	low = m->page + page;
	range = bpf_map_lookup_elem(&unwind_pages, &low);
	if (!range)
		return NULL;
	low = *range;
	high = *range >> 32;
	for (int i = 0; i < UNWIND_SEARCH_MAX && low < high; i++) {
		u32 mid = (low + high) / 2;

		row = bpf_map_lookup_elem(&unwind_rows, &mid);
		if (!row)
			return NULL;
		if (row->pc <= (u32)linked)
			low = mid + 1;
		else
			high = mid;
	}
	low--;
	return bpf_map_lookup_elem(&unwind_rows, &low);
}

/* Code without a table is a compiler's at run time: those that last keep frame pointers. */
static __always_inline int leave_by_frame_pointer(struct unwinding *u)
{
	u64 fp = u->fp, caller, pc;

	if (fp < u->sp || fp & 7)
		return STACK_END_NO_ROW;
	if (stack_word(u, fp, &caller) || stack_word(u, fp + 8, &pc))
		return STACK_END_UNREADABLE;
	u->fp = caller;
	u->bx = 0;
	u->sp = fp + 16;
	u->pc = pc;
	return pc ? 0 : STACK_END_OUTERMOST;
}

/* arch/x86/include/uapi/asm/ucontext.h, sigcontext.h: struct ucontext at rsp, its registers from byte 40 on.
 */
#define SIGNAL_DI 40 + 8 * 8
#define SIGNAL_BP 40 + 8 * 10
#define SIGNAL_BX 40 + 8 * 11
#define SIGNAL_SP 40 + 8 * 15
#define SIGNAL_IP 40 + 8 * 16

static __always_inline int leave_signal_frame(struct unwinding *u)
{
	u64 at = u->sp, sp;

	if (stack_word(u, at + SIGNAL_DI, &u->di) || stack_word(u, at + SIGNAL_BP, &u->fp) ||
	    stack_word(u, at + SIGNAL_BX, &u->bx) || stack_word(u, at + SIGNAL_SP, &sp) ||
	    stack_word(u, at + SIGNAL_IP, &u->pc))
		return STACK_END_UNREADABLE;
	u->sp = sp;
	u->exact = true;
	return 0;
}

__noinline int unwind_step(struct unwinding *u, const struct unwind_space *p)
{
	const struct unwind_mapping *m;
	const struct unwind_row *row;
	u64 cfa, pc, at, exact;

	if (!u || !p)
		return STACK_END_NO_MAPPING;
	exact = u->exact;
	pc = u->pc - !exact;
	u->exact = false;
	m = find_mapping(u, p, pc);
	if (!m)
		return STACK_END_NO_MAPPING;
	if (!m->page_cnt)
		return leave_by_frame_pointer(u);
	row = find_row(m, pc);
	if (!row)
		return STACK_END_NO_ROW;
	switch (row->kind) {
	case UNWIND_SP:
		cfa = u->sp + row->cfa * 8;
		break;
	case UNWIND_FP:
		cfa = u->fp + row->cfa * 8;
		break;
	case UNWIND_BX:
		if (!u->tracks_bx)
			return UNWIND_AGAIN;
		cfa = u->bx + row->cfa * 8;
		break;
	case UNWIND_PLT:
		cfa = u->sp + ((u->pc & 15) >= row->cfa ? 16 : 8);
		break;
	case UNWIND_DEREF_FP:
		at = u->fp;
		if (stack_word(u, at + (__s16)row->cfa * 8, &cfa) || stack_word(u, at + row->fp * 8, &u->fp))
			return STACK_END_UNREADABLE;
		break;
	case UNWIND_DI:
		if (!exact)
			return STACK_END_NO_ROW;
		u->sp += row->cfa * 8;
		u->pc = u->di;
		return 0;
	case UNWIND_SIGNAL:
		return leave_signal_frame(u);
	case UNWIND_END:
		return STACK_END_OUTERMOST;
	case UNWIND_UNSAID:
		return leave_by_frame_pointer(u);
	default:
		return STACK_END_NO_ROW;
	}
	if (cfa <= u->sp)
		return STACK_END_NO_ROW;
	if (row->fp && row->kind != UNWIND_DEREF_FP && stack_word(u, cfa + row->fp * 8, &u->fp))
		return STACK_END_UNREADABLE;
	if (u->tracks_bx && row->bx &&
	    (row->bx == UNWIND_BX_LOST || stack_word(u, cfa - 8 * (row->bx + 1), &u->bx)))
		u->bx = 0;
	if (stack_word(u, cfa - 8, &pc))
		return STACK_END_UNREADABLE;
	if (u->trampoline && pc == u->trampoline)
		pc = return_address(cfa - 8, pc);
	u->sp = cfa;
	u->pc = pc;
	return pc ? 0 : STACK_END_OUTERMOST;
}

/* The Python frames stand right behind the native ones. */
static __always_inline u32 append_python(struct scratch *s)
{
	u32 cnt = s->python.cnt, at = s->rec.cnt;

	if (cnt > PYTHON_FRAMES_MAX || at > EVENT_FRAMES_MAX)
		return 0;
	if (cnt)
		bpf_probe_read_kernel(&s->rec.frames[at], cnt * sizeof(struct python_frame),
				      s->python.frames);
	return cnt;
}

static __always_inline bool submit_stack(struct scratch *s, u64 pid_tgid, u64 id)
{
	struct event_stack *rec = &s->rec;
	u64 bytes = offsetof(struct event_stack, frames) + rec->cnt * sizeof(u64);

	fill_head(&rec->head, EVENT_STACK, pid_tgid, 0, 0);
	rec->id = id;
	rec->python_cnt = append_python(s);
	rec->python_end = s->python.end;
	rec->python_rule = s->python.rule;
	bytes += rec->python_cnt * sizeof(struct python_frame);
	asm volatile("" : "+r"(bytes)); /* what is checked is what is used */
	if (bytes > sizeof(*rec))
		return false;
	return !bpf_ringbuf_output(&ring, rec, bytes, ring_flags(false));
}

/* Of another process it is another stack, whatever its addresses. */
static __always_inline int leave_all(struct scratch *s, const struct unwind_space *p, u64 pid_tgid)
{
	int end;

	s->hash = pid_tgid >> 32;
	s->check = 1;
	for (u32 i = 0; i < EVENT_FRAMES_MAX; i++) {
		/* Who names it looks before it: where it will return to. */
		u64 frame = s->at.pc + s->at.exact;

		s->rec.frames[i] = frame;
		s->rec.cnt = i + 1;
		s->python.sps[i] = s->at.sp;
		s->hash = mix(s->hash, frame);
		s->check = mix(s->check, frame);
		end = unwind_step(&s->at, p);
		if (end)
			return end;
	}
	return STACK_END_LIMIT;
}

__noinline u64 unwind(struct scratch *s, const struct unwind_space *p, u64 pid_tgid)
{
	u64 at, id, check, *known; /* on the stack: up to 6.1 a map takes no value from elsewhere */

	if (!s || !p)
		return 0;
	s->rec.end = leave_all(s, p, pid_tgid);
	if (s->rec.end == UNWIND_AGAIN)
		return 0;
	s->python.sp_cnt = s->rec.cnt;
	if (python_walk(&s->python)) {
		s->hash = python_hash(s->hash, &s->python);
		s->check = python_hash(s->check, &s->python);
	}
	id = s->hash ? s->hash : 1;
	check = s->check;
	at = id & (STACKS_KNOWN - 1);
	if (stacks_known[at].id == id && stacks_known[at].check == check)
		return id;
	known = bpf_map_lookup_elem(&stacks_seen, &id);
	if (!known || *known != check) {
		if (!submit_stack(s, pid_tgid, id))
			return 0;
		bpf_map_update_elem(&stacks_seen, &id, &check, BPF_ANY);
	}
	stacks_known[at].id = id;
	stacks_known[at].check = check;
	return id;
}
