#include "target/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

#define MOUNTS_MAX 65536               /* lines of mountinfo that are looked at */
#define MEMBERSHIP_MAX (16 * PATH_MAX) /* bytes of /proc/PID/cgroup */

/* ---- where the hierarchies are ---- */

/* "\040" and the like, as mountinfo writes what would end a field (proc(5)). In place. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *at = text; *at; to++) {
		bool octal = at[0] == '\\' && at[1] >= '0' && at[1] <= '3' && at[2] >= '0' && at[2] <= '7' &&
			     at[3] >= '0' && at[3] <= '7';

		*to = octal ? (char)((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0')) : *at;
		at += octal ? 4 : 1;
	}
	*to = '\0';
}

/* Whether word is among the words that commas separate. */
static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (; *list; list += strcspn(list, ","), list += *list == ',')
		if (strcspn(list, ",\n ") == len && !strncmp(list, word, len))
			return true;
	return false;
}

/* A mount of the whole hierarchy is better than one of a part, and an earlier one than a later. */
static void take_mount(struct cgroup_hierarchy *h, char *root, char *mount)
{
	unescape(root);
	unescape(mount);
	if (strlen(root) >= sizeof(h->root) || strlen(mount) >= sizeof(h->mount))
		return;
	/* "/..": mounted from above the root of our cgroup namespace, which has no name here. */
	if (!strncmp(root, "/..", 3) || (h->mount[0] && (!strcmp(h->root, "/") || strcmp(root, "/") != 0)))
		return;
	snprintf(h->root, sizeof(h->root), "%s", root);
	snprintf(h->mount, sizeof(h->mount), "%s", mount);
}

/* "36 35 98:0 /root /mount options… - type source super-options" (proc(5)) */
static void parse_mount(char *line, struct cgroup_tree *tree)
{
	char *tail = strstr(line, " - "), *root, *mount, *save = NULL;
	char type[16], super[512];

	if (!tail || sscanf(tail + 3, "%15s %*s %511s", type, super) != 2 || strncmp(type, "cgroup", 6) != 0)
		return;
	*tail = '\0';
	root = strtok_r(line, " ", &save);
	for (int i = 0; i < 3 && root; i++)
		root = strtok_r(NULL, " ", &save);
	mount = root ? strtok_r(NULL, " ", &save) : NULL;
	if (!mount)
		return;
	if (!strcmp(type, "cgroup2"))
		take_mount(&tree->unified, root, mount);
	else if (has_word(super, "memory"))
		take_mount(&tree->memory_v1, root, mount);
	else if (has_word(super, "name=systemd"))
		take_mount(&tree->systemd_v1, root, mount);
}

int cgroup_tree_open(const char *proc, struct cgroup_tree *tree, struct error *err)
{
	char path[PATH_MAX], *line = NULL;
	size_t size = 0;
	FILE *f;

	*tree = (struct cgroup_tree){0};
	if (snprintf(tree->proc, sizeof(tree->proc), "%s", proc) >= (int)sizeof(tree->proc))
		return error_set(err, -ENAMETOOLONG, "cannot look for cgroups: '%s' is too long", proc);
	snprintf(path, sizeof(path), "%s/self/mountinfo", proc);
	f = fopen(path, "re");
	if (!f)
		return error_set(err, -errno, "cannot look for cgroups: %s: %s", path, strerror(errno));
	for (unsigned i = 0; i < MOUNTS_MAX && getline(&line, &size, f) > 0; i++)
		parse_mount(line, tree);
	free(line);
	fclose(f);
	if (tree->unified.mount[0] || tree->memory_v1.mount[0] || tree->systemd_v1.mount[0])
		return 0;
	return error_set(err, -ENOENT, "no cgroups are mounted here (/sys/fs/cgroup is empty)");
}

/* ---- names and folders ---- */

static bool is_folder(const char *path)
{
	struct stat st;

	return !lstat(path, &st) && S_ISDIR(st.st_mode);
}

static bool has_file(const char *folder, const char *name)
{
	char path[PATH_MAX];

	return snprintf(path, sizeof(path), "%s/%s", folder, name) < (int)sizeof(path) && !access(path, F_OK);
}

/* Whether one of its components is "..". */
static bool climbs(const char *path)
{
	for (; *path; path += strcspn(path, "/"), path += *path == '/')
		if (!strncmp(path, "..", 2) && (path[2] == '/' || !path[2]))
			return true;
	return false;
}

/* What follows prefix, a whole number of components of path; NULL if path does not begin so. */
static const char *below(const char *path, const char *prefix)
{
	size_t len = strcmp(prefix, "/") != 0 ? strlen(prefix) : 0;

	return !strncmp(path, prefix, len) && (path[len] == '/' || !path[len]) ? path + len : NULL;
}

bool cgroup_folder(const struct cgroup_hierarchy *h, const char *path, char folder[CGROUP_PATH_MAX])
{
	const char *rest = h->mount[0] && !climbs(path) ? below(path, h->root) : NULL;

	if (!rest)
		return false;
	return snprintf(folder, CGROUP_PATH_MAX, "%s%s", h->mount, strcmp(rest, "/") ? rest : "") <
	       CGROUP_PATH_MAX;
}

/* One component off the end of a path, but no shorter than top; false if there is none left. */
static bool cut_last(char *path, size_t top)
{
	char *slash = strrchr(path, '/');

	if (!slash || (size_t)(slash - path) < top || strlen(path) <= top)
		return false;
	*slash = '\0';
	return true;
}

/* ---- the cgroup of something ---- */

/* Fills accounts: path or its nearest ancestor in h that has the file, which is one of the controller's. */
static bool find_accounts(const struct cgroup_hierarchy *h, const char *path, const char *file,
			  struct cgroup *cg)
{
	if (!cgroup_folder(h, path, cg->accounts))
		return false;
	snprintf(cg->accounts_path, sizeof(cg->accounts_path), "%s", path);
	cg->accounts_top = strlen(h->mount);
	do {
		if (has_file(cg->accounts, file))
			return true;
		cut_last(cg->accounts_path, 0);
	} while (cut_last(cg->accounts, cg->accounts_top));
	cg->accounts[0] = cg->accounts_path[0] = '\0';
	return false;
}

/* What there is about a cgroup once its names are known; unified_path NULL: its v2 cgroup is not known. */
static void find_facts(const struct cgroup_tree *tree, const char *unified_path, struct cgroup *cg)
{
	struct cgroup_hierarchy h = tree->unified;

	cg->v1 = tree->memory_v1.mount[0] &&
		 find_accounts(&tree->memory_v1, cg->path, "memory.usage_in_bytes", cg);
	if (!cg->v1 && unified_path)
		find_accounts(&h, unified_path, "memory.current", cg);
	if (!unified_path || !cgroup_folder(&h, unified_path, cg->pressure) ||
	    !has_file(cg->pressure, "memory.pressure"))
		cg->pressure[0] = '\0';
}

/* The process's paths, as one line "id:controllers:path" a hierarchy tells (cgroups(7)). In text. */
struct membership {
	const char *unified, *memory_v1, *systemd_v1; /* NULL: no such line */
};

static void parse_membership(char *text, struct membership *m)
{
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *controllers = strchr(line, ':'),
		     *path = controllers ? strchr(controllers + 1, ':') : NULL;

		if (!path || path[1] != '/')
			continue;
		*path++ = '\0';
		controllers++;
		if (!*controllers && !strncmp(line, "0:", 2))
			m->unified = path;
		else if (has_word(controllers, "memory"))
			m->memory_v1 = path;
		else if (has_word(controllers, "name=systemd"))
			m->systemd_v1 = path;
	}
}

/* Nothing but the root has a name in a hierarchy of which systemd makes no use. */
static const char *unit_path_of(const struct membership *m)
{
	const char *const paths[] = {m->systemd_v1, m->unified, m->memory_v1};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (paths[i] && strcmp(paths[i], "/") != 0)
			return paths[i];
	return "/";
}

int cgroup_of_process(const struct cgroup_tree *tree, pid_t pid, struct cgroup *cg, struct error *err)
{
	const struct cgroup_hierarchy *h = &tree->unified;
	struct membership m = {0};
	char name[32], text[MEMBERSHIP_MAX];
	const char *path;
	ssize_t got;

	*cg = (struct cgroup){0};
	snprintf(name, sizeof(name), "%d/cgroup", pid);
	got = file_read_in(tree->proc, name, text, sizeof(text));
	if (got < 0)
		return error_set(err, (int)got, "cannot read the cgroup of process %d: %s", pid,
				 strerror((int)-got));
	parse_membership(text, &m);
	path = m.unified;
	if (m.memory_v1 && tree->memory_v1.mount[0]) {
		path = m.memory_v1;
		h = &tree->memory_v1;
	}
	if (!path)
		return error_set(err, -ENOENT, "process %d is in no cgroup that could limit its memory", pid);
	if (strlen(path) >= sizeof(cg->path) || !cgroup_folder(h, path, cg->folder))
		return error_set(err, -ENOENT,
				 "the cgroup of process %d, %.200s, is not to be seen from here", pid, path);
	snprintf(cg->path, sizeof(cg->path), "%s", path);
	if (strlen(unit_path_of(&m)) < sizeof(cg->unit_path))
		snprintf(cg->unit_path, sizeof(cg->unit_path), "%s", unit_path_of(&m));
	find_facts(tree, m.unified, cg);
	return 0;
}

/* A folder below a mount point becomes a path in its hierarchy; false if it is none of that. */
static bool path_of_folder(const struct cgroup_hierarchy *h, const char *folder, char path[CGROUP_PATH_MAX])
{
	const char *rest = h->mount[0] ? below(folder, h->mount) : NULL;
	const char *root = strcmp(h->root, "/") != 0 || (rest && !*rest) ? h->root : "";

	return rest && snprintf(path, CGROUP_PATH_MAX, "%s%s", root, rest) < CGROUP_PATH_MAX;
}

/* Without slashes at the end, and with one at the beginning. */
static bool normalize(const char *text, char path[CGROUP_PATH_MAX])
{
	int len = snprintf(path, CGROUP_PATH_MAX, "%s%s", text[0] == '/' ? "" : "/", text);

	if (len >= CGROUP_PATH_MAX || climbs(path))
		return false;
	while (len > 1 && path[len - 1] == '/')
		path[--len] = '\0';
	return true;
}

/* The hierarchy that a name belongs to, and the path there; NULL if no cgroup has it. */
static const struct cgroup_hierarchy *find_named(const struct cgroup_tree *tree, const char *name,
						 struct cgroup *cg)
{
	const struct cgroup_hierarchy *const all[] = {&tree->unified, &tree->memory_v1, &tree->systemd_v1};
	const size_t cnt = sizeof(all) / sizeof(all[0]);

	/* As a folder first: in no hierarchy is there a cgroup /sys/fs/cgroup/…. */
	for (size_t i = 0; i < cnt; i++)
		if (path_of_folder(all[i], name, cg->path) && cgroup_folder(all[i], cg->path, cg->folder) &&
		    is_folder(cg->folder))
			return all[i];
	memcpy(cg->path, name, strlen(name) + 1);
	for (size_t i = 0; i < cnt; i++)
		if (cgroup_folder(all[i], name, cg->folder) && is_folder(cg->folder))
			return all[i];
	return NULL;
}

int cgroup_of_path(const struct cgroup_tree *tree, const char *path, struct cgroup *cg, struct error *err)
{
	char name[CGROUP_PATH_MAX];

	*cg = (struct cgroup){0};
	if (!path[0] || !normalize(path, name))
		return error_set(err, -EINVAL,
				 "'%.200s' is no path of a cgroup (empty, too long or with '..')", path);
	if (!find_named(tree, name, cg))
		return error_set(err, -ENOENT, "there is no cgroup %.200s", name);
	memcpy(cg->unit_path, cg->path, sizeof(cg->path));
	find_facts(tree, cg->path, cg);
	return 0;
}

/* ---- who lives there ---- */

struct pid_list {
	pid_t *v;
	size_t cnt, cap;
	unsigned folders; /* looked into so far */
};

static int add_pid(struct pid_list *list, pid_t pid)
{
	if (list->cnt == CGROUP_PIDS_MAX)
		return -E2BIG;
	if (list->cnt == list->cap) {
		size_t cap = list->cap ? 2 * list->cap : 64;
		pid_t *v = reallocarray(list->v, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		list->v = v;
		list->cap = cap;
	}
	list->v[list->cnt++] = pid;
	return 0;
}

/* A threaded cgroup's file is there and cannot be read (EOPNOTSUPP): its processes are its parent's. */
static int read_procs(int folder, struct pid_list *list)
{
	int fd = openat(folder, "cgroup.procs", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), result = 0;
	FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
	long pid;

	if (!f) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	while (result == 0 && fscanf(f, "%ld", &pid) == 1)
		if (pid > 0 && pid <= INT_MAX)
			result = add_pid(list, (pid_t)pid);
	fclose(f);
	return result;
}

/* Takes the descriptor over. */
static int read_folder(int fd, unsigned depth, struct pid_list *list)
{
	int result = read_procs(fd, list);
	struct dirent *entry;
	DIR *d = fdopendir(fd);

	if (!d) {
		close(fd);
		return result;
	}
	while (result == 0 && depth < CGROUP_DEPTH_MAX && (entry = readdir(d))) {
		int child;

		if (entry->d_name[0] == '.' || (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN))
			continue;
		child = openat(dirfd(d), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (child < 0)
			continue;
		if (++list->folders > CGROUP_FOLDERS_MAX) {
			close(child);
			result = -E2BIG;
		} else {
			result = read_folder(child, depth + 1, list);
		}
	}
	closedir(d);
	return result;
}

static int by_number(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return (x > y) - (x < y);
}

/* A process that moves while we read is in two files. */
static void make_unique(struct pid_list *list)
{
	size_t kept = 0;

	if (list->cnt)
		qsort(list->v, list->cnt, sizeof(*list->v), by_number);
	for (size_t i = 0; i < list->cnt; i++)
		if (!kept || list->v[kept - 1] != list->v[i])
			list->v[kept++] = list->v[i];
	list->cnt = kept;
}

int cgroup_pids(const struct cgroup *cg, pid_t **pids, size_t *cnt, struct error *err)
{
	int fd = open(cg->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), result = fd < 0 ? -errno : 0;
	struct pid_list list = {0};

	if (result == 0)
		result = read_folder(fd, 0, &list);
	if (result != 0) {
		free(list.v);
		return error_set(err, result, "cannot read the processes of cgroup %.200s: %s", cg->path,
				 result == -ENOENT ? "it is gone" : strerror(-result));
	}
	make_unique(&list);
	*pids = list.v;
	*cnt = list.cnt;
	return 0;
}
