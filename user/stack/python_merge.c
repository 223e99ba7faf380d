#include "stack/python_merge.h"

struct merging {
	const struct python_stack *stack;
	struct python_merged *out;
	size_t cnt;
	size_t next_frame, next_pc;
};

static bool is_eval(const struct python_evals *evals, const struct python_stack *stack, size_t i)
{
	uint64_t call = stack->pcs[i] - 1; /* the call lies before where it returns to */

	for (size_t j = 0; j < evals->cnt; j++)
		if (call >= evals->v[j].start && call < evals->v[j].end)
			return true;
	return false;
}

static void put_native(struct merging *m)
{
	m->out[m->cnt++] = (struct python_merged){.pc = m->stack->pcs[m->next_pc++]};
}

static void put_python(struct merging *m)
{
	const struct python_frame *frame = &m->stack->frames[m->next_frame++];

	if (frame->kind == PYTHON_CODE || frame->kind == PYTHON_ENTRY)
		m->out[m->cnt++] = (struct python_merged){.python = frame};
}

/* A call of the evaluating function ends, outwards, with this frame. */
static bool is_outermost(const struct python_stack *stack, const struct python_frame *frame)
{
	switch (stack->rule) {
	case PYTHON_BY_COUNT:
		return true;
	case PYTHON_BY_ENTRY:
		return frame->kind == PYTHON_ENTRY;
	default:
		return frame->kind == PYTHON_SHIM;
	}
}

/* The frames that one call evaluates, innermost first. */
static void put_call(struct merging *m)
{
	while (m->next_frame < m->stack->frame_cnt) {
		const struct python_frame *frame = &m->stack->frames[m->next_frame];

		put_python(m);
		if (is_outermost(m->stack, frame))
			return;
	}
}

/* The native frame of the call that is next; PYTHON_NOWHERE: none is known. */
static size_t place_of_call(const struct python_stack *stack, size_t from)
{
	for (size_t i = from; i < stack->frame_cnt; i++)
		if (stack->frames[i].kind == PYTHON_SHIM)
			return stack->frames[i].native;
	return PYTHON_NOWHERE;
}

static void merge_by_address(struct merging *m)
{
	while (m->next_frame < m->stack->frame_cnt) {
		size_t place = place_of_call(m->stack, m->next_frame);

		/* Behind those that have their places, or where the other thread's stack is meant: never
		 * before. */
		if (place >= m->stack->pc_cnt || place < m->next_pc)
			break;
		while (m->next_pc < place)
			put_native(m);
		put_call(m);
		m->next_pc = place + 1;
	}
}

static size_t count_calls(const struct python_stack *stack)
{
	size_t cnt = 0;

	for (size_t i = 0; i < stack->frame_cnt; i++)
		cnt += is_outermost(stack, &stack->frames[i]);
	return cnt;
}

static size_t count_evals(const struct python_evals *evals, const struct python_stack *stack)
{
	size_t cnt = 0;

	for (size_t i = 0; i < stack->pc_cnt; i++)
		cnt += is_eval(evals, stack, i);
	return cnt;
}

/*
 * Call by call. Where both ends are known but the numbers differ, the outermost belong
 * together: what the innermost evaluate is another interpreter's, whose state the thread does
 * not keep under the key (subinterpreters, up to 3.11).
 */
static void merge_by_count(struct merging *m, const struct python_evals *evals)
{
	size_t calls = count_calls(m->stack), found = count_evals(evals, m->stack), alone = 0;

	if (m->stack->pcs_whole && m->stack->frames_whole) {
		alone = found > calls ? found - calls : 0;
		for (size_t i = found; i < calls; i++)
			put_call(m);
	}
	while (m->next_pc < m->stack->pc_cnt && m->next_frame < m->stack->frame_cnt) {
		if (!is_eval(evals, m->stack, m->next_pc)) {
			put_native(m);
		} else if (alone) {
			alone--;
			put_native(m);
		} else {
			put_call(m);
			m->next_pc++;
		}
	}
}

size_t python_merge(const struct python_evals *evals, const struct python_stack *stack,
		    struct python_merged *out)
{
	struct merging m = {.stack = stack, .out = out};

	if (stack->rule == PYTHON_BY_ADDRESS)
		merge_by_address(&m);
	else
		merge_by_count(&m, evals);
	while (m.next_pc < stack->pc_cnt)
		put_native(&m);
	while (m.next_frame < stack->frame_cnt)
		put_python(&m);
	return m.cnt;
}
