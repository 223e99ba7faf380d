#include "stack/unwind.h"

#define WORD 8
#define PLT_SLOT_MASK 15
/*
 * Where a signal frame's registers lie from rsp, once the handler has returned: struct ucontext
 * is there, uc_mcontext 40 bytes into it, and in that the words of struct sigcontext_64 (the
 * kernel's arch/x86/include/asm/sigframe.h and uapi/asm/sigcontext.h).
 */
#define SIGNAL_REGISTER(word) (40 + (word)*WORD)
#define SIGNAL_RBP SIGNAL_REGISTER(10)
#define SIGNAL_RBX SIGNAL_REGISTER(11)
#define SIGNAL_RSP SIGNAL_REGISTER(15)
#define SIGNAL_RIP SIGNAL_REGISTER(16)

struct walk {
	const struct unwind_tables *tables;
	struct unwind_registers regs;
	bool is_call; /* regs.pc is a return address: the call lies before it */
	unwind_read_fn *read;
	void *arg;
	enum unwind_outcome outcome; /* once the walk is over */
};

static const struct unwind_mapping *find_mapping(const struct unwind_process *process, uint64_t pc)
{
	uint32_t low = 0, high = process->cnt < UNWIND_MAPPINGS_MAX ? process->cnt : UNWIND_MAPPINGS_MAX;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (process->v[middle].start <= pc)
			low = middle + 1;
		else
			high = middle;
	}
	return low && pc < process->v[low - 1].end ? &process->v[low - 1] : NULL;
}

/* The row that covers an address as linked. */
static const struct unwind_row *find_row(const struct unwind_tables *t, const struct unwind_mapping *m,
					 uint64_t addr)
{
	uint64_t page = (addr - m->text) >> UNWIND_PAGE_SHIFT;
	uint32_t low, high;

	if (addr < m->text || page >= m->page_cnt || m->page + page >= t->page_cnt)
		return NULL;
	low = (uint32_t)t->pages[m->page + page];
	high = (uint32_t)(t->pages[m->page + page] >> 32);
	if (high > t->row_cnt)
		return NULL;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (t->rows[middle].pc <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low && low <= t->row_cnt ? &t->rows[low - 1] : NULL;
}

static bool read_word(const struct walk *w, uint64_t addr, int64_t offset, uint64_t *word)
{
	return w->read(w->arg, addr + (uint64_t)offset, word);
}

/* The steps return whether the walk goes on, with the caller's registers. */
static bool ends(struct walk *w, enum unwind_outcome outcome)
{
	w->outcome = outcome;
	return false;
}

static bool leave_signal_frame(struct walk *w)
{
	uint64_t sp = w->regs.sp;

	if (!read_word(w, sp, SIGNAL_RBP, &w->regs.fp) || !read_word(w, sp, SIGNAL_RBX, &w->regs.bx) ||
	    !read_word(w, sp, SIGNAL_RSP, &w->regs.sp) || !read_word(w, sp, SIGNAL_RIP, &w->regs.pc))
		return ends(w, UNWIND_UNREADABLE);
	w->is_call = false;
	return true;
}

/* The stack grows downwards: the caller's part of it lies above, or the row is wrong here. */
static bool leave_function(struct walk *w, const struct unwind_row *row, uint64_t cfa)
{
	if (cfa <= w->regs.sp)
		return ends(w, UNWIND_NO_RULE);
	if (row->kind != UNWIND_DEREF_FP && row->fp && !read_word(w, cfa, row->fp * WORD, &w->regs.fp))
		return ends(w, UNWIND_UNREADABLE);
	if (!read_word(w, cfa, -WORD, &w->regs.pc))
		return ends(w, UNWIND_UNREADABLE);
	w->regs.sp = cfa;
	w->is_call = true;
	return w->regs.pc ? true : ends(w, UNWOUND);
}

static bool leave_frame(struct walk *w, const struct unwind_row *row)
{
	uint64_t fp = w->regs.fp, cfa;

	switch (row->kind) {
	case UNWIND_SP:
		return leave_function(w, row, w->regs.sp + row->cfa * WORD);
	case UNWIND_FP:
		return leave_function(w, row, fp + row->cfa * WORD);
	case UNWIND_BX:
		return leave_function(w, row, w->regs.bx + row->cfa * WORD);
	case UNWIND_PLT:
		cfa = w->regs.sp + WORD;
		return leave_function(w, row, (w->regs.pc & PLT_SLOT_MASK) >= row->cfa ? cfa + WORD : cfa);
	case UNWIND_DEREF_FP:
		if (!read_word(w, fp, (int16_t)row->cfa * WORD, &cfa) ||
		    !read_word(w, fp, row->fp * WORD, &w->regs.fp))
			return ends(w, UNWIND_UNREADABLE);
		return leave_function(w, row, cfa);
	case UNWIND_SIGNAL:
		return leave_signal_frame(w);
	case UNWIND_END:
		return ends(w, UNWOUND);
	default:
		return ends(w, UNWIND_NO_RULE);
	}
}

static bool step(struct walk *w)
{
	uint64_t pc = w->regs.pc - w->is_call;
	const struct unwind_mapping *m = find_mapping(w->tables->process, pc);
	const struct unwind_row *row = m ? find_row(w->tables, m, pc - m->bias) : NULL;

	if (!m)
		return ends(w, UNWIND_NO_MAPPING);
	return row ? leave_frame(w, row) : ends(w, UNWIND_NO_RULE);
}

enum unwind_outcome unwind_stack(const struct unwind_tables *tables, const struct unwind_registers *regs,
				 unwind_read_fn *read, void *arg, uint64_t *frames, size_t cap, size_t *cnt)
{
	struct walk w = {.tables = tables, .regs = *regs, .read = read, .arg = arg};

	for (*cnt = 0; *cnt < cap;) {
		frames[(*cnt)++] = w.regs.pc;
		if (!step(&w))
			return w.outcome;
	}
	return UNWIND_TOO_DEEP;
}
