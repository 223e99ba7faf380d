#include "probe/own_free.h"

#include <stdlib.h>
#include <string.h>

#include "base/search.h"
#include "probe/place.h"
#include "target/cfi.h"

#define NEAR (32 << 10) /* before and behind: malloc.c is about 20 KiB of code */
#define CALL 0xe8
#define JMP 0xe9
#define CALL_LEN 5 /* the byte and a distance, of both */

/* Code around the function, and the table that tells where instructions begin in it. */
struct vicinity {
	uint8_t code[2 * NEAR];
	size_t len;
	uint64_t offset;   /* of code[0] in the file */
	uint64_t to_vaddr; /* file offset + this = address as linked */
	struct cfi_table table;
};

static int vicinity_read(struct vicinity *v, struct object *obj, const struct object_symbol *function)
{
	ssize_t got;

	v->offset = function->file_offset > NEAR ? function->file_offset - NEAR : 0;
	v->to_vaddr = function->value - function->file_offset;
	got = object_read(obj, v->offset, v->code, sizeof(v->code));
	if (got < 0)
		return (int)got;
	v->len = (size_t)got;
	return cfi_read(obj, &v->table, NULL);
}

static uint64_t pc_of(const void *rows, size_t i)
{
	return ((const struct unwind_row *)rows)[i].pc;
}

/* Whether code[at], which looks like a call of or jump to the function, is one. */
static bool is_call(const struct vicinity *v, size_t at, const struct object_symbol *function)
{
	uint64_t base = v->offset + v->to_vaddr;
	size_t upto = search_upto(v->table.rows, v->table.row_cnt, pc_of, base + at), from;
	uint64_t begin; /* of an instruction */

	if (!upto || v->table.rows[upto - 1].pc < base)
		return false;
	begin = v->table.rows[upto - 1].pc;
	from = begin - base;
	return place_is_call(v->code + from, v->len - from, at - from, (int64_t)(function->value - begin));
}

/* Whether the instruction at that offset is in one of the functions that are meant. */
static bool is_own(struct object *obj, uint64_t offset)
{
	static const char *const names[] = {
		"tcache_thread_shutdown",
		"__malloc_arena_thread_freeres", /* which may hold the former */
		"tcache_free_init",
		"tcache_double_free_verify",
	};
	struct object_symbol sym;

	if (object_symbol_at(obj, offset, &sym))
		return !object_is_static(obj);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(sym.name, names[i]))
			return true;
	return false;
}

size_t own_free_find(struct object *obj, const struct object_symbol *function, uint64_t offsets[OWN_FREE_MAX])
{
	struct vicinity *v = calloc(1, sizeof(*v));
	size_t cnt = 0;

	if (v && !vicinity_read(v, obj, function)) {
		for (size_t at = 0; at + CALL_LEN <= v->len && cnt < OWN_FREE_MAX; at++) {
			int32_t distance;

			memcpy(&distance, v->code + at + 1, sizeof(distance));
			if ((v->code[at] == CALL || v->code[at] == JMP) &&
			    v->offset + at + CALL_LEN + (uint64_t)(int64_t)distance ==
				    function->file_offset &&
			    is_call(v, at, function) && is_own(obj, v->offset + at))
				offsets[cnt++] = v->offset + at;
		}
		cfi_free(&v->table);
	}
	free(v);
	return cnt;
}
