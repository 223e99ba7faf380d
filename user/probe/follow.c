#include "probe/follow.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "probe/sweep.h"
#include "target/maps.h"

#define FILES_MAX 8192  /* a process that maps more distinct files gets no more of them probed */
#define ENTRY_MAX 65536 /* of one directory */
#define LINKS_MAX (2 * PLAN_ROLE_CNT)

/* A file that was looked at: what it holds of ours, and what is attached to it. */
struct file {
	dev_t dev; /* as the target's maps say; where they differ from stat: overlayfs, btrfs */
	uint64_t inode;
	dev_t stat_dev; /* as stat says; 0: could not be opened */
	bool present;   /* seen in this round: mapped, or beside what is */
	bool mapped;
	struct object *obj; /* NULL: nothing is probed in it */
	struct plan plan;
	kept_link links[LINKS_MAX];
	enum plan_role roles[LINKS_MAX]; /* what each is for */
	size_t link_cnt;
};

struct follow {
	pid_t pid;
	struct plan_context ctx;
	const struct programs *programs;
	struct keeper *keeper;
	enum link_backend backend;
	struct file *files;
	size_t file_cnt, file_cap;
	char **dirs; /* looked through for allocators */
	size_t dir_cnt, dir_cap;
	unsigned lost_cnt;
	struct sweep *sweep;
};

struct follow *follow_new(pid_t pid, const struct plan_context *ctx, const struct programs *programs,
			  struct keeper *keeper, enum link_backend backend)
{
	struct follow *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	*f = (struct follow){
		.pid = pid, .ctx = *ctx, .programs = programs, .keeper = keeper, .backend = backend};
	f->sweep = sweep_new(keeper, programs_sweeper_fd(programs), pid);
	if (f->sweep)
		return f;
	free(f);
	return NULL;
}

static void forget_dirs(struct follow *f)
{
	while (f->dir_cnt)
		free(f->dirs[--f->dir_cnt]);
}

enum which_links { LINKS_ALL, LINKS_OF_GONE, LINKS_OF_ALLOCS };

static bool is_one_of(enum which_links which, const struct file *file, size_t link)
{
	switch (which) {
	case LINKS_OF_GONE:
		return !file->present;
	case LINKS_OF_ALLOCS:
		return plan_role_allocs(file->roles[link]);
	default:
		return true;
	}
}

/* Takes links from the files, to be closed together, because each waits long. */
static kept_link *take_links(struct follow *f, enum which_links which, size_t *cnt)
{
	kept_link *links = calloc(f->file_cnt * LINKS_MAX + 1, sizeof(*links));

	*cnt = 0;
	for (size_t i = 0; i < f->file_cnt; i++) {
		struct file *file = &f->files[i];
		size_t kept = 0;

		for (size_t k = 0; k < file->link_cnt; k++) {
			if (!is_one_of(which, file, k)) {
				file->roles[kept] = file->roles[k];
				file->links[kept++] = file->links[k];
			} else if (links) {
				links[(*cnt)++] = file->links[k];
			} else {
				keeper_drop(f->keeper, &file->links[k], 1);
			}
		}
		file->link_cnt = kept;
	}
	return links;
}

static void reap_links(struct follow *f, enum which_links which)
{
	size_t cnt;
	kept_link *links = take_links(f, which, &cnt);

	keeper_drop(f->keeper, links, cnt);
	free(links);
}

static void file_clear(struct file *file)
{
	object_free(file->obj);
	plan_free(&file->plan);
}

void follow_free(struct follow *f)
{
	kept_link *links;
	size_t cnt;

	if (!f)
		return;
	links = take_links(f, LINKS_ALL, &cnt);
	keeper_close(f->keeper, links, cnt);
	free(links);
	sweep_free(f->sweep);
	for (size_t i = 0; i < f->file_cnt; i++)
		file_clear(&f->files[i]);
	free(f->files);
	forget_dirs(f);
	free(f->dirs);
	free(f);
}

static struct file *file_add(struct follow *f, dev_t dev, uint64_t inode)
{
	if (f->file_cnt == FILES_MAX)
		return NULL;
	if (f->file_cnt == f->file_cap) {
		size_t cap = f->file_cap ? f->file_cap * 2 : 64;
		struct file *files = realloc(f->files, cap * sizeof(*files));

		if (!files)
			return NULL;
		f->files = files;
		f->file_cap = cap;
	}
	f->files[f->file_cnt] = (struct file){.dev = dev, .inode = inode, .present = true};
	return &f->files[f->file_cnt++];
}

static struct file *file_of(struct follow *f, dev_t dev, uint64_t inode)
{
	for (size_t i = 0; i < f->file_cnt; i++)
		if (f->files[i].inode == inode && f->files[i].dev == dev)
			return &f->files[i];
	return NULL;
}

static struct file *file_by_stat(struct follow *f, dev_t dev, uint64_t inode)
{
	for (size_t i = 0; i < f->file_cnt; i++)
		if (f->files[i].inode == inode && f->files[i].stat_dev == dev)
			return &f->files[i];
	return NULL;
}

/* Attaches one program to all its spots in a file; if the kernel refuses one of them, to those it takes. */
static void attach_program(struct follow *f, struct file *file, enum plan_role role,
			   const struct program_use *use, const struct link_spot *spots, size_t cnt)
{
	struct link_request request = {
		.backend = f->backend,
		.when = use->when,
		.prog_fd = use->fd,
		.path = object_access_path(file->obj),
		.pid = f->pid,
		.spots = spots,
		.spot_cnt = cnt,
	};
	kept_link link;
	int ret;

	if (!cnt || file->link_cnt == LINKS_MAX)
		return;
	ret = keeper_open(f->keeper, &request, &link);
	if (!ret) {
		file->roles[file->link_cnt] = role;
		file->links[file->link_cnt++] = link;
		return;
	}
	if (cnt > 1) {
		attach_program(f, file, role, use, spots, cnt / 2);
		attach_program(f, file, role, use, spots + cnt / 2, cnt - cnt / 2);
		return;
	}
	f->lost_cnt++;
	if (ret != -ESRCH) /* the process's end is no news of the probe's */
		missing_add(f->ctx.missing, "a probe at %#llx of %s could not be placed: %s",
			    (unsigned long long)spots->offset, object_name(file->obj), strerror(-ret));
}

static void attach_role(struct follow *f, struct file *file, enum plan_role role)
{
	struct link_spot *spots = calloc(file->plan.cnt + 1, sizeof(*spots));
	struct program_use use[2];
	unsigned use_cnt = programs_of_role(f->programs, role, use);
	size_t cnt = 0;

	for (size_t i = 0; spots && i < file->plan.cnt; i++)
		if (file->plan.v[i].role == role)
			spots[cnt++] = file->plan.v[i].at;
	for (unsigned i = 0; i < use_cnt; i++)
		attach_program(f, file, role, &use[i], spots, cnt);
	free(spots);
}

static void attach(struct follow *f, struct file *file)
{
	for (int role = 0; role < PLAN_ROLE_CNT; role++)
		attach_role(f, file, role);
}

/* Takes the object over: plans it, attaches, keeps it only if something is probed in it. */
static void take_object(struct follow *f, struct file *file, struct object *obj)
{
	if (plan_object(&f->ctx, obj, &file->plan))
		missing_add(f->ctx.missing, "%s could not be probed: out of memory", object_name(obj));
	if (!file->plan.cnt) {
		object_free(obj);
		return;
	}
	file->obj = obj;
	attach(f, file);
}

static dev_t stat_dev_of(const struct object *obj)
{
	struct stat st;

	return stat(object_access_path(obj), &st) ? 0 : st.st_dev;
}

static bool is_code_of_file(const struct mapping *m)
{
	return m->exec && m->inode && m->name[0] == '/' && strncmp(m->name, "/dev/", 5) != 0;
}

static void take_mapping(struct follow *f, const struct mapping *m)
{
	struct file *file = file_of(f, m->dev, m->inode), *known;
	struct object *obj;
	dev_t stat_dev;

	if (file) {
		file->present = file->mapped = true;
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
		known->present = known->mapped = true;
		object_free(obj);
		return;
	}
	file = file_add(f, m->dev, m->inode);
	if (!file) {
		object_free(obj);
		return;
	}
	file->mapped = true;
	file->stat_dev = stat_dev;
	take_object(f, file, obj);
}

/* An allocator that lies beside what is mapped: it may be loaded and purged within microseconds. */
static void take_installed(struct follow *f, const char *dir, const char *name)
{
	char path[PATH_MAX];
	struct object *obj;
	struct file *file;

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
	take_object(f, file, obj);
}

/* Files before links to them: a file's own name is the one that maps will show. */
static void scan_dir(struct follow *f, const char *dir)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *d;

	if (snprintf(path, sizeof(path), "/proc/%d/root%s", f->pid, dir) >= (int)sizeof(path))
		return;
	d = opendir(path);
	for (int links = 0; d && links < 2; links++) {
		rewinddir(d);
		for (unsigned i = 0; i < ENTRY_MAX && (entry = readdir(d)); i++)
			if (plan_wants_file(entry->d_name) && (entry->d_type == DT_LNK) == links)
				take_installed(f, dir, entry->d_name);
	}
	if (d)
		closedir(d);
}

static bool dir_is_known(const struct follow *f, const char *path, size_t len)
{
	for (size_t i = 0; i < f->dir_cnt; i++)
		if (strlen(f->dirs[i]) == len && !memcmp(f->dirs[i], path, len))
			return true;
	return false;
}

/* The directory of a mapped library, once. */
static void take_dir(struct follow *f, const char *library)
{
	const char *slash = strrchr(library, '/');
	size_t len = (size_t)(slash - library);
	char **dirs;

	if (!len || !strstr(slash, ".so") || dir_is_known(f, library, len))
		return;
	if (f->dir_cnt == f->dir_cap) {
		dirs = realloc(f->dirs, (f->dir_cap + 16) * sizeof(*dirs));
		if (!dirs)
			return;
		f->dirs = dirs;
		f->dir_cap += 16;
	}
	f->dirs[f->dir_cnt] = strndup(library, len);
	if (f->dirs[f->dir_cnt])
		scan_dir(f, f->dirs[f->dir_cnt++]);
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
			take_dir(f, maps.v[i].name);
	maps_free(&maps);
	return programs_trace(f->programs, f->pid, follow_sees_loads(f));
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
	forget_dirs(f);
	for (size_t i = 0; i < f->file_cnt; i++)
		f->files[i].present = f->files[i].mapped = false;
	if (changed_leader) {
		old = take_links(f, LINKS_ALL, &cnt);
		for (size_t i = 0; i < f->file_cnt; i++)
			if (f->files[i].obj)
				attach(f, &f->files[i]);
		keeper_drop(f->keeper, old, cnt);
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
	if (f->backend == LINK_PERF) /* there the kernel removes them at the first hit */
		return;
	sweep_want(f->sweep);
	follow_tick(f);
}

void follow_tick(struct follow *f)
{
	if (!sweep_is_due(f->sweep))
		return;
	for (size_t i = 0; i < f->file_cnt; i++)
		if (f->files[i].obj && f->files[i].mapped)
			sweep_add(f->sweep, object_access_path(f->files[i].obj), &f->files[i].plan);
	sweep_start(f->sweep);
}

void follow_drop_allocs(struct follow *f)
{
	f->ctx.allocs = false;
	for (size_t i = 0; i < f->file_cnt; i++) {
		struct plan *plan = &f->files[i].plan;
		size_t kept = 0;

		for (size_t k = 0; k < plan->cnt; k++)
			if (!plan_role_allocs(plan->v[k].role))
				plan->v[kept++] = plan->v[k];
		plan->cnt = kept;
	}
	reap_links(f, LINKS_OF_ALLOCS);
}

unsigned follow_probe_cnt(const struct follow *f)
{
	unsigned cnt = 0;

	for (size_t i = 0; i < f->file_cnt; i++)
		cnt += (unsigned)f->files[i].plan.cnt;
	return cnt;
}

unsigned follow_lost_cnt(const struct follow *f)
{
	return f->lost_cnt;
}

bool follow_sees_loads(const struct follow *f)
{
	for (size_t i = 0; i < f->file_cnt; i++)
		for (size_t k = 0; f->files[i].mapped && k < f->files[i].plan.cnt; k++)
			if (f->files[i].plan.v[k].role == PLAN_LOADED)
				return true;
	return false;
}
