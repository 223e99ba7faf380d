/*
 * Interpreters that have arenas of their own (concurrent.interpreters, InterpreterPoolExecutor).
 * From 3.13 on _Py_DebugOffsets says where interpreters' states are linked; where such a state
 * points to its obmalloc's, the main one's shows, since that one has been found already.
 *
 * 3.12 can have them through its C interface only; they are not seen there.
 */
#include <string.h>

#include "heap/pymalloc_heap.h"
#include "probe/python_versions.h"

#define INTERPRETER_MAX (4UL << 20) /* bytes of an interpreter's state: 150 to 500 KB are usual */

static uint64_t read_word(struct memory *mem, uint64_t addr)
{
	uint64_t value;

	return pymalloc_read(mem, addr, &value, sizeof(value)) ? 0 : value;
}

struct pointer_scan {
	uint64_t wanted, found;
};

static bool scan_for_pointer(const char *bytes, size_t len, uint64_t addr, void *arg)
{
	struct pointer_scan *s = arg;

	for (size_t off = 0; off + sizeof(s->wanted) <= len; off += sizeof(s->wanted))
		if (!memcmp(bytes + off, &s->wanted, sizeof(s->wanted))) {
			s->found = addr + off;
			return true;
		}
	return false;
}

/* The main interpreter is the oldest, and lies in _PyRuntime itself; 0: it does not. */
static uint64_t main_interpreter(const struct heap *heap, struct memory *mem, struct data_range range)
{
	uint64_t at = read_word(mem, heap->interpreters), main = 0;

	for (unsigned i = 0; i < INTERPRETERS_MAX && at; i++) {
		main = at;
		at = read_word(mem, at + heap->next);
	}
	return main >= range.start && main < range.end ? main : 0;
}

/* Where the list of interpreters and its links are, and how large a state is; false: not known of this
 * version. */
static bool learn_places(struct memory *mem, uint64_t runtime, struct heap *heap, uint64_t *size)
{
	unsigned version = (unsigned)(read_word(mem, runtime + PYTHON_DEBUG_VERSION) >> 16) & 0xffff;
	const struct python_row *row = python_row_of(version);
	uint64_t head, next, id;

	if (version)
		heap->version = (version >> 8) * 1000 + (version & 0xff);
	if (!row || !row->debug)
		return false;
	head = read_word(mem, runtime + row->debug->interpreters_head);
	next = read_word(mem, runtime + row->debug->next_interpreter);
	id = read_word(mem, runtime + row->debug->interpreter_id);
	*size = read_word(mem, runtime + row->debug->interpreter_size);
	if (!head || head > UINT16_MAX || next > UINT16_MAX || id > UINT16_MAX || *size > INTERPRETER_MAX)
		return false;
	heap->interpreters = runtime + head;
	heap->next = (uint16_t)next;
	heap->id = (uint16_t)id;
	return true;
}

void pymalloc_find_interpreters(struct memory *mem, struct data_range range, uint64_t runtime,
				struct heap *heap)
{
	struct pointer_scan s = {.wanted = heap->main.used};
	struct data_range state;
	uint64_t size, main;

	if (!runtime || !heap->main.together || !learn_places(mem, runtime, heap, &size))
		return;
	main = main_interpreter(heap, mem, range);
	state.start = main & ~(TARGET_PAGE_SIZE - 1);
	state.end = (main + size + TARGET_PAGE_SIZE - 1) & ~(TARGET_PAGE_SIZE - 1);
	if (main && data_scan(mem, state, scan_for_pointer, &s) && s.found >= main && s.found < main + size)
		heap->obmalloc = (uint32_t)(s.found - main);
	else
		heap->interpreters = 0;
}

size_t pymalloc_read_interpreters(const struct heap *heap, struct memory *mem,
				  struct pymalloc_interpreter list[INTERPRETERS_MAX])
{
	uint64_t at = heap->interpreters ? read_word(mem, heap->interpreters) : 0;
	size_t cnt = 0;

	for (unsigned i = 0; i < INTERPRETERS_MAX && at; i++) {
		uint64_t used = read_word(mem, at + heap->obmalloc), words[USED_WORDS];

		if (used && used != heap->main.used && !pymalloc_read(mem, used, words, sizeof(words)) &&
		    pymalloc_is_used(words, used))
			list[cnt++] = (struct pymalloc_interpreter){
				.id = (int64_t)read_word(mem, at + heap->id),
				.state = {used, used + STATE_ARENAS, true},
			};
		at = read_word(mem, at + heap->next);
	}
	return cnt;
}
