#include "probe/plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../bpf/share.h"
#include "probe/exits.h"
#include "probe/mallctl.h"
#include "probe/own_free.h"
#include "probe/place.h"
#include "probe/python_gc.h"
#include "probe/python_objects.h"

#define EXITS_TEXT_MAX 256

_Static_assert((int)SHAPE_CNT == (int)PROBE_SHAPE_CNT && (int)SHAPE_FREE == (int)PROBE_FREE,
	       "bpf/share.h and allocator.h order the shapes alike");

/* How a shape's end is seen: by a return probe if they are used at all, or always at its exits. */
static const struct shape {
	enum plan_role entry, exit;
	bool never_return_probe;
	bool entry_only;
} shapes[PROBE_SHAPE_CNT] = {
	[PROBE_PURGE] = {PLAN_PURGE, PLAN_PURGE_EXIT, false, false},
	[PROBE_CONTROL] = {PLAN_PURGE, PLAN_PURGE_EXIT, false, false},
	[PROBE_CONTROL_MIB] = {PLAN_PURGE, PLAN_PURGE_EXIT, false, false},
	[PROBE_DLOPEN] = {PLAN_OPEN, PLAN_LOADER_EXIT, true, false},
	[PROBE_DLMOPEN] = {PLAN_OPEN, PLAN_LOADER_EXIT, true, false},
	[PROBE_DLCLOSE] = {PLAN_CLOSE, PLAN_LOADER_EXIT, true, false},
	[PROBE_LOADED] = {PLAN_LOADED, PLAN_LOADED, true, true},
	[PROBE_MARK] = {PLAN_MARK, PLAN_MARK, true, true},
	[PROBE_MMAP] = {PLAN_MEMORY, PLAN_MEMORY_EXIT, false, false},
	[PROBE_MUNMAP] = {PLAN_MEMORY, PLAN_MEMORY_EXIT, false, false},
	[PROBE_MREMAP] = {PLAN_MEMORY, PLAN_MEMORY_EXIT, false, false},
	[PROBE_MADVISE] = {PLAN_MEMORY, PLAN_MEMORY_EXIT, false, false},
	[PROBE_BRK] = {PLAN_MEMORY, PLAN_MEMORY_EXIT, false, false},
	[PROBE_ALLOC] = {PLAN_ALLOC, PLAN_ALLOC_EXIT, false, false},
	[PROBE_ALLOC_OUT] = {PLAN_ALLOC, PLAN_ALLOC_EXIT, false, false},
	[PROBE_REALLOC] = {PLAN_ALLOC, PLAN_ALLOC_EXIT, false, false},
	[PROBE_FREE] = {PLAN_FREE, PLAN_FREE, true, true},
};

/* Functions of one owner: an allocator's, under one of its prefixes; or libc's and the loader's. */
struct family {
	const struct allocator *kind; /* NULL: none's */
	const struct probe_row *rows;
	const char *prefix;
	bool operators; /* C++'s are its own although it has a prefix */
};

/* One function being planned. */
struct planning {
	const struct plan_context *ctx;
	struct object *obj;
	const struct family *family;
	struct plan *plan;
	struct exits exits; /* looked for where its end is seen at them */
};

static bool is_planned(const struct plan *plan, enum plan_role role, uint64_t offset)
{
	for (size_t i = 0; i < plan->cnt; i++)
		if (plan->v[i].role == role && plan->v[i].at.offset == offset)
			return true;
	return false;
}

int plan_add(struct plan *plan, enum plan_role role, const struct link_spot *spot)
{
	if (is_planned(plan, role, spot->offset))
		return 0;
	if (plan->cnt == plan->cap) {
		size_t cap = plan->cap ? plan->cap * 2 : 32;
		struct plan_spot *v = realloc(plan->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		plan->v = v;
		plan->cap = cap;
	}
	plan->v[plan->cnt++] = (struct plan_spot){role, *spot};
	return 0;
}

static int add_spot(struct plan *plan, enum plan_role role, uint64_t offset, uint64_t cookie)
{
	return plan_add(plan, role, &(struct link_spot){.offset = offset, .cookie = cookie});
}

void plan_free(struct plan *plan)
{
	free(plan->v);
	*plan = (struct plan){.v = NULL};
}

/* C++ allows its operators no prefix. */
static bool is_operator(const struct probe_row *row)
{
	return row->symbol[0] == '_' && row->symbol[1] == 'Z' &&
	       (row->symbol[2] == 'n' || row->symbol[2] == 'd');
}

static int find_function(struct object *obj, const struct family *family, const struct probe_row *row,
			 struct object_symbol *sym)
{
	const char *prefix = family->operators && is_operator(row) ? "" : family->prefix;
	char symbol[ALLOCATOR_SYMBOL_MAX];

	return object_find_symbol(obj, allocator_symbol(symbol, prefix, row->symbol), sym);
}

/*
 * Whether the operators new and delete of an object are of an allocator that has a prefix there:
 * theirs pass blocks on to its free, those of a C++ library linked in to the C library's.
 */
static bool has_operators(struct object *obj, const struct family *family)
{
	static const struct probe_row free_row = {.symbol = "free"};
	struct object_symbol operator_delete, its_free;
	struct exits exits;
	const char *why;

	return *family->prefix && !object_find_symbol(obj, "_ZdlPv", &operator_delete) &&
	       !find_function(obj, family, &free_row, &its_free) &&
	       !exits_find(obj, &operator_delete, &exits, &why) &&
	       exits_lead_to(&exits, its_free.file_offset);
}

/* Whether the ways out lead to a function of the rows of the same kind, an allocation's or a free's. */
static bool lead_to_row(struct object *obj, const struct family *family, bool free, const struct exits *exits)
{
	struct object_symbol sym;

	for (const struct probe_row *row = family->rows; row->symbol; row++)
		if (row->shape >= PROBE_ALLOC && (row->shape == PROBE_FREE) == free &&
		    !find_function(obj, family, row, &sym) && exits_lead_to(exits, sym.file_offset))
			return true;
	return false;
}

/*
 * Whether the function leaves every call to another one of the rows, which is probed too: an
 * allocation that is but a jump there (nested calls are told at run time, but each hit
 * costs), and a free that ends in one, since nothing would tell that the two are one.
 */
static bool is_passed_on(struct planning *p, const struct probe_row *row, const struct object_symbol *sym)
{
	bool free = row->shape == PROBE_FREE;
	const char *why;

	if ((!free && !exits_at_once(p->obj, sym)) || exits_find(p->obj, sym, &p->exits, &why) ||
	    !lead_to_row(p->obj, p->family, free, &p->exits))
		return false;
	log_note(p->ctx->log, "%s in %s: passes its calls on to a function that is probed", sym->name,
		 object_name(p->obj));
	return true;
}

static void note_placed(const struct planning *p, const char *symbol, uint64_t offset, const char *why,
			bool return_probe)
{
	char exits[EXITS_TEXT_MAX] = "";
	size_t used = 0;

	for (size_t i = 0; i < p->exits.cnt && used < sizeof(exits); i++)
		used += (size_t)snprintf(exits + used, sizeof(exits) - used, "%s%#" PRIx64, i ? ", " : "",
					 p->exits.v[i]);
	log_note(p->ctx->log, "%s in %s: at +%" PRIu64 " (%s); %s%s", symbol, object_name(p->obj), offset,
		 why,
		 return_probe   ? "return probe"
		 : p->exits.cnt ? "exits at "
				: "entry only",
		 exits);
	if (p->exits.lost)
		log_note(p->ctx->log, "%s in %s: a call that leaves by %s jump through a pointer ends unseen",
			 symbol, object_name(p->obj), p->exits.lost == 1 ? "its" : "a");
}

/* The end of the function's calls: a return probe, or probes on its exits. False: they cannot be found. */
static bool find_exits(struct planning *p, const struct object_symbol *sym)
{
	const char *why = "";

	if (!exits_find(p->obj, sym, &p->exits, &why) && p->exits.cnt)
		return true;
	missing_add(p->ctx->missing, "%s of %s is not seen: its exits cannot be found: %s", sym->name,
		    object_name(p->obj), why);
	return false;
}

static int add_exits(const struct planning *p, enum plan_role role)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < p->exits.cnt; i++)
		ret = add_spot(p->plan, role, p->exits.v[i], 0);
	return ret;
}

/* The arguments that the shape's programs read: those a row names, or all that any may. */
static unsigned wanted_args(const struct probe_row *row)
{
	unsigned wanted = 0;

	if (row->shape < PROBE_ALLOC)
		return (1u << PLACE_ARGS_MAX) - 1;
	if (row->ptr)
		wanted |= 1u << (row->ptr - 1);
	if (row->size)
		wanted |= 1u << (row->size - 1);
	if (row->count)
		wanted |= 1u << (row->count - 1);
	return wanted;
}

static uint64_t arg_bits(const struct place_args *args, unsigned char number, unsigned shift)
{
	return (uint64_t)(number ? args->at[number - 1] : ARG_NONE) << shift;
}

/* Of an object whose tables show no numbers nothing is taken for a purge. */
static uint64_t mib_bits(const struct planning *p)
{
	struct mallctl_numbers numbers;
	uint64_t bits = 0;

	if (mallctl_numbers(p->obj, &numbers))
		missing_add(p->ctx->missing,
			    "purges by mallctlbymib are not seen: the numbers of %s were not found in it",
			    object_name(p->obj));
	for (int i = CONTROL_PURGE; i < CONTROL_CNT; i++)
		bits |= (uint64_t)numbers.control[i] << (COOKIE_MIB_SHIFT + 4 * i);
	return bits | (uint64_t)numbers.arena << COOKIE_MIB_SHIFT;
}

static uint64_t make_cookie(const struct planning *p, uint32_t number, const struct probe_row *row,
			    const struct place_args *args)
{
	uint64_t cookie = number | (uint64_t)row->shape << COOKIE_SHAPE_SHIFT;

	if (row->has_result)
		cookie |= COOKIE_HAS_RESULT;
	if (p->family->kind && p->family->kind->usable)
		cookie |= COOKIE_HAS_HEADER;
	if (args->stepped)
		cookie |= COOKIE_STEPPED;
	if (row->shape == PROBE_CONTROL_MIB)
		return cookie | mib_bits(p);
	return cookie | arg_bits(args, row->ptr, COOKIE_PTR_SHIFT) |
	       arg_bits(args, row->size, COOKIE_SIZE_SHIFT) | arg_bits(args, row->count, COOKIE_COUNT_SHIFT);
}

static uint32_t add_function(const struct planning *p, const struct probe_row *row,
			     const struct object_symbol *sym, const struct traced_function *placed)
{
	struct traced_function fn = *placed;

	fn.symbol = sym->name;
	fn.shape = row->shape;
	fn.has_result = row->has_result;
	fn.on_null = row->on_null;
	fn.file_offset = sym->file_offset;
	fn.exit_cnt = (unsigned)p->exits.cnt;
	fn.lost_exits = p->exits.lost;
	fn.allocator = p->family->kind;
	fn.object = object_name(p->obj);
	fn.dev = object_dev(p->obj);
	fn.inode = object_inode(p->obj);
	return functions_add(p->ctx->functions, &fn);
}

/* Where the allocator calls this free itself. */
static int plan_own_calls(const struct planning *p, const struct object_symbol *sym, uint64_t cookie)
{
	uint64_t offsets[OWN_FREE_MAX];
	size_t cnt = own_free_find(p->obj, sym, offsets);
	int ret = 0;

	for (size_t i = 0; !ret && i < cnt; i++)
		ret = add_spot(p->plan, PLAN_OWN_FREE, offsets[i], cookie);
	log_note(p->ctx->log, "%s in %s: called anew by the allocator itself at %zu places", sym->name,
		 object_name(p->obj), cnt);
	return ret;
}

static int plan_function(const struct plan_context *ctx, struct object *obj, const struct family *family,
			 const struct probe_row *row, struct plan *plan)
{
	const struct shape *shape = &shapes[row->shape];
	struct planning p = {.ctx = ctx, .obj = obj, .family = family, .plan = plan};
	bool return_probe = ctx->return_probes && !shape->never_return_probe && !row->throws;
	struct place_args args = {.wanted = wanted_args(row), .in_place = row->shape < PROBE_ALLOC};
	enum plan_role role = row->throws ? PLAN_ALLOC_THROWS : shape->entry;
	struct object_symbol sym;
	uint64_t offset, cookie;
	const char *why_entry;
	uint32_t number;
	uint8_t *code;
	size_t len;

	if (find_function(obj, family, row, &sym) ||
	    (family->kind && row->shape >= PROBE_ALLOC && is_passed_on(&p, row, &sym)))
		return 0;
	code = exits_code(obj, sym.file_offset, &len);
	if (!code)
		return 0;
	offset = place_entry(code, len, &args, &why_entry);
	free(code);
	if (is_planned(plan, role, sym.file_offset + offset))
		return 0;
	p.exits.cnt = p.exits.lost = 0;
	if (!return_probe && !shape->entry_only && !find_exits(&p, &sym))
		return 0;
	number = add_function(&p, row, &sym,
			      &(struct traced_function){.entry = (uint32_t)offset,
							.why = why_entry,
							.stepped = args.stepped,
							.return_probe = return_probe});
	if (!number || add_exits(&p, shape->exit))
		return -ENOMEM;
	cookie = make_cookie(&p, number, row, &args);
	note_placed(&p, sym.name, offset, why_entry, return_probe);
	if (row->shape == PROBE_FREE && family->kind && family->kind->frees_twice &&
	    plan_own_calls(&p, &sym, cookie))
		return -ENOMEM;
	return add_spot(plan, role, sym.file_offset + offset, cookie);
}

static int plan_rows(const struct plan_context *ctx, struct object *obj, const struct family *family,
		     struct plan *plan)
{
	int ret = 0;

	for (const struct probe_row *row = family->rows; !ret && row && row->symbol; row++)
		if (ctx->allocs || row->shape < PROBE_ALLOC)
			ret = plan_function(ctx, obj, family, row, plan);
	return ret;
}

/* A static program holds only what it calls. */
static void say_what_lacks(const struct plan_context *ctx, struct object *obj, const struct family *family)
{
	struct object_symbol sym;

	for (const struct probe_row *row = family->rows; row && row->symbol; row++)
		if (row->required && (ctx->allocs || row->shape < PROBE_ALLOC) && !object_is_static(obj) &&
		    find_function(obj, family, row, &sym))
			missing_add(ctx->missing, "%s%s is not seen: %s has no such function", family->prefix,
				    row->symbol, object_name(obj));
}

static const char *file_name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool is_libc(const struct allocator *kind)
{
	return !strcmp(kind->name, "glibc") || !strcmp(kind->name, "musl");
}

/* What may hold some of libc's functions without being it: glibc's libdl up to 2.33, a static program. */
static bool may_hold_libc(struct object *obj)
{
	static const char libdl[] = "libdl";

	return object_is_static(obj) || !strncmp(file_name_of(object_name(obj)), libdl, sizeof(libdl) - 1);
}

/* Each of an allocator's prefixes that the object has. */
static int plan_allocator(const struct plan_context *ctx, struct object *obj, const struct allocator *kind,
			  struct plan *plan, bool *found)
{
	struct family family = {.kind = kind, .rows = kind->rows};
	size_t at = 0;
	int ret = 0;

	while (!ret && (family.prefix = allocator_prefix_in(kind, obj, &at))) {
		*found = true;
		family.operators = false;
		family.operators = has_operators(obj, &family);
		say_what_lacks(ctx, obj, &family);
		ret = plan_rows(ctx, obj, &family, plan);
	}
	return ret;
}

int plan_object(const struct plan_context *ctx, struct object *obj, bool program, struct plan *plan)
{
	static const struct family libc_family = {.rows = libc_rows, .prefix = ""},
				   loader_family = {.rows = loader_rows, .prefix = ""};
	const struct allocator *kind;
	bool libc = false;
	int ret = 0;

	for (size_t i = 0; !ret && (kind = allocator_nth(ctx->more, i)); i++) {
		bool found = false;

		ret = plan_allocator(ctx, obj, kind, plan, &found);
		libc = libc || (found && is_libc(kind));
	}
	if (libc)
		say_what_lacks(ctx, obj, &libc_family);
	if (!ret && (libc || may_hold_libc(obj)))
		ret = plan_rows(ctx, obj, &libc_family, plan);
	if (!ret)
		ret = plan_rows(ctx, obj, &loader_family, plan);
	if (!ret)
		ret = python_gc_plan(ctx, obj, plan);
	if (!ret && ctx->objects)
		ret = python_objects_plan(ctx, obj, plan);
	if (!ret)
		ret = mark_points_plan(ctx, obj, program, plan);
	if (!ret && !plan->cnt && object_is_static(obj))
		missing_add(ctx->missing, "%s is a static program without symbols: none of its calls is seen",
			    object_name(obj));
	return ret;
}

bool plan_wants_file(const char *file_name)
{
	for (const struct allocator *const *kind = allocators; *kind; kind++)
		for (const char *const *prefix = (*kind)->file_prefixes; (*kind)->rows && *prefix; prefix++)
			if (!strncmp(file_name, *prefix, strlen(*prefix)))
				return true;
	return false;
}
