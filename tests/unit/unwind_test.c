/* Stacks made up, one rule at a time, and this very process's own against glibc's backtrace(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <execinfo.h>
#include <link.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ucontext.h>
#include <ucontext.h>
#include <unistd.h>

#include "stack/unwind.h"
#include "target/cfi.h"

#define BASE 0x7f0000000000 /* where the made-up object is in its process */
#define STACK 0x7ffc00000000
#define WORDS 64
#define FRAMES_MAX 64

struct stack {
	uint64_t words[WORDS]; /* from STACK on */
};

static bool read_stack(void *arg, uint64_t addr, uint64_t *word)
{
	const struct stack *stack = arg;

	if (addr < STACK || addr % 8 || addr - STACK >= sizeof(stack->words))
		return false;
	*word = stack->words[(addr - STACK) / 8];
	return true;
}

/* One function a page of the index, by what rule it is left. Code address n is function n's. */
enum {
	LEAF,     /* CFA = rsp + 8 */
	SAVES_FP, /* CFA = rsp + 24, rbp at CFA − 16 */
	BY_FP,    /* CFA = rbp + 16, rbp at CFA − 16 */
	BY_BX,    /* CFA = rbx + 32 */
	PLT,
	DRAP, /* CFA = *(rbp − 8), rbp = *rbp */
	RESTORER,
	OUTERMOST,
	UNKNOWN,
	STUCK, /* CFA = rsp */
	FUNCTION_CNT,
};

static const struct unwind_row rows[FUNCTION_CNT] = {
	[LEAF] = {.cfa = 1, .kind = UNWIND_SP},
	[SAVES_FP] = {.cfa = 3, .fp = -2, .kind = UNWIND_SP},
	[BY_FP] = {.cfa = 2, .fp = -2, .kind = UNWIND_FP},
	[BY_BX] = {.cfa = 4, .kind = UNWIND_BX},
	[PLT] = {.cfa = 11, .kind = UNWIND_PLT},
	[DRAP] = {.cfa = (uint16_t)-1, .kind = UNWIND_DEREF_FP},
	[RESTORER] = {.kind = UNWIND_SIGNAL},
	[OUTERMOST] = {.kind = UNWIND_END},
	[UNKNOWN] = {.kind = UNWIND_INVALID},
	[STUCK] = {.kind = UNWIND_SP},
};

static uint64_t code(unsigned function)
{
	return BASE + ((uint64_t)function << UNWIND_PAGE_SHIFT) + 0x20;
}

static uint64_t stack_at(size_t word)
{
	return STACK + 8 * word;
}

/* The rows lie behind those of another object, as they do in the kernel's maps. */
#define ROWS_BEFORE 7
#define PAGES_BEFORE 3

struct scene {
	struct unwind_row rows[ROWS_BEFORE + FUNCTION_CNT];
	uint64_t pages[PAGES_BEFORE + FUNCTION_CNT];
	struct unwind_process process;
	struct unwind_tables tables;
	struct stack stack;
	struct unwind_registers regs;
	uint64_t frames[FRAMES_MAX];
	size_t cnt;
};

static struct scene *scene_new(unsigned innermost)
{
	struct scene *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	for (uint32_t i = 0; i < FUNCTION_CNT; i++) {
		s->rows[ROWS_BEFORE + i] = rows[i];
		s->rows[ROWS_BEFORE + i].pc = i << UNWIND_PAGE_SHIFT;
		s->pages[PAGES_BEFORE + i] = (ROWS_BEFORE + i) | (uint64_t)(ROWS_BEFORE + i + 1) << 32;
	}
	s->process.cnt = 2;
	s->process.v[0] = (struct unwind_mapping){.start = BASE - 0x1000, .end = BASE - 0x800};
	s->process.v[1] = (struct unwind_mapping){.start = BASE,
						  .end = BASE + (FUNCTION_CNT << UNWIND_PAGE_SHIFT),
						  .bias = BASE,
						  .page = PAGES_BEFORE,
						  .page_cnt = FUNCTION_CNT};
	s->tables = (struct unwind_tables){.process = &s->process,
					   .rows = s->rows,
					   .row_cnt = ROWS_BEFORE + FUNCTION_CNT,
					   .pages = s->pages,
					   .page_cnt = PAGES_BEFORE + FUNCTION_CNT};
	s->regs = (struct unwind_registers){.pc = code(innermost), .sp = stack_at(0)};
	return s;
}

static enum unwind_outcome scene_unwind(struct scene *s, size_t cap)
{
	return unwind_stack(&s->tables, &s->regs, read_stack, &s->stack, s->frames, cap, &s->cnt);
}

/* The functions are those of the frames; the scene is done with. */
static void assert_frames(struct scene *s, enum unwind_outcome outcome, const unsigned *functions, size_t cnt)
{
	assert_int_equal(scene_unwind(s, FRAMES_MAX), outcome);
	assert_int_equal(s->cnt, cnt);
	for (size_t i = 0; i < cnt; i++)
		assert_int_equal(s->frames[i], code(functions[i]));
	free(s);
}

#define ASSERT_FRAMES(s, outcome, ...)                                                                       \
	assert_frames(s, outcome, (unsigned[]){__VA_ARGS__},                                                 \
		      sizeof((unsigned[]){__VA_ARGS__}) / sizeof(unsigned))

static void by_stack_and_frame_pointer(void **state)
{
	struct scene *s = scene_new(LEAF);

	(void)state;
	s->regs.fp = 1; /* whatever the leaf's callers had not to do with */
	s->stack.words[0] = code(SAVES_FP);
	s->stack.words[2] = stack_at(10); /* rbp at CFA − 16 */
	s->stack.words[3] = code(BY_FP);
	s->stack.words[10] = stack_at(20);
	s->stack.words[11] = code(BY_FP);
	s->stack.words[20] = 0;
	s->stack.words[21] = code(OUTERMOST);
	ASSERT_FRAMES(s, UNWOUND, LEAF, SAVES_FP, BY_FP, BY_FP, OUTERMOST);
}

static void by_rbx(void **state)
{
	struct scene *s = scene_new(BY_BX);

	(void)state;
	s->regs.bx = stack_at(4);
	s->stack.words[7] = code(OUTERMOST);
	ASSERT_FRAMES(s, UNWOUND, BY_BX, OUTERMOST);
}

static void by_plt(void **state)
{
	struct scene *s = scene_new(PLT);

	(void)state;
	s->stack.words[0] = code(OUTERMOST);
	s->stack.words[1] = code(UNKNOWN);
	s->regs.pc += 10; /* before the push of the slot's number */
	assert_int_equal(scene_unwind(s, FRAMES_MAX), UNWOUND);
	assert_int_equal(s->frames[1], code(OUTERMOST));
	s->regs.pc += 1;
	assert_int_equal(scene_unwind(s, FRAMES_MAX), UNWIND_NO_RULE);
	assert_int_equal(s->frames[1], code(UNKNOWN));
	free(s);
}

static void by_drap(void **state)
{
	struct scene *s = scene_new(DRAP);

	(void)state;
	s->regs.fp = stack_at(4);
	s->stack.words[3] = stack_at(9); /* the CFA, before it was aligned */
	s->stack.words[4] = stack_at(12);
	s->stack.words[8] = code(BY_FP);
	s->stack.words[13] = code(OUTERMOST);
	ASSERT_FRAMES(s, UNWOUND, DRAP, BY_FP, OUTERMOST);
}

/* The interrupted instruction is the first of its function: the one before is not its own. */
static void through_a_signal(void **state)
{
	struct scene *s = scene_new(LEAF);
	ucontext_t context = {0};
	greg_t *regs = context.uc_mcontext.gregs;

	(void)state;
	regs[REG_RIP] = (greg_t)(code(BY_BX) - 0x20);
	regs[REG_RSP] = (greg_t)stack_at(36);
	regs[REG_RBX] = (greg_t)stack_at(40);
	regs[REG_RBP] = (greg_t)stack_at(48);
	s->stack.words[0] = code(RESTORER);
	memcpy(&s->stack.words[1], &context,
	       offsetof(ucontext_t, uc_mcontext) + sizeof(context.uc_mcontext.gregs));
	s->stack.words[43] = code(BY_FP);
	s->stack.words[49] = code(OUTERMOST);
	assert_int_equal(scene_unwind(s, FRAMES_MAX), UNWOUND);
	assert_int_equal(s->cnt, 5);
	assert_int_equal(s->frames[1], code(RESTORER));
	assert_int_equal(s->frames[2], code(BY_BX) - 0x20);
	assert_int_equal(s->frames[3], code(BY_FP));
	assert_int_equal(s->frames[4], code(OUTERMOST));
	free(s);
}

/* A call that does not return is the last instruction of its function. */
static void a_return_address_behind_its_function(void **state)
{
	struct scene *s = scene_new(LEAF);

	(void)state;
	s->stack.words[0] = code(UNKNOWN) - 0x20; /* of OUTERMOST's call */
	assert_int_equal(scene_unwind(s, FRAMES_MAX), UNWOUND);
	assert_int_equal(s->cnt, 2);
	s->regs.pc = code(UNKNOWN) - 0x20; /* but this is where it runs */
	assert_int_equal(scene_unwind(s, FRAMES_MAX), UNWIND_NO_RULE);
	assert_int_equal(s->cnt, 1);
	free(s);
}

static void ends(void **state)
{
	struct scene *s = scene_new(LEAF);

	(void)state;
	ASSERT_FRAMES(s, UNWOUND, LEAF); /* a return address of 0 */

	s = scene_new(STUCK);
	s->stack.words[0] = code(OUTERMOST);
	ASSERT_FRAMES(s, UNWIND_NO_RULE, STUCK);

	s = scene_new(BY_FP);
	s->regs.fp = stack_at(1);
	s->regs.sp = stack_at(3); /* the frame would lie below the stack */
	s->stack.words[2] = code(OUTERMOST);
	ASSERT_FRAMES(s, UNWIND_NO_RULE, BY_FP);

	s = scene_new(LEAF);
	s->regs.sp = stack_at(WORDS);
	ASSERT_FRAMES(s, UNWIND_UNREADABLE, LEAF);

	s = scene_new(SAVES_FP);
	s->regs.sp = STACK - 16; /* the return address can be read, rbp cannot */
	s->stack.words[0] = code(OUTERMOST);
	ASSERT_FRAMES(s, UNWIND_UNREADABLE, SAVES_FP);

	s = scene_new(DRAP);
	ASSERT_FRAMES(s, UNWIND_UNREADABLE, DRAP);

	s = scene_new(RESTORER);
	s->regs.sp = stack_at(WORDS - 20); /* rip is beyond */
	ASSERT_FRAMES(s, UNWIND_UNREADABLE, RESTORER);
}

static void where_nothing_is_mapped(void **state)
{
	static const uint64_t nowhere[] = {
		0,         BASE - 0x1001, BASE - 0x800, BASE - 1, BASE + (FUNCTION_CNT << UNWIND_PAGE_SHIFT),
		UINT64_MAX};
	struct scene *s = scene_new(LEAF);

	(void)state;
	for (size_t i = 0; i < sizeof(nowhere) / sizeof(*nowhere); i++) {
		s->regs.pc = nowhere[i];
		assert_int_equal(scene_unwind(s, FRAMES_MAX), UNWIND_NO_MAPPING);
		assert_int_equal(s->cnt, 1);
	}
	s->regs.pc = BASE - 0x1000; /* mapped, but its object has no table */
	assert_int_equal(scene_unwind(s, FRAMES_MAX), UNWIND_NO_RULE);
	free(s);
}

static void no_more_than_asked_for(void **state)
{
	struct scene *s = scene_new(LEAF);

	(void)state;
	for (size_t i = 0; i < WORDS; i++)
		s->stack.words[i] = code(LEAF);
	s->stack.words[WORDS - 1] = code(OUTERMOST);
	assert_int_equal(scene_unwind(s, 0), UNWIND_TOO_DEEP);
	assert_int_equal(s->cnt, 0);
	assert_int_equal(scene_unwind(s, 10), UNWIND_TOO_DEEP);
	assert_int_equal(s->cnt, 10);
	s->regs.sp = stack_at(WORDS - 9);
	assert_int_equal(scene_unwind(s, 10), UNWOUND);
	assert_int_equal(s->cnt, 10);
	free(s);
}

/* Tables that contradict themselves end the stack. */
static void inconsistent_tables(void **state)
{
	struct scene *s = scene_new(LEAF);

	(void)state;
	s->tables.row_cnt = ROWS_BEFORE;
	assert_int_equal(scene_unwind(s, FRAMES_MAX), UNWIND_NO_RULE);
	s->tables.row_cnt = ROWS_BEFORE + FUNCTION_CNT;
	s->tables.page_cnt = PAGES_BEFORE;
	assert_int_equal(scene_unwind(s, FRAMES_MAX), UNWIND_NO_RULE);
	s->tables.page_cnt = PAGES_BEFORE + FUNCTION_CNT;
	s->pages[PAGES_BEFORE] = 0;
	assert_int_equal(scene_unwind(s, FRAMES_MAX), UNWIND_NO_RULE);
	s->process.v[1].page = UINT32_MAX;
	assert_int_equal(scene_unwind(s, FRAMES_MAX), UNWIND_NO_RULE);
	free(s);
}

/* The tables of all objects of this process, as a loader of tables puts them together. */
struct self {
	struct unwind_process process;
	struct unwind_row *rows;
	uint64_t *pages;
	struct unwind_tables tables;
};

static void append_table(struct self *self, const struct cfi_table *table)
{
	struct unwind_tables *t = &self->tables;

	self->rows = realloc(self->rows, (t->row_cnt + table->row_cnt) * sizeof(*self->rows));
	self->pages = realloc(self->pages, (t->page_cnt + table->page_cnt) * sizeof(*self->pages));
	assert_non_null(self->rows);
	assert_non_null(self->pages);
	memcpy(self->rows + t->row_cnt, table->rows, table->row_cnt * sizeof(*table->rows));
	for (size_t i = 0; i < table->page_cnt; i++)
		self->pages[t->page_cnt + i] = table->pages[i] + t->row_cnt * 0x100000001ULL;
	t->row_cnt += table->row_cnt;
	t->page_cnt += table->page_cnt;
}

static int append_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	const char *path = info->dlpi_name[0] ? info->dlpi_name : "/proc/self/exe";
	struct self *self = arg;
	struct object *obj = NULL;
	struct cfi_table table;

	(void)size;
	if (object_open_path(getpid(), path, &obj, NULL))
		return 0; /* the vdso */
	assert_int_equal(cfi_read(obj, &table, NULL), 0);
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uint64_t start = info->dlpi_addr + segment->p_vaddr;

		if (segment->p_type == PT_LOAD && segment->p_flags & PF_X)
			self->process.v[self->process.cnt++] =
				(struct unwind_mapping){.start = start,
							.end = start + segment->p_memsz,
							.bias = info->dlpi_addr,
							.text = table.text,
							.page = (uint32_t)self->tables.page_cnt,
							.page_cnt = (uint32_t)table.page_cnt};
	}
	append_table(self, &table);
	cfi_free(&table);
	object_free(obj);
	return 0;
}

static int by_start(const void *a, const void *b)
{
	const struct unwind_mapping *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static struct self *self_new(void)
{
	struct self *self = calloc(1, sizeof(*self));

	assert_non_null(self);
	dl_iterate_phdr(append_object, self);
	qsort(self->process.v, self->process.cnt, sizeof(*self->process.v), by_start);
	self->tables.process = &self->process;
	self->tables.rows = self->rows;
	self->tables.pages = self->pages;
	return self;
}

static void self_free(struct self *self)
{
	free(self->rows);
	free(self->pages);
	free(self);
}

static bool read_self(void *arg, uint64_t addr, uint64_t *word)
{
	(void)arg;
	memcpy(word, (const void *)(uintptr_t)addr, sizeof(*word));
	return true;
}

struct seen {
	struct self *self;
	void *glibc[FRAMES_MAX];
	uint64_t ours[FRAMES_MAX];
	size_t glibc_cnt, cnt;
	enum unwind_outcome outcome;
};

static struct seen seen; /* what the handler of a signal has to reach */

static void look_from(const ucontext_t *context)
{
	const greg_t *regs = context->uc_mcontext.gregs;
	struct unwind_registers start = {.pc = (uint64_t)regs[REG_RIP],
					 .sp = (uint64_t)regs[REG_RSP],
					 .fp = (uint64_t)regs[REG_RBP],
					 .bx = (uint64_t)regs[REG_RBX]};

	seen.outcome =
		unwind_stack(&seen.self->tables, &start, read_self, NULL, seen.ours, FRAMES_MAX, &seen.cnt);
}

static __attribute__((noinline)) void look(void)
{
	ucontext_t context;

	assert_int_equal(getcontext(&context), 0);
	seen.glibc_cnt = (size_t)backtrace(seen.glibc, FRAMES_MAX);
	look_from(&context);
}

/* The innermost frame is where each looked from, and differs. */
static void assert_same(void)
{
	assert_int_equal(seen.outcome, UNWOUND);
	assert_int_equal(seen.cnt, seen.glibc_cnt);
	assert_true(seen.cnt > 4);
	for (size_t i = 1; i < seen.cnt; i++)
		assert_int_equal(seen.ours[i], (uintptr_t)seen.glibc[i]);
}

static void own_stack(void **state)
{
	(void)state;
	seen.self = self_new();
	look();
	assert_same();
	self_free(seen.self);
}

static int look_when_compared(const void *a, const void *b)
{
	look();
	return *(const int *)a - *(const int *)b;
}

/* Back up through the C library. */
static void through_a_callback(void **state)
{
	int v[] = {2, 1};

	(void)state;
	seen.self = self_new();
	qsort(v, 2, sizeof(*v), look_when_compared);
	assert_same();
	self_free(seen.self);
}

/* A frame on a stack aligned anew, of a size not known before (DRAP). */
static __attribute__((noinline)) int look_aligned(size_t size)
{
	volatile char aligned[64] __attribute__((aligned(256)));
	volatile char *other = __builtin_alloca(size);

	aligned[0] = other[0] = 1;
	look();
	return aligned[0] + other[0];
}

static void through_an_aligned_frame(void **state)
{
	(void)state;
	seen.self = self_new();
	assert_int_equal(look_aligned((size_t)getpid() % 100 + 8), 2);
	assert_same();
	self_free(seen.self);
}

static void on_signal(int number)
{
	(void)number;
	look();
}

static void through_a_real_signal(void **state)
{
	struct sigaction action = {.sa_handler = on_signal}, before;

	(void)state;
	seen.self = self_new();
	look(); /* what backtrace() loads first, it loads outside a handler */
	assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
	raise(SIGUSR1);
	sigaction(SIGUSR1, &before, NULL);
	assert_same();
	self_free(seen.self);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_stack_and_frame_pointer),
		cmocka_unit_test(by_rbx),
		cmocka_unit_test(by_plt),
		cmocka_unit_test(by_drap),
		cmocka_unit_test(through_a_signal),
		cmocka_unit_test(a_return_address_behind_its_function),
		cmocka_unit_test(ends),
		cmocka_unit_test(where_nothing_is_mapped),
		cmocka_unit_test(no_more_than_asked_for),
		cmocka_unit_test(inconsistent_tables),
		cmocka_unit_test(own_stack),
		cmocka_unit_test(through_a_callback),
		cmocka_unit_test(through_an_aligned_frame),
		cmocka_unit_test(through_a_real_signal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
