#include "stack/module.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "stack/debuginfo.h"
#include "stack/frame.h"

#define FILES_MAX 4096
#define OPENS_MAX 8 /* processes that a file is tried to be opened through */
#define KEPT_MAX 16 /* homes of those that left: a root and the file of a JIT each */

/* Which module a file is. */
struct file {
	dev_t dev;
	uint64_t inode;
	struct module *module;
	struct object *object; /* held open, so that no other file gets its inode; NULL: it is not */
	pid_t tried_by;        /* who could not open it last */
	unsigned tries_left;
};

struct resident {
	struct home *home;
	struct module *jit;       /* its own; NULL: none seen */
	struct module *inherited; /* the JIT's of the process that it was forked from */
};

struct modules {
	struct module *first;
	struct file *files;
	size_t file_cnt;
	struct home *kept[KEPT_MAX]; /* oldest first */
	size_t kept_cnt;
	pthread_mutex_t lock; /* guards the modules' homes */
};

struct modules *modules_new(void)
{
	struct modules *set = calloc(1, sizeof(*set));

	if (!set)
		return NULL;
	set->files = calloc(FILES_MAX, sizeof(*set->files));
	if (!set->files) {
		free(set);
		return NULL;
	}
	pthread_mutex_init(&set->lock, NULL);
	return set;
}

static void module_free(struct module *module)
{
	debuginfo_free(module->quick);
	debuginfo_free(module->full);
	home_release(module->home);
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
	for (size_t i = 0; i < set->file_cnt; i++)
		object_free(set->files[i].object);
	for (size_t i = 0; i < set->kept_cnt; i++)
		home_release(set->kept[i]);
	pthread_mutex_destroy(&set->lock);
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

static bool is_kept(const struct modules *set, const struct home *home)
{
	for (size_t i = 0; i < set->kept_cnt; i++)
		if (set->kept[i] == home)
			return true;
	return false;
}

/* Its debug files may still have to be looked for, and whoever it was opened through has left. */
static void adopt(struct modules *set, struct module *module, struct home *home)
{
	struct home *before = NULL;

	pthread_mutex_lock(&set->lock);
	if (!module->settled && (!module->home || is_kept(set, module->home))) {
		home_open_root(home);
		before = module->home;
		module->home = home_hold(home);
	}
	pthread_mutex_unlock(&set->lock);
	home_release(before);
}

static struct module *make_jit(struct modules *set, struct home *home)
{
	struct module *jit = add(set, MODULE_JIT, "[code without a file]");

	if (jit) {
		home_open_perf_map(home);
		adopt(set, jit, home);
	}
	return jit;
}

struct resident *modules_enter(struct modules *set, pid_t pid, struct resident *parent)
{
	struct resident *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->home = home_new(pid, parent ? home_pid(parent->home) : 0);
	if (!r->home) {
		free(r);
		return NULL;
	}
	if (parent && !parent->jit && !parent->inherited)
		parent->jit = make_jit(set, parent->home);
	if (parent)
		r->inherited = parent->jit ? parent->jit : parent->inherited;
	return r;
}

/* No module has that home from now on. */
static void evict(struct modules *set, struct home *home)
{
	size_t cnt = 0;

	pthread_mutex_lock(&set->lock);
	for (struct module *module = set->first; module; module = module->next) {
		if (module->home != home)
			continue;
		module->home = NULL;
		cnt++;
	}
	pthread_mutex_unlock(&set->lock);
	while (cnt--)
		home_release(home);
}

static void drop_kept(struct modules *set, size_t i)
{
	struct home *home = set->kept[i];

	memmove(&set->kept[i], &set->kept[i + 1], (--set->kept_cnt - i) * sizeof(set->kept[0]));
	home_release(home);
}

/* Takes the caller's hold over. */
static void keep(struct modules *set, struct home *home)
{
	for (size_t i = set->kept_cnt; i > 0; i--)
		if (home_is_mine(set->kept[i - 1]))
			drop_kept(set, i - 1);
	if (home_is_mine(home)) {
		home_release(home);
		return;
	}
	if (set->kept_cnt == KEPT_MAX) {
		evict(set, set->kept[0]);
		drop_kept(set, 0);
	}
	set->kept[set->kept_cnt++] = home;
}

void modules_leave(struct modules *set, struct resident *r)
{
	if (!r)
		return;
	keep(set, r->home);
	free(r);
}

size_t modules_homes_kept(const struct modules *set)
{
	return set->kept_cnt;
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

static struct module *make_module(struct modules *set, const struct mapping *m, struct object *object)
{
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

/* A child that was forked runs what its parent's JIT made until it writes a file of its own. */
static struct module *jit_of(struct modules *set, struct resident *r)
{
	bool has_file = home_open_perf_map(r->home);

	if (!r->jit && r->inherited && !has_file)
		return r->inherited;
	if (!r->jit)
		r->jit = make_jit(set, r->home);
	return r->jit;
}

/* [vdso] and the like: the kernel's, the same in all processes. */
static struct module *kernels(struct modules *set, const struct mapping *m)
{
	for (struct module *module = set->first; module; module = module->next)
		if (module->kind == MODULE_FILE && !strcmp(module->name, m->name))
			return module;
	return make_module(set, m, NULL);
}

static struct file *file_of(struct modules *set, const struct mapping *m)
{
	struct file *file;

	for (size_t i = 0; i < set->file_cnt; i++)
		if (set->files[i].inode == m->inode && set->files[i].dev == m->dev)
			return &set->files[i];
	if (set->file_cnt == FILES_MAX)
		return NULL;
	file = &set->files[set->file_cnt++];
	*file = (struct file){.dev = m->dev, .inode = m->inode, .tries_left = OPENS_MAX};
	return file;
}

/* Whom it cannot be opened through may have ended: the next one that has it mapped is tried. */
static void open_file(struct file *file, const struct home *home, const struct mapping *m)
{
	int rc;

	if (file->object || !file->tries_left || file->tried_by == home_pid(home))
		return;
	rc = m->name[0] == '/' ? home_open_object(home, m, &file->object) : -ENOEXEC;
	if (rc)
		file->object = NULL;
	file->tried_by = home_pid(home);
	file->tries_left = rc == -ENOEXEC ? 0 : file->tries_left - 1;
}

struct module *modules_get(struct modules *set, struct resident *r, const struct mapping *m)
{
	struct file *file;

	if (is_jit(m))
		return jit_of(set, r);
	if (!m->inode)
		return kernels(set, m);
	file = file_of(set, m);
	if (!file)
		return NULL;
	open_file(file, r->home, m);
	if (!file->module || (file->object && !file->module->object))
		file->module = make_module(set, m, file->object) ?: file->module;
	if (file->module && file->module->object)
		adopt(set, file->module, r->home);
	return file->module;
}

struct home *modules_hold_home(struct modules *set, const struct module *module)
{
	struct home *home;

	pthread_mutex_lock(&set->lock);
	home = module->home ? home_hold(module->home) : NULL;
	pthread_mutex_unlock(&set->lock);
	return home;
}

void modules_settle(struct modules *set, struct module *module)
{
	struct home *before;

	pthread_mutex_lock(&set->lock);
	before = module->home;
	module->home = NULL;
	module->settled = true;
	pthread_mutex_unlock(&set->lock);
	home_release(before);
}
