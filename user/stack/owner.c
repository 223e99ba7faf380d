#include "stack/owner.h"

#include <stdlib.h>

#include "base/map.h"

#define KINDS_MAX 8 /* allocators told apart in one object */

/* A file: which allocators are in it. */
struct holder {
	const struct module *module;
	struct holder *next;
	const struct allocator *kinds[KINDS_MAX];
	size_t kind_cnt;
	bool whole; /* it is the allocator's own library */
};

struct owners {
	struct addresses *addresses;
	const struct allocator *const *more;
	struct holder *holders;
	struct map known; /* struct location → allocator, or &nobody */
};

static const struct allocator nobody;

struct owners *owners_new(struct addresses *addresses, const struct allocator *const *more)
{
	struct owners *owners = calloc(1, sizeof(*owners));

	if (owners)
		*owners = (struct owners){.addresses = addresses, .more = more};
	return owners;
}

void owners_free(struct owners *owners)
{
	if (!owners)
		return;
	for (struct holder *h = owners->holders, *next; h; h = next) {
		next = h->next;
		free(h);
	}
	map_free(&owners->known);
	free(owners);
}

static void look_through(struct holder *h, struct object *obj, const struct allocator *const *more)
{
	const struct allocator *kind;

	for (size_t i = 0; h->kind_cnt < KINDS_MAX && (kind = allocator_nth(more, i)); i++) {
		if (!allocator_is_in(kind, obj))
			continue;
		h->kinds[h->kind_cnt++] = kind;
		h->whole = h->whole || allocator_is_library(kind, obj);
	}
}

static const struct holder *holder_of(struct owners *owners, const struct module *module)
{
	struct holder *h;

	for (h = owners->holders; h; h = h->next)
		if (h->module == module)
			return h;
	h = calloc(1, sizeof(*h));
	if (!h)
		return NULL;
	h->module = module;
	h->next = owners->holders;
	owners->holders = h;
	look_through(h, module->object, owners->more);
	return h;
}

/* The function's name; NULL: it has none. The return address lies behind the call. */
static const char *function_at(struct object *obj, uint64_t addr)
{
	struct object_symbol sym;
	uint64_t offset;

	if (!object_file_offset(obj, addr - 1, &offset) || object_symbol_at(obj, offset, &sym))
		return NULL;
	return sym.name;
}

static const struct allocator *look_up(struct owners *owners, const struct location *at)
{
	const struct holder *h = at->module && at->module->object ? holder_of(owners, at->module) : NULL;
	const char *function;

	if (!h || !h->kind_cnt)
		return NULL;
	if (h->whole)
		return h->kinds[0];
	function = function_at(at->module->object, at->addr);
	if (!function)
		return h->kind_cnt == 1 ? h->kinds[0] : NULL;
	for (size_t i = 0; i < h->kind_cnt; i++)
		if (allocator_is_releaser(h->kinds[i], function))
			return h->kinds[i];
	return NULL;
}

const struct allocator *owners_find(struct owners *owners, uint64_t addr)
{
	const struct location *at = addresses_get(owners->addresses, addr);
	const struct allocator *kind = map_get(&owners->known, (uintptr_t)at);

	if (!kind) {
		kind = look_up(owners, at);
		if (at->module)
			map_set(&owners->known, (uintptr_t)at, (void *)(kind ? kind : &nobody));
	}
	return kind == &nobody ? NULL : kind;
}
