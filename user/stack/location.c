#include "stack/location.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/units.h"
#include "target/maps.h"

#define ADDRESSES_MAX 1000000 /* known at once; beyond, all are forgotten and looked up again */
#define LOCATIONS_MAX 1000000 /* beyond, they are not told apart */
#define REREAD_NS (NSEC_PER_SEC / 10)

struct locations {
	pid_t pid;
	struct modules *modules;
	struct maps maps;
	bool fresh;
	uint64_t read_ns;
	struct map addresses; /* → struct location; until the mappings change */
	struct map known;     /* hash of module and address → struct location */
	struct location nowhere, too_many;
};

struct locations *locations_new(pid_t pid)
{
	struct locations *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->pid = pid;
	l->modules = modules_new(pid);
	if (!l->modules) {
		free(l);
		return NULL;
	}
	return l;
}

void locations_stale(struct locations *l)
{
	map_free(&l->addresses);
	l->fresh = false;
}

void locations_free(struct locations *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->known.cap; i++) {
		struct location *at = l->known.slots[i].value, *next;

		for (; at; at = next) {
			next = at->same_hash;
			free(at->frames);
			free(at);
		}
	}
	free(l->nowhere.frames);
	free(l->too_many.frames);
	map_free(&l->known);
	map_free(&l->addresses);
	maps_free(&l->maps);
	modules_free(l->modules);
	free(l);
}

static const struct mapping *find(struct locations *l, uint64_t addr)
{
	const struct mapping *m = l->fresh ? maps_find(&l->maps, addr) : NULL;

	if (m)
		return m;
	/* A stack that is none has addresses that lie nowhere: each would have the maps read. */
	if (l->fresh && clock_monotonic_ns() - l->read_ns < REREAD_NS)
		return NULL;
	maps_free(&l->maps);
	l->fresh = !maps_read(l->pid, &l->maps, NULL);
	l->read_ns = clock_monotonic_ns();
	return l->fresh ? maps_find(&l->maps, addr) : NULL;
}

static uint64_t address_in(const struct module *module, const struct mapping *m, uint64_t addr)
{
	if (module->kind == MODULE_ELF)
		return addr - object_bias(module->object, m);
	return module->kind == MODULE_JIT ? addr : addr - m->start + m->offset;
}

/* The one location of that place. */
static struct location *intern(struct locations *l, struct module *module, uint64_t addr)
{
	uint64_t hash = (uint64_t)(uintptr_t)module * 0x9e3779b97f4a7c15ULL ^ addr;
	struct location *first = map_get(&l->known, hash), *at;

	for (at = first; at; at = at->same_hash)
		if (at->module == module && at->addr == addr)
			return at;
	at = l->known.cnt < LOCATIONS_MAX ? calloc(1, sizeof(*at)) : NULL;
	if (!at)
		return &l->too_many;
	at->module = module;
	at->addr = addr;
	at->same_hash = first;
	if (!map_set(&l->known, hash, at))
		return at;
	free(at);
	return &l->too_many;
}

static struct frame_list *list_of(const struct frame_name *name)
{
	struct frame_list *list = malloc(sizeof(*list) + sizeof(list->v[0]));

	if (list) {
		list->cnt = 1;
		list->v[0] = *name;
	}
	return list;
}

struct location *locations_named(struct locations *l, const struct frame_name *name)
{
	uint64_t hash = map_hash(map_hash(name->line, name->function), name->file);
	struct location *first = map_get(&l->known, hash), *at;

	for (at = first; at; at = at->same_hash)
		if (!at->module && !frame_compare(&at->frames->v[0], name))
			return at;
	at = l->known.cnt < LOCATIONS_MAX ? calloc(1, sizeof(*at)) : NULL;
	if (!at)
		return &l->too_many;
	at->frames = list_of(name);
	at->stage = LOCATION_DONE;
	at->same_hash = first;
	if (at->frames && !map_set(&l->known, hash, at))
		return at;
	free(at->frames);
	free(at);
	return &l->too_many;
}

static struct location *look_up(struct locations *l, uint64_t addr)
{
	const struct mapping *m = find(l, addr);
	struct module *module = m ? modules_get(l->modules, m) : NULL;

	return module ? intern(l, module, address_in(module, m, addr)) : &l->nowhere;
}

struct location *locations_get(struct locations *l, uint64_t addr)
{
	struct location *at = map_get(&l->addresses, addr);

	if (at)
		return at;
	at = look_up(l, addr);
	if (!at->module) /* perhaps it is mapped later: a JIT tells nobody */
		return at;
	if (l->addresses.cnt == ADDRESSES_MAX)
		map_free(&l->addresses);
	map_set(&l->addresses, addr, at);
	return at;
}

bool locations_in_libc(struct locations *l, uint64_t addr)
{
	const struct module *module = locations_get(l, addr)->module;

	return module && (!strncmp(module->name, "libc.", 5) || !strncmp(module->name, "libc-", 5));
}

struct modules *locations_modules(const struct locations *l)
{
	return l->modules;
}
