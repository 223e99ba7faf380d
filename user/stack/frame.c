#include "stack/frame.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target/maps.h"
#include "target/objects.h"

#define SLOTS 1024 /* of the name cache: direct-mapped, a collision only costs a second look-up */

struct name {
	uint64_t addr;
	char *text;
	bool in_libc;
};

struct frames {
	pid_t pid;
	struct objects *objects;
	struct maps maps;
	bool fresh;
	struct name slots[SLOTS];
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

void frames_stale(struct frames *f)
{
	for (size_t i = 0; i < SLOTS; i++) {
		free(f->slots[i].text);
		f->slots[i] = (struct name){0};
	}
	f->fresh = false;
}

void frames_free(struct frames *f)
{
	if (!f)
		return;
	frames_stale(f);
	maps_free(&f->maps);
	objects_free(f->objects);
	free(f);
}

static const struct mapping *find(struct frames *f, uint64_t addr)
{
	const struct mapping *m = f->fresh ? maps_find(&f->maps, addr) : NULL;

	if (m)
		return m;
	maps_free(&f->maps);
	f->fresh = !maps_read(f->pid, &f->maps, NULL);
	return f->fresh ? maps_find(&f->maps, addr) : NULL;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void describe(struct frames *f, uint64_t addr, struct name *name)
{
	const struct mapping *m = find(f, addr);
	struct object *obj = m ? objects_get(f->objects, m) : NULL;
	uint64_t offset = m ? addr - m->start + m->offset : 0;
	struct object_symbol sym;
	int rc;

	name->addr = addr;
	name->in_libc = m && (!strncmp(base_name(m->name), "libc.", 5) || !strncmp(base_name(m->name), "libc-", 5));
	if (obj && !object_symbol_at(obj, offset - 1, &sym))
		rc = asprintf(&name->text, "%s (%s)", sym.name, base_name(m->name));
	else if (m && m->name[0])
		rc = asprintf(&name->text, "%s+0x%" PRIx64, base_name(m->name), offset);
	else
		rc = asprintf(&name->text, "0x%" PRIx64, addr);
	if (rc < 0)
		name->text = NULL;
}

static struct name *look_up(struct frames *f, uint64_t addr)
{
	struct name *name = &f->slots[(addr ^ addr >> 10) % SLOTS];

	if (!name->text || name->addr != addr) {
		free(name->text);
		*name = (struct name){0};
		describe(f, addr, name);
	}
	return name;
}

const char *frames_name(struct frames *f, uint64_t addr)
{
	const struct name *name = look_up(f, addr);

	return name->text ? name->text : "?";
}

bool frames_in_libc(struct frames *f, uint64_t addr)
{
	return look_up(f, addr)->in_libc;
}
