#include "stack/module.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stack/debuginfo.h"
#include "stack/frame.h"
#include "stack/perf_map.h"
#include "target/objects.h"
#include "target/root.h"

#define FILES_MAX 4096

/* Which module a file is. */
struct file {
	dev_t dev;
	uint64_t inode;
	struct module *module;
};

struct modules {
	pid_t pid;
	int root;
	struct objects *objects;
	struct perf_map *perf_map;
	struct module *first, *jit;
	struct file *files;
	size_t file_cnt;
};

struct modules *modules_new(pid_t pid)
{
	struct modules *set = calloc(1, sizeof(*set));

	if (!set)
		return NULL;
	set->pid = pid;
	set->root = root_open(pid);
	set->objects = objects_new(pid);
	set->perf_map = perf_map_new(pid, set->root);
	set->files = calloc(FILES_MAX, sizeof(*set->files));
	if (set->objects && set->perf_map && set->files)
		return set;
	modules_free(set);
	return NULL;
}

static void module_free(struct module *module)
{
	debuginfo_free(module->quick);
	debuginfo_free(module->full);
	free((char *)module->name);
	free(module);
}

void modules_free(struct modules *set)
{
	if (!set)
		return;
	for (struct module *module = set->first, *next; module; module = next) {
		next = module->next;
		module_free(module);
	}
	perf_map_free(set->perf_map);
	objects_free(set->objects);
	if (set->root >= 0)
		close(set->root);
	free(set->files);
	free(set);
}

static struct module *same_build(const struct modules *set, const uint8_t *id, size_t size)
{
	for (struct module *module = set->first; module; module = module->next)
		if (size && module->build_id_sz == size && !memcmp(module->build_id, id, size))
			return module;
	return NULL;
}

static struct module *add(struct modules *set, enum module_kind kind, const char *name)
{
	struct module *module = calloc(1, sizeof(*module));

	if (!module)
		return NULL;
	module->kind = kind;
	module->name = strdup(frame_base_name(name));
	if (!module->name) {
		free(module);
		return NULL;
	}
	module->next = set->first;
	set->first = module;
	return module;
}

/* As /proc writes the name of a file that is gone. */
static const char *without_deleted(char *name)
{
	static const char mark[] = " (deleted)";
	size_t len = strlen(name);

	if (len > sizeof(mark) - 1 && !strcmp(name + len - (sizeof(mark) - 1), mark))
		name[len - (sizeof(mark) - 1)] = '\0';
	return name;
}

static struct module *open_module(struct modules *set, const struct mapping *m)
{
	struct object *object = objects_get(set->objects, m);
	uint8_t id[BUILD_ID_MAX];
	size_t size = object ? object_build_id(object, id, sizeof(id)) : 0;
	struct module *module = same_build(set, id, size);
	char *name;

	if (module)
		return module;
	name = strdup(m->name);
	if (!name)
		return NULL;
	module = add(set, object ? MODULE_ELF : MODULE_FILE, m->inode ? without_deleted(name) : name);
	free(name);
	if (!module)
		return NULL;
	module->object = object;
	memcpy(module->build_id, id, size);
	module->build_id_sz = size;
	return module;
}

/* Anonymous; or shared memory, where some JITs write through a second mapping. */
static bool is_jit(const struct mapping *m)
{
	return !m->name[0] || !strncmp(m->name, "[anon", 5) || !strcmp(m->name, "[heap]") ||
	       !strncmp(m->name, "/memfd:", 7) || !strncmp(m->name, "/dev/", 5);
}

struct module *modules_get(struct modules *set, const struct mapping *m)
{
	struct module *module;

	if (is_jit(m)) {
		perf_map_open(set->perf_map);
		if (!set->jit)
			set->jit = add(set, MODULE_JIT, "[code without a file]");
		return set->jit;
	}
	for (size_t i = 0; m->inode && i < set->file_cnt; i++)
		if (set->files[i].inode == m->inode && set->files[i].dev == m->dev)
			return set->files[i].module;
	if (!m->inode) /* [vdso] and the like */
		for (module = set->first; module; module = module->next)
			if (!strcmp(module->name, m->name))
				return module;
	if (set->file_cnt == FILES_MAX)
		return NULL;
	module = open_module(set, m);
	if (module && m->inode)
		set->files[set->file_cnt++] = (struct file){m->dev, m->inode, module};
	return module;
}

int modules_root(const struct modules *set)
{
	return set->root;
}

struct perf_map *modules_perf_map(const struct modules *set)
{
	return set->perf_map;
}
