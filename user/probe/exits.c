#include "probe/exits.h"

#include <errno.h>
#include <stdlib.h>

#include "probe/place.h"

#define CODE_MAX 65536
#define CODE_UNKNOWN 4096 /* looked at where a symbol tells no size */

uint8_t *exits_code(struct object *obj, uint64_t offset, size_t *len)
{
	struct object_symbol sym;
	uint64_t want = CODE_UNKNOWN;
	uint8_t *code;
	ssize_t got;

	if (!object_symbol_at(obj, offset, &sym) && sym.size)
		want = sym.file_offset + sym.size - offset;
	if (want > CODE_MAX)
		want = CODE_MAX;
	code = malloc(want);
	got = code ? object_read(obj, offset, code, want) : -1;
	if (got <= 0) {
		free(code);
		return NULL;
	}
	*len = (size_t)got;
	return code;
}

struct slot_search {
	uint64_t value;
	const char *symbol;
};

static int match_slot(const struct object_slot *slot, void *arg)
{
	struct slot_search *search = arg;

	if (slot->value != search->value)
		return 0;
	search->symbol = slot->symbol;
	return 1;
}

/* A jump through a slot of the PLT to a function of the same object (mi_collect → mi_heap_collect). */
static bool slot_leads_to(struct object *obj, uint64_t slot, uint64_t *offset)
{
	struct slot_search search = {.value = slot};
	struct object_symbol sym;

	if (!object_each_slot(obj, match_slot, &search) || object_find_symbol(obj, search.symbol, &sym))
		return false;
	*offset = sym.file_offset;
	return true;
}

static void add_exit(struct exits *exits, uint64_t offset)
{
	for (size_t i = 0; i < exits->cnt; i++)
		if (exits->v[i] == offset)
			return;
	if (exits->cnt == EXITS_MAX)
		exits->lost++;
	else
		exits->v[exits->cnt++] = offset;
}

bool exits_lead_to(const struct exits *exits, uint64_t offset)
{
	for (size_t i = 1; i < exits->piece_cnt; i++)
		if (exits->pieces[i] == offset)
			return true;
	return false;
}

/* Remembers the code behind a jump out of the function, to be looked at too. */
static void add_piece(struct exits *exits, uint64_t target)
{
	if (target == exits->pieces[0] || exits_lead_to(exits, target))
		return;
	if (exits->piece_cnt == EXITS_PIECES_MAX)
		exits->lost++;
	else
		exits->pieces[exits->piece_cnt++] = target;
}

/* Exits of the code at offset; what it ends in by a jump is to be followed. to_vaddr: file offset + this =
 * address as linked. */
static int add_exits_of(struct object *obj, uint64_t offset, uint64_t to_vaddr, struct exits *exits,
			const char **why)
{
	struct place_exits found;
	size_t len = 0;
	uint8_t *code = exits_code(obj, offset, &len);
	int ret = code ? place_exits(code, len, &found, why) : -EIO;

	free(code);
	if (!code)
		*why = "its code cannot be read";
	for (size_t i = 0; !ret && i < found.cnt; i++) {
		const struct place_exit *e = &found.v[i];
		uint64_t target = offset + (uint64_t)e->target;

		if (e->kind == PLACE_RET)
			add_exit(exits, offset + e->offset);
		else if (e->kind == PLACE_SLOT && !slot_leads_to(obj, target + to_vaddr, &target))
			exits->lost++;
		else
			add_piece(exits, target);
	}
	if (!ret)
		exits->lost += found.unknown;
	return ret;
}

int exits_find(struct object *obj, const struct object_symbol *function, struct exits *exits,
	       const char **why)
{
	uint64_t to_vaddr = function->value - function->file_offset;
	const char *ignored;
	int ret;

	exits->cnt = exits->lost = 0;
	exits->pieces[0] = function->file_offset;
	exits->piece_cnt = 1;
	ret = add_exits_of(obj, function->file_offset, to_vaddr, exits, why);
	for (size_t i = 1; !ret && i < exits->piece_cnt; i++)
		if (add_exits_of(obj, exits->pieces[i], to_vaddr, exits, &ignored))
			exits->lost++;
	return ret;
}

bool exits_at_once(struct object *obj, const struct object_symbol *function)
{
	struct place_exits exits;
	const char *why;
	size_t len = 0;
	uint8_t *code = exits_code(obj, function->file_offset, &len);
	bool jumps = code && !place_exits(code, len, &exits, &why) && exits.cnt == 1 &&
		     exits.v[0].offset <= 4 && exits.v[0].kind != PLACE_RET;

	free(code);
	return jumps;
}
