#include "probe/plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../bpf/share.h"
#include "probe/mallctl.h"
#include "probe/own_free.h"
#include "probe/place.h"
#include "probe/python_gc.h"

#define CODE_MAX 65536
#define CODE_UNKNOWN 4096 /* looked at where a symbol tells no size */
#define FOLLOWED_MAX 32   /* pieces of code that one function ends in */
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
};

/* One function being planned. */
struct planning {
	const struct plan_context *ctx;
	struct object *obj;
	const struct family *family;
	struct plan *plan;
	enum plan_role exit;
	uint64_t to_vaddr;               /* file offset + this = address as linked, in the text segment */
	uint64_t followed[FOLLOWED_MAX]; /* where the exits were sought already */
	size_t followed_cnt;
	unsigned exit_cnt, lost_exits;
	char exits_text[EXITS_TEXT_MAX]; /* for --verbose */
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

/* The code from a file offset on, to the end of the function that it lies in. NULL: cannot be read. */
static uint8_t *read_code(struct object *obj, uint64_t offset, size_t *len)
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

static void note_exit(struct planning *p, uint64_t offset)
{
	size_t used = strlen(p->exits_text);

	snprintf(p->exits_text + used, sizeof(p->exits_text) - used, "%s%#" PRIx64, used ? ", " : "", offset);
	p->exit_cnt++;
}

static bool is_followed(const struct planning *p, uint64_t offset)
{
	for (size_t i = 0; i < p->followed_cnt; i++)
		if (p->followed[i] == offset)
			return true;
	return false;
}

/* Remembers the code behind a jump out of the function, to be looked at too. */
static void follow_jump(struct planning *p, uint64_t target)
{
	if (is_followed(p, target))
		return;
	if (p->followed_cnt == FOLLOWED_MAX)
		p->lost_exits++;
	else
		p->followed[p->followed_cnt++] = target;
}

/* Exits of the code at offset; what it ends in by a jump is to be followed. */
static int add_exits_of(struct planning *p, uint64_t offset, const char **why)
{
	struct place_exits exits;
	size_t len = 0;
	uint8_t *code = read_code(p->obj, offset, &len);
	int ret = code ? place_exits(code, len, &exits, why) : -EIO;

	free(code);
	if (!code)
		*why = "its code cannot be read";
	for (size_t i = 0; !ret && i < exits.cnt; i++) {
		const struct place_exit *e = &exits.v[i];
		uint64_t target = offset + (uint64_t)e->target;

		if (e->kind == PLACE_RET) {
			ret = add_spot(p->plan, p->exit, offset + e->offset, 0);
			note_exit(p, offset + e->offset);
		} else if (e->kind == PLACE_SLOT && !slot_leads_to(p->obj, target + p->to_vaddr, &target)) {
			p->lost_exits++;
		} else {
			follow_jump(p, target);
		}
	}
	if (!ret)
		p->lost_exits += exits.unknown;
	return ret;
}

/* All exits, through tail jumps too: behind them the stack pointer is the same, by which a call is known. */
static int add_exits(struct planning *p, uint64_t offset, const char **why)
{
	const char *ignored;
	int ret;

	p->followed[p->followed_cnt++] = offset;
	ret = add_exits_of(p, offset, why);
	for (size_t i = 1; !ret && i < p->followed_cnt; i++)
		if (add_exits_of(p, p->followed[i], &ignored))
			p->lost_exits++;
	return ret;
}

/* Whether the function's first instruction jumps away, behind a landing pad perhaps. */
static bool jumps_at_once(struct object *obj, uint64_t offset)
{
	struct place_exits exits;
	const char *why;
	size_t len = 0;
	uint8_t *code = read_code(obj, offset, &len);
	bool jumps = code && !place_exits(code, len, &exits, &why) && exits.cnt == 1 &&
		     exits.v[0].offset <= 4 && exits.v[0].kind != PLACE_RET;

	free(code);
	return jumps;
}

static int find_function(struct object *obj, const struct family *family, const struct probe_row *row,
			 struct object_symbol *sym)
{
	char symbol[ALLOCATOR_SYMBOL_MAX];

	return object_find_symbol(obj, allocator_symbol(symbol, family->prefix, row->symbol), sym);
}

/* Whether a row of the same kind names the function at offset: an allocation's or a free's. */
static bool is_row_function(struct object *obj, const struct family *family, bool free, uint64_t offset)
{
	struct object_symbol sym;

	for (const struct probe_row *row = family->rows; row->symbol; row++)
		if (row->shape >= PROBE_ALLOC && (row->shape == PROBE_FREE) == free &&
		    !find_function(obj, family, row, &sym) && sym.file_offset == offset)
			return true;
	return false;
}

/*
 * Whether the function leaves every call to another one of the rows, which is probed too: an
 * allocation that is but a jump there (nested calls are told at run time, but each hit
 * costs), and a free that ends in one, since nothing would tell that the two are one.
 */
static bool is_passed_on(const struct plan_context *ctx, struct object *obj, const struct family *family,
			 const struct probe_row *row, const struct object_symbol *sym)
{
	struct plan exits = {.v = NULL};
	struct planning p = {.ctx = ctx, .obj = obj, .plan = &exits, .exit = PLAN_ALLOC_EXIT};
	bool free = row->shape == PROBE_FREE, found = false;
	const char *why;

	p.to_vaddr = sym->value - sym->file_offset;
	if (!add_exits(&p, sym->file_offset, &why) && (free || jumps_at_once(obj, sym->file_offset)))
		for (size_t i = 1; !found && i < p.followed_cnt; i++)
			found = p.followed[i] != sym->file_offset &&
				is_row_function(obj, family, free, p.followed[i]);
	plan_free(&exits);
	if (found)
		log_note(ctx->log, "%s in %s: passes its calls on to a function that is probed", sym->name,
			 object_name(obj));
	return found;
}

static void note_placed(const struct planning *p, const char *symbol, uint64_t offset, const char *why,
			bool return_probe)
{
	log_note(p->ctx->log, "%s in %s: at +%" PRIu64 " (%s); %s%s", symbol, object_name(p->obj), offset,
		 why,
		 return_probe  ? "return probe"
		 : p->exit_cnt ? "exits at "
			       : "entry only",
		 p->exits_text);
	if (p->lost_exits)
		log_note(p->ctx->log, "%s in %s: a call that leaves by %s jump through a pointer ends unseen",
			 symbol, object_name(p->obj), p->lost_exits == 1 ? "its" : "a");
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
	if (row->shape == PROBE_CONTROL_MIB)
		return cookie | mib_bits(p);
	return cookie | arg_bits(args, row->ptr, COOKIE_PTR_SHIFT) |
	       arg_bits(args, row->size, COOKIE_SIZE_SHIFT) | arg_bits(args, row->count, COOKIE_COUNT_SHIFT);
}

static uint32_t add_function(const struct planning *p, const struct probe_row *row, const char *symbol,
			     bool stepped)
{
	return functions_add(p->ctx->functions, &(struct traced_function){
							.symbol = symbol,
							.shape = row->shape,
							.has_result = row->has_result,
							.on_null = row->on_null,
							.stepped = stepped,
							.allocator = p->family->kind,
							.object = object_name(p->obj),
							.dev = object_dev(p->obj),
							.inode = object_inode(p->obj),
						});
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
	struct planning p = {.ctx = ctx, .obj = obj, .family = family, .plan = plan, .exit = shape->exit};
	bool return_probe = ctx->return_probes && !shape->never_return_probe && !row->throws;
	struct place_args args = {.wanted = wanted_args(row), .in_place = row->shape < PROBE_ALLOC};
	enum plan_role role = row->throws ? PLAN_ALLOC_THROWS : shape->entry;
	const char *why = "", *why_entry;
	struct object_symbol sym;
	uint64_t offset, cookie;
	uint32_t number;
	uint8_t *code;
	size_t len;

	if (find_function(obj, family, row, &sym))
		return 0;
	p.to_vaddr = sym.value - sym.file_offset;
	if (family->kind && row->shape >= PROBE_ALLOC && is_passed_on(ctx, obj, family, row, &sym))
		return 0;
	code = read_code(obj, sym.file_offset, &len);
	if (!code)
		return 0;
	offset = place_entry(code, len, &args, &why_entry);
	free(code);
	if (is_planned(plan, role, sym.file_offset + offset))
		return 0;
	if (!return_probe && !shape->entry_only && (add_exits(&p, sym.file_offset, &why) || !p.exit_cnt)) {
		missing_add(ctx->missing, "%s of %s is not seen: its exits cannot be found: %s", sym.name,
			    object_name(obj), why);
		return 0;
	}
	number = add_function(&p, row, sym.name, args.stepped);
	if (!number)
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
		say_what_lacks(ctx, obj, &family);
		ret = plan_rows(ctx, obj, &family, plan);
	}
	return ret;
}

int plan_object(const struct plan_context *ctx, struct object *obj, struct plan *plan)
{
	static const struct family libc_family = {.rows = libc_rows, .prefix = ""},
				   loader_family = {.rows = loader_rows, .prefix = ""};
	bool libc = false;
	int ret = 0;

	for (const struct allocator *const *kind = allocators; !ret && *kind; kind++) {
		bool found = false;

		ret = plan_allocator(ctx, obj, *kind, plan, &found);
		libc = libc || (found && is_libc(*kind));
	}
	if (libc)
		say_what_lacks(ctx, obj, &libc_family);
	if (!ret && (libc || may_hold_libc(obj)))
		ret = plan_rows(ctx, obj, &libc_family, plan);
	if (!ret)
		ret = plan_rows(ctx, obj, &loader_family, plan);
	if (!ret)
		ret = python_gc_plan(ctx, obj, plan);
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
