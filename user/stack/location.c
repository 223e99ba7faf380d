#include "stack/location.h"

#include <stdlib.h>

#include "base/map.h"
#include "stack/texts.h"

#define LOCATIONS_MAX 1000000 /* beyond, they are not told apart */

struct locations {
	struct modules *modules;
	struct map known; /* hash of module and address, or of a name → struct location */
	struct texts texts;
	struct location nowhere, too_many;
};

struct locations *locations_new(void)
{
	struct locations *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->modules = modules_new();
	if (!l->modules) {
		free(l);
		return NULL;
	}
	return l;
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
	texts_free(&l->texts);
	modules_free(l->modules);
	free(l);
}

struct location *locations_get(struct locations *l, struct module *module, uint64_t addr)
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

/* NULL: no memory, or too many texts. */
static struct frame_list *list_of(struct texts *texts, const struct frame_name *name)
{
	struct frame_name own = *name;
	struct frame_list *list;

	own.function = texts_get(texts, name->function);
	own.module = texts_get(texts, name->module);
	own.file = texts_get(texts, name->file);
	if (!own.function != !name->function || !own.module != !name->module || !own.file != !name->file)
		return NULL;
	list = malloc(sizeof(*list) + sizeof(list->v[0]));
	if (list) {
		list->cnt = 1;
		list->v[0] = own;
	}
	return list;
}

struct location *locations_named(struct locations *l, const struct frame_name *name)
{
	uint64_t hash = map_hash(map_hash(name->line, name->function), name->file ? name->file : "");
	struct location *first = map_get(&l->known, hash), *at;

	for (at = first; at; at = at->same_hash)
		if (!at->module && !frame_compare(&at->frames->v[0], name))
			return at;
	at = l->known.cnt < LOCATIONS_MAX ? calloc(1, sizeof(*at)) : NULL;
	if (!at)
		return &l->too_many;
	at->frames = list_of(&l->texts, name);
	at->stage = LOCATION_DONE;
	at->same_hash = first;
	if (at->frames && !map_set(&l->known, hash, at))
		return at;
	free(at->frames);
	free(at);
	return &l->too_many;
}

struct location *locations_nowhere(struct locations *l)
{
	return &l->nowhere;
}

struct modules *locations_modules(const struct locations *l)
{
	return l->modules;
}
