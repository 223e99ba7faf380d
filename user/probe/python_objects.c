#include "probe/python_objects.h"

#include <errno.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "probe/pool_code.h"

#define CODE_MAX (256 * MIB) /* of a section that is looked through */
#define PLACES_MAX POOL_PLACES_MAX
#define FUNC_MAX 0xffffu /* COOKIE_POOL_FUNC */
#define NEAR 4096        /* bytes: where a pool is carved off, one is begun */

extern const struct allocator allocator_pymalloc;

/* What traced_function.symbol says. */
static const char *const names[] = {
	[POOL_TAKE] = "object allocation",
	[POOL_GIVE] = "object free",
};

struct search {
	const struct plan_context *ctx;
	struct object *obj;
	struct plan *plan;
	uint64_t section;    /* offset in the file */
	uint32_t take, give; /* the functions' numbers */
	size_t cnt[POOL_ACT_CNT];
	struct pool_place places[PLACES_MAX]; /* of a section */
	size_t place_cnt;
};

static uint32_t add_function(const struct search *s, enum pool_act act)
{
	return functions_add(s->ctx->functions, &(struct traced_function){
							.symbol = names[act],
							.shape = act == POOL_GIVE ? PROBE_FREE : PROBE_ALLOC,
							.why = "what it does to a pool",
							.allocator = &allocator_pymalloc,
							.object = object_name(s->obj),
							.dev = object_dev(s->obj),
							.inode = object_inode(s->obj),
						});
}

static void take_place(const struct pool_place *place, void *arg)
{
	struct search *s = arg;

	if (s->place_cnt < PLACES_MAX)
		s->places[s->place_cnt++] = *place;
}

/* Much else sets the first of its words to 1, and then one that lies where a pool's class does. */
static bool is_doubtful(const struct search *s, const struct pool_place *place)
{
	if (place->act != POOL_CARVE)
		return false;
	for (size_t i = 0; i < s->place_cnt; i++)
		if (s->places[i].act == POOL_BEGIN && place->offset - s->places[i].offset + NEAR < 2 * NEAR)
			return false;
	return true;
}

static int add_place(struct search *s, const struct pool_place *place)
{
	struct link_spot spot = {
		.offset = s->section + place->offset,
		.cookie = (place->act == POOL_GIVE ? s->give : s->take) |
			  (uint64_t)place->act << COOKIE_POOL_ACT_SHIFT |
			  (uint64_t)place->pool << COOKIE_POOL_SHIFT |
			  (uint64_t)place->block << COOKIE_POOL_BLOCK_SHIFT |
			  (uint64_t)(place->stack + POOL_STACK_MAX) << COOKIE_POOL_STACK_SHIFT |
			  (place->stack_by_bp ? COOKIE_POOL_BY_BP : 0),
	};

	spot.cookie |= (uint64_t)(s->plan->cnt % PLACES_MAX) << COOKIE_POOL_PLACE_SHIFT;
	s->cnt[place->act]++;
	return plan_add(s->plan, PLAN_OBJECT, &spot);
}

static int search_section(struct search *s, const GElf_Shdr *head)
{
	uint8_t *code;
	ssize_t len;
	int ret = 0;

	if (!(head->sh_flags & SHF_EXECINSTR) || head->sh_type != SHT_PROGBITS || head->sh_size > CODE_MAX)
		return 0;
	code = malloc(head->sh_size + 1);
	if (!code)
		return -ENOMEM;
	s->section = head->sh_offset;
	len = object_read(s->obj, head->sh_offset, code, head->sh_size);
	s->place_cnt = 0;
	if (len > 0)
		pool_code_find(code, (size_t)len, take_place, s);
	free(code);
	for (size_t i = 0; !ret && i < s->place_cnt; i++)
		if (!is_doubtful(s, &s->places[i]))
			ret = add_place(s, &s->places[i]);
	return ret;
}

static int search_code(struct search *s)
{
	Elf *elf = elf_begin(object_fd(s->obj), ELF_C_READ, NULL);
	Elf_Scn *section = NULL;
	GElf_Shdr head;
	int ret = 0;

	while (elf && !ret && (section = elf_nextscn(elf, section)))
		if (gelf_getshdr(section, &head))
			ret = search_section(s, &head);
	elf_end(elf);
	return ret;
}

/*
 * Exported by whatever carries the interpreter; PyPy's has another name. Without the interpreter's lock
 * (Include/refcount.h, Py_GIL_DISABLED) there are no pools: objects are in a mimalloc.
 */
static bool is_cpython_with_pools(struct object *obj)
{
	struct object_symbol sym;

	return !object_find_symbol(obj, "PyObject_Malloc", &sym) &&
	       object_find_symbol(obj, "_Py_DecRefShared", &sym);
}

int python_objects_plan(const struct plan_context *ctx, struct object *obj, struct plan *plan)
{
	size_t planned = plan->cnt;
	struct search *s;
	bool found;
	int ret;

	if (!is_cpython_with_pools(obj))
		return 0;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->ctx = ctx;
	s->obj = obj;
	s->plan = plan;
	s->give = add_function(s, POOL_GIVE);
	s->take = add_function(s, POOL_TAKE);
	ret = s->give && s->take ? 0 : -ENOMEM;
	if (!ret && s->give <= FUNC_MAX && s->take <= FUNC_MAX)
		ret = search_code(s);
	log_note(ctx->log, "objects in %s: born at %zu places, in new pools at %zu and %zu; they die at %zu",
		 object_name(obj), s->cnt[POOL_TAKE], s->cnt[POOL_BEGIN], s->cnt[POOL_CARVE],
		 s->cnt[POOL_GIVE]);
	found = s->cnt[POOL_TAKE] && s->cnt[POOL_GIVE];
	free(s);
	if (ret || found)
		return ret;
	plan->cnt = planned; /* births without deaths tell nothing */
	missing_add(ctx->missing,
		    "Python objects are not attributed: the places in %s where they are born and die are "
		    "not found",
		    object_name(obj));
	return 0;
}
