#include "stack/frame.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/units.h"
#include "target/maps.h"
#include "target/objects.h"

#define ADDRESSES_MAX 1000000 /* known at once; beyond, all are forgotten and looked up again */
#define TEXTS_MAX 1000000     /* names; code without symbols has one an address */
#define REREAD_NS (NSEC_PER_SEC / 10)

/* A name, once, however many addresses have it; those that share a hash are chained. */
struct text {
	struct text *next;
	char name[];
};

struct address {
	const char *name;
	bool in_libc;
};

struct frames {
	pid_t pid;
	struct objects *objects;
	struct maps maps;
	bool fresh;
	uint64_t read_ns;
	struct map addresses; /* → struct address; until the mappings change */
	struct map texts;     /* hash → struct text */
};

struct frames *frames_new(pid_t pid)
{
	struct frames *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->pid = pid;
	f->objects = objects_new(pid);
	if (!f->objects) {
		free(f);
		return NULL;
	}
	return f;
}

static void forget_addresses(struct frames *f)
{
	for (size_t i = 0; i < f->addresses.cap; i++)
		free(f->addresses.slots[i].value);
	map_free(&f->addresses);
}

void frames_stale(struct frames *f)
{
	forget_addresses(f);
	f->fresh = false;
}

static void free_texts(struct map *texts)
{
	for (size_t i = 0; i < texts->cap; i++) {
		struct text *text = texts->slots[i].value, *next;

		for (; text; text = next) {
			next = text->next;
			free(text);
		}
	}
	map_free(texts);
}

void frames_free(struct frames *f)
{
	if (!f)
		return;
	frames_stale(f);
	free_texts(&f->texts);
	maps_free(&f->maps);
	objects_free(f->objects);
	free(f);
}

/* The one copy of that name; NULL: no memory. */
static const char *intern(struct frames *f, const char *name)
{
	uint64_t hash = map_hash(0, name);
	struct text *first = map_get(&f->texts, hash), *text;
	size_t size = strlen(name) + 1;

	for (text = first; text; text = text->next)
		if (!strcmp(text->name, name))
			return text->name;
	if (f->texts.cnt == TEXTS_MAX)
		return "[one name too many]";
	text = malloc(sizeof(*text) + size);
	if (!text)
		return NULL;
	text->next = first;
	memcpy(text->name, name, size);
	if (!map_set(&f->texts, hash, text))
		return text->name;
	free(text);
	return NULL;
}

static const struct mapping *find(struct frames *f, uint64_t addr)
{
	const struct mapping *m = f->fresh ? maps_find(&f->maps, addr) : NULL;

	if (m)
		return m;
	/* A stack that is none has addresses that lie nowhere: each would have the maps read. */
	if (f->fresh && clock_monotonic_ns() - f->read_ns < REREAD_NS)
		return NULL;
	maps_free(&f->maps);
	f->fresh = !maps_read(f->pid, &f->maps, NULL);
	f->read_ns = clock_monotonic_ns();
	return f->fresh ? maps_find(&f->maps, addr) : NULL;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static const char *describe(struct frames *f, uint64_t addr, const struct mapping *m)
{
	struct object *obj = m ? objects_get(f->objects, m) : NULL;
	uint64_t offset = m ? addr - m->start + m->offset : 0;
	struct object_symbol sym;
	const char *name;
	char *text;
	int rc;

	if (obj && !object_symbol_at(obj, offset - 1, &sym))
		rc = asprintf(&text, "%s (%s)", sym.name, base_name(m->name));
	else if (m && m->name[0])
		rc = asprintf(&text, "%s+0x%" PRIx64, base_name(m->name), offset);
	else
		return m ? "[code without a file]" : "[unknown]";
	if (rc < 0)
		return NULL;
	name = intern(f, text);
	free(text);
	return name;
}

static bool is_libc(const struct mapping *m)
{
	const char *name = base_name(m->name);

	return !strncmp(name, "libc.", 5) || !strncmp(name, "libc-", 5);
}

static struct address look_up(struct frames *f, uint64_t addr)
{
	struct address *known = map_get(&f->addresses, addr);
	const struct mapping *m;
	struct address found;

	if (known)
		return *known;
	m = find(f, addr);
	found.name = describe(f, addr, m);
	found.in_libc = m && is_libc(m);
	if (f->addresses.cnt == ADDRESSES_MAX)
		forget_addresses(f);
	known = found.name ? malloc(sizeof(*known)) : NULL;
	if (known) {
		*known = found;
		if (map_set(&f->addresses, addr, known))
			free(known);
	}
	return found;
}

const char *frames_name(struct frames *f, uint64_t addr)
{
	const char *name = look_up(f, addr).name;

	return name ? name : "?";
}

bool frames_is_code(struct frames *f, uint64_t addr)
{
	const struct mapping *m = find(f, addr);

	return m && m->exec;
}

bool frames_in_libc(struct frames *f, uint64_t addr)
{
	return look_up(f, addr).in_libc;
}
