/* The allocator settings in a process's environment, and what was to be preloaded into it. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/printable.h"
#include "check/gather.h"
#include "target/object_text.h"
#include "target/root.h"

/* ---- settings ---- */

static const struct allocator *kind_named(const char *name)
{
	for (const struct allocator *const *kind = allocators; *kind; kind++)
		if (!strcmp((*kind)->name, name))
			return *kind;
	return NULL;
}

/* Whose a variable is by its name; the first that fits. Of glibc's those that mallopt(3) has, spelt as people
 * do. */
static const struct {
	const char *prefix, *owner;
} prefixes[] = {
	{"MIMALLOC_", "mimalloc"},   {"TCMALLOC_", "gperftools"}, {"MALLOC_ARENA", "glibc"},
	{"MALLOC_TRIM_", "glibc"},   {"MALLOC_TOP_", "glibc"},    {"MALLOC_MMAP_", "glibc"},
	{"MALLOC_TCACHE_", "glibc"},
};

static void add(struct check_facts *facts, const char *owner, const char *variable, const char *option,
		size_t option_len, const char *value, size_t value_len)
{
	struct check_variable *v = &facts->variables[facts->variable_cnt];
	const struct allocator *kind = kind_named(owner);

	if (!kind || facts->variable_cnt == CHECK_VARIABLES_MAX)
		return;
	*v = (struct check_variable){.owner = kind};
	snprintf(v->variable, sizeof(v->variable), "%s", variable);
	snprintf(v->option, sizeof(v->option), "%.*s", (int)option_len, option);
	snprintf(v->value, sizeof(v->value), "%.*s", (int)value_len, value);
	printable(v->variable, sizeof(v->variable), v->variable);
	printable(v->option, sizeof(v->option), v->option);
	printable(v->value, sizeof(v->value), v->value);
	facts->variable_cnt++;
}

/* "a=1:b=2" or "a:1,b:2": one setting a piece; a piece without a value is a setting with none. */
static void split(struct check_facts *facts, const char *owner, const char *variable, const char *text,
		  char between, char assign)
{
	const char ends[] = {between, '\0'};

	for (; *text; text += strcspn(text, ends), text += *text == between) {
		size_t len = strcspn(text, ends);
		const char *at = memchr(text, assign, len);
		size_t name_len = at ? (size_t)(at - text) : len;

		if (len)
			add(facts, owner, variable, text, name_len, at ? at + 1 : "",
			    at ? len - name_len - 1 : 0);
	}
}

static bool ends_in(const char *text, size_t len, const char *tail)
{
	size_t tail_len = strlen(tail);

	return len >= tail_len && !strncmp(text + len - tail_len, tail, tail_len);
}

static void sort_variable(struct check_facts *facts, const char *text)
{
	size_t len = strcspn(text, "=");
	const char *value = text[len] ? text + len + 1 : "";
	char name[64];

	if (len >= sizeof(name))
		return;
	memcpy(name, text, len);
	name[len] = '\0';
	/* Up to 2.38 the loader puts NULs in the place of the colons: what followed looks like variables. */
	if (!strcmp(name, "GLIBC_TUNABLES") || !strncmp(name, "glibc.", 6)) {
		split(facts, "glibc", "GLIBC_TUNABLES", name[0] == 'g' ? text : value, ':', '=');
		return;
	}
	/* With the library's prefix: JE_MALLOC_CONF, _RJEM_MALLOC_CONF (jemalloc's TUNING.md,
	 * tikv-jemallocator). */
	if (ends_in(name, len, "MALLOC_CONF")) {
		split(facts, "jemalloc", name, value, ',', ':');
		return;
	}
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		if (!strncmp(name, prefixes[i].prefix, strlen(prefixes[i].prefix))) {
			add(facts, prefixes[i].owner, name, "", 0, value, strlen(value));
			return;
		}
	}
}

void gather_variables(const struct environment *env, struct check_facts *facts)
{
	for (size_t i = 0; i < env->cnt; i++)
		sort_variable(facts, env->v[i]);
}

/* ---- whether this build knows them ---- */

/* The loader has glibc's tunables and the variables that stand for some of them, since 2.26; a static program
 * itself. */
static bool is_loader(const char *name, struct object *obj)
{
	const char *base = strrchr(name, '/');

	return base &&
	       (!strncmp(base, "/ld-linux", 9) || !strncmp(base, "/ld-2.", 6) || object_is_static(obj));
}

static struct object *find_owner(const struct maps *maps, struct objects *objects,
				 const struct allocator *kind)
{
	bool is_glibc = !strcmp(kind->name, "glibc");

	for (size_t i = 0; i < maps->cnt; i++) {
		struct object *obj =
			maps->v[i].inode && maps->v[i].exec ? objects_get(objects, &maps->v[i]) : NULL;

		if (obj && (is_glibc ? is_loader(maps->v[i].name, obj) : allocator_is_in(kind, obj)))
			return obj;
	}
	return NULL;
}

static enum check_known look_for(const struct object *obj, const char *text)
{
	char deprecated[128];

	switch (object_find_text(obj, text)) {
	case OBJECT_TEXT_WHOLE:
		return KNOWN_YES;
	case OBJECT_TEXT_TAIL:
		/* mimalloc keeps the names of options that do nothing any more (src/options.c of 2.0.4 on).
		 */
		snprintf(deprecated, sizeof(deprecated), "deprecated_%.100s", text);
		return object_find_text(obj, deprecated) ? KNOWN_NO : KNOWN_YES;
	default:
		return KNOWN_NO;
	}
}

/* As its allocator has the name in its tables. */
static enum check_known is_known(const struct check_variable *v, const struct object *obj)
{
	char text[sizeof(v->variable)];

	if (!strcmp(v->owner->name, "mimalloc")) {
		snprintf(text, sizeof(text), "%s", v->variable + strlen("MIMALLOC_"));
		for (char *c = text; *c; c++)
			*c = (char)tolower((unsigned char)*c);
		return look_for(obj, text);
	}
	if (!strcmp(v->owner->name, "glibc") && !object_find_text(obj, "glibc.malloc.check"))
		return KNOWN_UNCLEAR; /* before 2.26: in code, not in a table */
	if (!strcmp(v->owner->name, "jemalloc") && !object_find_text(obj, v->variable))
		return KNOWN_NO; /* built with another prefix */
	return look_for(obj, v->option[0] ? v->option : v->variable);
}

static void find_known(struct check_facts *facts, const struct maps *maps, struct objects *objects)
{
	for (size_t i = 0; i < facts->variable_cnt; i++) {
		struct check_variable *v = &facts->variables[i];
		struct object *obj = find_owner(maps, objects, v->owner);

		if (obj)
			v->known = is_known(v, obj);
	}
}

/* ---- preloads ---- */

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* libmimalloc.so.2 is a link to libmimalloc.so.2.0, and that is the name that is mapped. */
static bool same_library(const char *mapped, const char *wanted, uint64_t inode, uint64_t wanted_inode)
{
	size_t len = strlen(base_of(wanted));

	if (wanted_inode && inode == wanted_inode)
		return true;
	return len && !strncmp(base_of(mapped), base_of(wanted), len) &&
	       (!base_of(mapped)[len] || base_of(mapped)[len] == '.' || base_of(mapped)[len] == ' ');
}

static void find_mapped(struct check_preload *p, uint64_t inode, const struct maps *maps,
			struct objects *objects)
{
	for (size_t i = 0; i < maps->cnt && !p->mapped; i++) {
		const struct mapping *m = &maps->v[i];
		struct object *obj;

		if (!m->inode || !m->exec || !same_library(m->name, p->name, m->inode, inode))
			continue;
		p->mapped = true;
		obj = objects_get(objects, m);
		for (const struct allocator *const *kind = allocators; obj && *kind; kind++)
			if (allocator_is_in(*kind, obj))
				p->kind = *kind;
	}
}

/* The same file where distributions keep libraries. */
static void find_elsewhere(int root, struct check_preload *p)
{
	static const char *const folders[] = {"/usr/lib/x86_64-linux-gnu",
					      "/usr/lib/aarch64-linux-gnu",
					      "/usr/lib64",
					      "/usr/lib",
					      "/usr/local/lib",
					      NULL};
	struct stat st;
	int fd;

	for (const char *const *folder = folders; *folder; folder++) {
		if (snprintf(p->elsewhere, sizeof(p->elsewhere), "%s/%s", *folder, base_of(p->name)) >=
		    (int)sizeof(p->elsewhere))
			break;
		fd = root_open_file(root, p->elsewhere, &st);
		if (fd >= 0) {
			close(fd);
			printable(p->elsewhere, sizeof(p->elsewhere), p->elsewhere);
			return;
		}
	}
	p->elsewhere[0] = '\0';
}

static void add_preload(struct check_facts *facts, const char *from, const char *name, size_t len,
			const struct maps *maps, struct objects *objects)
{
	struct check_preload *p = &facts->preloads[facts->preload_cnt];
	uint64_t inode = 0;
	struct stat st;
	int root, fd;

	if (facts->preload_cnt == CHECK_PRELOADS_MAX || len >= sizeof(p->name))
		return;
	*p = (struct check_preload){.from = from, .exists = true};
	memcpy(p->name, name, len);
	root = memchr(p->name, '/', len) && !strchr(p->name, '$') ? root_open(facts->pid) : -1;
	if (root >= 0) {
		fd = root_open_file(root, p->name, &st);
		p->exists = fd >= 0;
		inode = fd >= 0 ? st.st_ino : 0;
		if (fd >= 0)
			close(fd);
		else
			find_elsewhere(root, p);
		close(root);
	}
	find_mapped(p, inode, maps, objects);
	printable(p->name, sizeof(p->name), p->name);
	facts->preload_cnt++;
}

/* Names are separated by blanks or colons (ld.so(8)). */
static void add_preloads(struct check_facts *facts, const char *from, const char *text,
			 const struct maps *maps, struct objects *objects)
{
	static const char between[] = " :\t\n";

	for (text += strspn(text, between); *text;) {
		size_t len = strcspn(text, between);

		if (*text == '#') { /* a comment, in the file */
			len = strcspn(text, "\n");
		} else {
			add_preload(facts, from, text, len, maps, objects);
		}
		text += len;
		text += strspn(text, between);
	}
}

static void read_preload_file(struct check_facts *facts, const struct maps *maps, struct objects *objects)
{
	int root = root_open(facts->pid), fd;
	char text[4096];
	struct stat st;
	ssize_t len;

	if (root < 0)
		return;
	fd = root_open_file(root, "/etc/ld.so.preload", &st);
	close(root);
	if (fd < 0)
		return;
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[len > 0 ? len : 0] = '\0';
	add_preloads(facts, "/etc/ld.so.preload", text, maps, objects);
}

void gather_environment(struct check_facts *facts, struct memory *mem, const struct maps *maps,
			struct objects *objects)
{
	struct environment env;
	const char *preload;

	facts->secure = environment_is_secure(facts->pid);
	if (environment_read(facts->pid, mem, maps, objects, &env) != 0)
		return;
	facts->environment = env.source;
	gather_variables(&env, facts);
	find_known(facts, maps, objects);
	preload = environment_get(&env, "LD_PRELOAD");
	if (preload)
		add_preloads(facts, "LD_PRELOAD", preload, maps, objects);
	read_preload_file(facts, maps, objects);
	environment_free(&env);
}
