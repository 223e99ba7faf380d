#include "stack/addresses.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/units.h"
#include "target/maps.h"

#define ADDRESSES_MAX 1000000 /* known at once; beyond, all are forgotten and looked up again */
#define REREAD_NS (NSEC_PER_SEC / 10)

/* The mappings at one time; children that were forked share their parent's. */
struct picture {
	struct maps maps;
	size_t holders;
};

struct addresses {
	pid_t pid;
	struct locations *locations;
	struct resident *resident; /* NULL: no memory, nothing is found any more */
	struct picture *picture;   /* NULL: none could be read */
	bool fresh;
	uint64_t read_ns;  /* when that was tried last */
	struct map places; /* address → struct location; until the mappings change */
};

static struct addresses *make(struct locations *locations, pid_t pid, struct addresses *parent)
{
	struct addresses *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->pid = pid;
	a->locations = locations;
	a->resident = modules_enter(locations_modules(locations), pid, parent ? parent->resident : NULL);
	if (!a->resident) {
		free(a);
		return NULL;
	}
	return a;
}

struct addresses *addresses_new(struct locations *locations, pid_t pid)
{
	return make(locations, pid, NULL);
}

static void drop_picture(struct addresses *a)
{
	if (a->picture && !--a->picture->holders) {
		maps_free(&a->picture->maps);
		free(a->picture);
	}
	a->picture = NULL;
}

/* A process that has ended has no mappings, or cannot be asked: what was known of it stays. */
static void read_maps(struct addresses *a)
{
	struct picture *picture = calloc(1, sizeof(*picture));

	a->fresh = picture && !maps_read(a->pid, &picture->maps, NULL) && picture->maps.cnt;
	a->read_ns = clock_monotonic_ns();
	if (!a->fresh) {
		if (picture)
			maps_free(&picture->maps);
		free(picture);
		return;
	}
	drop_picture(a);
	picture->holders = 1;
	a->picture = picture;
}

struct addresses *addresses_fork(struct addresses *parent, pid_t pid)
{
	struct addresses *a = make(parent->locations, pid, parent);

	if (!a)
		return NULL;
	if (!parent->fresh)
		read_maps(parent);
	a->picture = parent->picture;
	if (a->picture)
		a->picture->holders++;
	read_maps(a); /* now: it may have exec'd unseen, and end any moment */
	return a;
}

void addresses_stale(struct addresses *a)
{
	map_free(&a->places);
	a->fresh = false;
	a->read_ns = 0;
}

void addresses_exec(struct addresses *a)
{
	struct modules *modules = locations_modules(a->locations);

	addresses_stale(a);
	drop_picture(a);
	modules_leave(modules, a->resident);
	a->resident = modules_enter(modules, a->pid, NULL);
}

void addresses_free(struct addresses *a)
{
	if (!a)
		return;
	drop_picture(a);
	modules_leave(locations_modules(a->locations), a->resident);
	map_free(&a->places);
	free(a);
}

static const struct mapping *find(struct addresses *a, uint64_t addr)
{
	const struct mapping *m = a->fresh ? maps_find(&a->picture->maps, addr) : NULL;

	if (m)
		return m;
	/* A stack that is none has addresses that lie nowhere: each would have the maps read. */
	if (!a->read_ns || clock_monotonic_ns() - a->read_ns >= REREAD_NS)
		read_maps(a);
	return a->picture ? maps_find(&a->picture->maps, addr) : NULL;
}

static uint64_t address_in(const struct module *module, const struct mapping *m, uint64_t addr)
{
	if (module->kind == MODULE_ELF)
		return addr - object_bias(module->object, m);
	return module->kind == MODULE_JIT ? addr : addr - m->start + m->offset;
}

static struct location *look_up(struct addresses *a, uint64_t addr)
{
	const struct mapping *m = a->resident ? find(a, addr) : NULL;
	struct module *module = m ? modules_get(locations_modules(a->locations), a->resident, m) : NULL;

	return module ? locations_get(a->locations, module, address_in(module, m, addr))
		      : locations_nowhere(a->locations);
}

struct location *addresses_get(struct addresses *a, uint64_t addr)
{
	struct location *at = map_get(&a->places, addr);

	if (at)
		return at;
	at = look_up(a, addr);
	if (!at->module) /* perhaps it is mapped later: a JIT tells nobody */
		return at;
	if (a->places.cnt == ADDRESSES_MAX)
		map_free(&a->places);
	map_set(&a->places, addr, at);
	return at;
}

bool addresses_in_libc(struct addresses *a, uint64_t addr)
{
	const struct module *module = addresses_get(a, addr)->module;

	return module && (!strncmp(module->name, "libc.", 5) || !strncmp(module->name, "libc-", 5));
}

struct locations *addresses_locations(const struct addresses *a)
{
	return a->locations;
}
