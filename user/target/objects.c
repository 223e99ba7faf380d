#include "target/objects.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define OBJECTS_MAX 4096 /* a process that maps more distinct files gets no more of them looked at */

struct entry {
	dev_t dev;
	uint64_t inode;
	struct object *obj; /* NULL: tried, not an object */
};

struct objects {
	pid_t pid;
	struct entry *v;
	size_t cnt, cap;
	char *unopened; /* NULL: none */
};

struct objects *objects_new(pid_t pid)
{
	struct objects *set = calloc(1, sizeof(*set));

	if (set)
		set->pid = pid;
	return set;
}

void objects_free(struct objects *set)
{
	if (!set)
		return;
	for (size_t i = 0; i < set->cnt; i++)
		object_free(set->v[i].obj);
	free(set->v);
	free(set->unopened);
	free(set);
}

static struct entry *add(struct objects *set, const struct mapping *m)
{
	if (set->cnt == OBJECTS_MAX)
		return NULL;
	if (set->cnt == set->cap) {
		size_t cap = set->cap ? set->cap * 2 : 32;
		struct entry *v = realloc(set->v, cap * sizeof(*v));

		if (!v)
			return NULL;
		set->v = v;
		set->cap = cap;
	}
	set->v[set->cnt] = (struct entry){.dev = m->dev, .inode = m->inode};
	return &set->v[set->cnt++];
}

struct object *objects_get(struct objects *set, const struct mapping *m)
{
	struct entry *e;
	int ret;

	if (!m->inode)
		return NULL;
	for (size_t i = 0; i < set->cnt; i++)
		if (set->v[i].inode == m->inode && set->v[i].dev == m->dev)
			return set->v[i].obj;
	e = add(set, m);
	if (!e)
		return NULL;
	/* Device files are never opened: opening some of them does something. */
	if (m->name[0] != '/' || (m->name[1] == 'd' && m->name[2] == 'e' && m->name[3] == 'v' && m->name[4] == '/'))
		return NULL;
	ret = object_open_mapped(set->pid, m, &e->obj, NULL);
	if (ret)
		e->obj = NULL;
	if (ret == -ENOENT && (m->exec || strstr(m->name, ".so")) && !set->unopened)
		set->unopened = strdup(m->name);
	return e->obj;
}

const char *objects_unopened(const struct objects *set)
{
	return set->unopened;
}
