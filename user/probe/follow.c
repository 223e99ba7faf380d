#include "probe/follow.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "probe/arrival.h"
#include "probe/installed.h"
#include "probe/probed_file.h"
#include "probe/sweep.h"
#include "target/maps.h"

#define FILES_MAX 8192 /* a process that maps more distinct files gets no more of them probed */

struct follow {
	pid_t pid;
	struct follow_context ctx;
	bool allocs;   /* allocation functions too, at the moment */
	bool switched; /* … they were not, at some time */
	struct placing placing;
	bool objects;        /* … and the places of Python's objects */
	bool objects_placed; /* … at some time */
	int leaving; /* tells when the probes of these are out (keeper_wait); −1: none are leaving */
	struct probed_file *files;
	size_t file_cnt, file_cap;
	struct installed installed;
	struct sweep *sweep; /* NULL: not needed */
};

struct follow *follow_new(pid_t pid, const struct follow_context *ctx)
{
	struct follow *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	*f = (struct follow){
		.pid = pid,
		.ctx = *ctx,
		.placing = {pid, ctx->programs, ctx->keeper, ctx->backend, ctx->missing, false, 0},
		.allocs = true,
		.leaving = -1,
	};
	if (ctx->backend == LINK_PERF) /* there the kernel takes them out of children at the first hit */
		return f;
	f->sweep = sweep_new(ctx->keeper, programs_sweeper_fd(ctx->programs), pid);
	if (f->sweep)
		return f;
	free(f);
	return NULL;
}

static void reap_links(struct follow *f, enum which_links which)
{
	size_t cnt;
	kept_link *links = probed_files_take_links(f->ctx.keeper, f->files, f->file_cnt, which, &cnt);

	keeper_drop(f->ctx.keeper, links, cnt);
	free(links);
}

static void file_clear(struct probed_file *file)
{
	object_free(file->obj);
}

void follow_free(struct follow *f)
{
	kept_link *links;
	size_t cnt;

	if (!f)
		return;
	links = probed_files_take_links(f->ctx.keeper, f->files, f->file_cnt, LINKS_ALL, &cnt);
	keeper_drop(f->ctx.keeper, links, cnt);
	free(links);
	if (f->leaving >= 0)
		close(f->leaving);
	sweep_free(f->sweep);
	for (size_t i = 0; i < f->file_cnt; i++)
		file_clear(&f->files[i]);
	free(f->files);
	installed_forget(&f->installed);
	free(f);
}

static struct probed_file *file_add(struct follow *f, dev_t dev, uint64_t inode)
{
	if (f->file_cnt == FILES_MAX)
		return NULL;
	if (f->file_cnt == f->file_cap) {
		size_t cap = f->file_cap ? f->file_cap * 2 : 64;
		struct probed_file *files = realloc(f->files, cap * sizeof(*files));

		if (!files)
			return NULL;
		f->files = files;
		f->file_cap = cap;
	}
	f->files[f->file_cnt] = (struct probed_file){.dev = dev, .inode = inode, .present = true};
	return &f->files[f->file_cnt++];
}

static struct probed_file *file_of(struct follow *f, dev_t dev, uint64_t inode)
{
	for (size_t i = 0; i < f->file_cnt; i++)
		if (f->files[i].inode == inode && f->files[i].dev == dev)
			return &f->files[i];
	return NULL;
}

static struct probed_file *file_by_stat(struct follow *f, dev_t dev, uint64_t inode)
{
	for (size_t i = 0; i < f->file_cnt; i++)
		if (f->files[i].inode == inode && f->files[i].stat_dev == dev)
			return &f->files[i];
	return NULL;
}

static bool is_wanted(const struct follow *f, enum plan_role role)
{
	return role == PLAN_OBJECT ? f->objects : f->allocs || !plan_role_allocs(role);
}

static void attach(struct follow *f, struct probed_file *file)
{
	for (enum plan_role role = 0; role < PLAN_ROLE_CNT; role++)
		if (is_wanted(f, role))
			probed_file_place(&f->placing, file, role);
}

/* It may have been left out of a switch. */
static void note_mapped(struct follow *f, struct probed_file *file)
{
	bool lacks = f->switched && f->allocs && !file->mapped && !probed_file_has_allocs(file);

	file->present = file->mapped = true;
	if (lacks)
		probed_file_place_allocs(&f->placing, file);
}

/* Takes the object over: plans it, attaches, keeps it only if something is probed in it. */
static void take_object(struct follow *f, struct probed_file *file, struct object *obj, bool program)
{
	const struct plan *plan = plans_get(f->ctx.plans, obj, program, f->ctx.missing);

	if (!plan)
		missing_add(f->ctx.missing, "%s could not be probed: out of memory", object_name(obj));
	if (plan) {
		file->marks_named = plan->marks_named;
		file->marks_placed = plan->marks_placed;
	}
	if (!plan || !plan->cnt) {
		object_free(obj);
		return;
	}
	file->plan = plan;
	file->obj = obj;
	attach(f, file);
}

static bool has_arrived(const struct follow *f, const struct probed_file *file, const struct mapping *m)
{
	return !file->link_cnt || arrival_in(f->pid, file->obj, file->plan, m);
}

/* Where it was changed in a container after it was mapped, the mapped one lies in the layer below. */
static void check_arrival(struct follow *f, struct probed_file *file, const struct mapping *m)
{
	struct object *lower;

	if (has_arrived(f, file, m))
		return;
	keeper_drop(f->ctx.keeper, file->links, file->link_cnt);
	file->link_cnt = 0;
	if (!object_open_lower(f->pid, m, &lower)) {
		object_free(file->obj);
		file->obj = lower;
		attach(f, file);
		if (has_arrived(f, file, m))
			return;
	}
	missing_add(f->ctx.missing,
		    "calls of %s are not seen: it was changed after the process mapped it, and its probes "
		    "arrive in the changed file only",
		    object_name(file->obj));
}

static dev_t stat_dev_of(const struct object *obj)
{
	struct stat st;

	return stat(object_access_path(obj), &st) ? 0 : st.st_dev;
}

/* Whether that is the file that the process runs. */
static bool is_program(const struct follow *f, const struct object *obj)
{
	struct stat program, st;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/exe", f->pid);
	return !stat(path, &program) && !stat(object_access_path(obj), &st) && st.st_ino == program.st_ino &&
	       st.st_dev == program.st_dev;
}

static bool is_code_of_file(const struct mapping *m)
{
	return m->exec && m->inode && m->name[0] == '/' && strncmp(m->name, "/dev/", 5) != 0;
}

static void take_mapping(struct follow *f, const struct mapping *m)
{
	struct probed_file *file = file_of(f, m->dev, m->inode), *known;
	struct object *obj;
	dev_t stat_dev;

	if (file) {
		note_mapped(f, file);
		return;
	}
	if (object_open_mapped(f->pid, m, &obj, NULL)) {
		file_add(f, m->dev, m->inode); /* not to be tried again */
		return;
	}
	stat_dev = stat_dev_of(obj);
	known = file_by_stat(f, stat_dev, m->inode);
	if (known) { /* probed before it was mapped */
		functions_set_dev(f->ctx.functions, known->dev, m->inode, m->dev);
		known->dev = m->dev;
		note_mapped(f, known);
		object_free(obj);
		check_arrival(f, known, m);
		return;
	}
	file = file_add(f, m->dev, m->inode);
	if (!file) {
		object_free(obj);
		return;
	}
	file->mapped = true;
	file->stat_dev = stat_dev;
	take_object(f, file, obj, is_program(f, obj));
	check_arrival(f, file, m);
}

static void take_installed(const char *dir, const char *name, void *arg)
{
	struct follow *f = arg;
	char path[PATH_MAX];
	struct object *obj;
	struct probed_file *file;

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path) ||
	    object_open_path(f->pid, path, &obj, NULL))
		return;
	file = file_by_stat(f, object_dev(obj), object_inode(obj));
	if (file) {
		file->present = true;
		object_free(obj);
		return;
	}
	file = file_add(f, object_dev(obj), object_inode(obj));
	if (!file) {
		object_free(obj);
		return;
	}
	file->stat_dev = object_dev(obj);
	take_object(f, file, obj, false);
}

int follow_update(struct follow *f, struct error *err)
{
	struct maps maps;
	int ret = maps_read(f->pid, &maps, err);

	if (ret)
		return ret;
	for (size_t i = 0; i < maps.cnt; i++)
		if (is_code_of_file(&maps.v[i]))
			take_mapping(f, &maps.v[i]);
	for (size_t i = 0; i < maps.cnt; i++)
		if (is_code_of_file(&maps.v[i]))
			installed_look(&f->installed, f->pid, maps.v[i].name, take_installed, f);
	maps_free(&maps);
	return 0;
}

void follow_inherit(struct follow *f, struct early *early)
{
	struct maps maps;

	if (maps_read(f->pid, &maps, NULL))
		return;
	for (size_t i = 0; i < maps.cnt; i++) {
		const struct mapping *m = &maps.v[i];
		const struct probed_file *file = is_code_of_file(m) ? file_of(f, m->dev, m->inode) : NULL;

		if (file && file->obj && file->link_cnt)
			early_take(early, f->pid, file->plan, object_access_path(file->obj), m,
				   f->ctx.missing);
	}
	maps_free(&maps);
}

static void forget_gone(struct follow *f)
{
	size_t kept = 0;

	for (size_t i = 0; i < f->file_cnt; i++) {
		if (f->files[i].present)
			f->files[kept++] = f->files[i];
		else
			file_clear(&f->files[i]);
	}
	f->file_cnt = kept;
}

/* New links stand before the old ones go: of the new program's first calls none is missed. */
int follow_exec(struct follow *f, bool changed_leader, struct error *err)
{
	kept_link *old = NULL;
	size_t cnt;
	int ret;

	missing_clear(f->ctx.missing);
	installed_forget(&f->installed);
	for (size_t i = 0; i < f->file_cnt; i++)
		f->files[i].present = f->files[i].mapped = false;
	if (changed_leader) {
		old = probed_files_take_links(f->ctx.keeper, f->files, f->file_cnt, LINKS_ALL, &cnt);
		for (size_t i = 0; i < f->file_cnt; i++)
			if (f->files[i].obj)
				attach(f, &f->files[i]);
		keeper_drop(f->ctx.keeper, old, cnt);
		free(old);
	}
	ret = follow_update(f, err);
	if (ret)
		return ret;
	reap_links(f, LINKS_OF_GONE);
	forget_gone(f);
	return 0;
}

void follow_sweep(struct follow *f)
{
	if (!f->sweep)
		return;
	sweep_want(f->sweep);
	follow_tick(f);
}

void follow_tick(struct follow *f)
{
	if (!f->sweep || !sweep_is_due(f->sweep))
		return;
	for (size_t i = 0; i < f->file_cnt; i++)
		if (f->files[i].obj && f->files[i].mapped)
			sweep_add(f->sweep, object_access_path(f->files[i].obj), f->files[i].plan);
	sweep_start(f->sweep);
}

static bool has_role(const struct follow *f, enum plan_role role)
{
	for (size_t i = 0; i < f->file_cnt; i++)
		if (f->files[i].mapped && probed_file_plans(&f->files[i], role))
			return true;
	return false;
}

static void reap_objects(struct follow *f)
{
	size_t cnt;
	kept_link *links =
		probed_files_take_links(f->ctx.keeper, f->files, f->file_cnt, LINKS_OF_OBJECTS, &cnt);

	if (cnt)
		f->leaving = keeper_drop_told(f->ctx.keeper, links, cnt);
	free(links);
}

static void wait_for_objects(struct follow *f)
{
	if (f->leaving < 0)
		return;
	keeper_wait(f->leaving);
	f->leaving = -1;
}

void follow_switch_objects(struct follow *f, bool on)
{
	if (f->objects == on)
		return;
	f->objects = on;
	wait_for_objects(f);
	if (!on)
		reap_objects(f);
	f->placing.quiet = f->objects_placed;
	for (size_t i = 0; on && i < f->file_cnt; i++)
		if (f->files[i].obj && f->files[i].mapped)
			probed_file_place(&f->placing, &f->files[i], PLAN_OBJECT);
	f->placing.quiet = false;
	f->objects_placed = f->objects_placed || on;
}

bool follow_has_objects(const struct follow *f)
{
	return has_role(f, PLAN_OBJECT);
}

bool follow_wants_tick(const struct follow *f)
{
	return f->sweep && sweep_is_due(f->sweep);
}

/*
 * Only in what is mapped: an allocator that lies beside it is probed when it comes. Each link less is a tenth
 * of a millisecond in which the process hits probes behind a closed gate.
 */
void follow_switch_allocs(struct follow *f, bool on)
{
	if (f->allocs == on)
		return;
	f->allocs = on;
	f->switched = true;
	if (!on) {
		reap_links(f, LINKS_OF_ALLOCS);
		return;
	}
	for (size_t i = 0; i < f->file_cnt; i++)
		if (f->files[i].mapped)
			probed_file_place_allocs(&f->placing, &f->files[i]);
}

unsigned follow_probe_cnt(const struct follow *f)
{
	unsigned cnt = 0;

	for (size_t i = 0; i < f->file_cnt; i++)
		cnt += f->files[i].plan ? (unsigned)f->files[i].plan->cnt : 0;
	return cnt;
}

unsigned follow_lost_cnt(const struct follow *f)
{
	return f->placing.lost_cnt;
}

bool follow_sees_loads(const struct follow *f)
{
	return has_role(f, PLAN_LOADED);
}

enum mark_sight follow_sees_mark(const struct follow *f, size_t i)
{
	uint32_t named = 0, placed = 0;

	for (size_t k = 0; k < f->file_cnt; k++) {
		named |= f->files[k].mapped ? f->files[k].marks_named : 0;
		placed |= f->files[k].mapped ? f->files[k].marks_placed : 0;
	}
	return placed & 1u << i ? MARK_PLACED : named & 1u << i ? MARK_NO_SYMBOL : MARK_NO_OBJECT;
}

bool follow_sees_collections(const struct follow *f)
{
	return has_role(f, PLAN_GC_START) && has_role(f, PLAN_GC_DONE);
}
