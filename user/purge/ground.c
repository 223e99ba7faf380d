#include "purge/ground.h"

#include <stdlib.h>
#include <string.h>

#include "target/sigreturn.h"

#define MALLOC_CODE_MAX (256u << 10) /* glibc's malloc.o has 20 to 30 KiB: more is no such thing */

static const char in_allocator[] = "is in an allocator", in_malloc[] = "is in malloc",
		  in_loader[] = "is in the dynamic loader", in_fork[] = "is in fork",
		  in_exit[] = "is in exit", in_handler[] = "is in a signal handler";

struct range {
	uint64_t start, end; /* in the target */
	const char *why;
};

struct ground {
	const struct maps *maps;
	struct range *v;
	size_t cnt, cap;
	bool failed; /* no memory */
};

static void add(struct ground *g, uint64_t start, uint64_t end, const char *why)
{
	if (g->cnt == g->cap) {
		size_t cap = g->cap ? 2 * g->cap : 64;
		struct range *v = reallocarray(g->v, cap, sizeof(*v));

		if (!v) {
			g->failed = true;
			return;
		}
		g->v = v;
		g->cap = cap;
	}
	g->v[g->cnt++] = (struct range){start, end, why};
}

/* Functions by their names, or how these begin ('…' at the end), in any object or in that of an allocator. */
static const struct rule {
	const char *name;
	const char *why;
	const char *allocator;
} rules[] = {
	/* glibc: malloc/malloc.c and arena.c; the static ones in a program that is not stripped */
	{"malloc", in_malloc, "glibc"},
	{"free", in_malloc, "glibc"},
	{"cfree", in_malloc, "glibc"},
	{"calloc", in_malloc, "glibc"},
	{"realloc", in_malloc, "glibc"},
	{"memalign", in_malloc, "glibc"},
	{"aligned_alloc", in_malloc, "glibc"},
	{"valloc", in_malloc, "glibc"},
	{"pvalloc", in_malloc, "glibc"},
	{"posix_memalign", in_malloc, "glibc"},
	{"malloc_trim", in_malloc, "glibc"},
	{"malloc_usable_size", in_malloc, "glibc"},
	{"mallinfo", in_malloc, "glibc"},
	{"mallinfo2", in_malloc, "glibc"},
	{"malloc_stats", in_malloc, "glibc"},
	{"malloc_info", in_malloc, "glibc"},
	{"mallopt", in_malloc, "glibc"},
	{"malloc_consolidate", in_malloc, "glibc"},
	{"malloc_printerr", in_malloc, "glibc"},
	{"sysmalloc…", in_malloc, "glibc"},
	{"systrim…", in_malloc, "glibc"},
	{"_int_malloc", in_malloc, "glibc"},
	{"_int_free…", in_malloc, "glibc"},
	{"_int_realloc", in_malloc, "glibc"},
	{"_int_memalign", in_malloc, "glibc"},
	{"__libc_malloc", in_malloc, "glibc"},
	{"__libc_free", in_malloc, "glibc"},
	{"__libc_calloc", in_malloc, "glibc"},
	{"__libc_realloc", in_malloc, "glibc"},
	{"__libc_memalign", in_malloc, "glibc"},
	{"__malloc_…", in_malloc, "glibc"},
	{"arena_get…", in_malloc, "glibc"},
	{"tcache_…", in_malloc, "glibc"},
	{"ptmalloc_…", in_malloc, "glibc"},
	/* other allocators, linked into a program, beside what their own prefixes tell */
	{"je_…", in_allocator, "jemalloc"},
	{"mi_…", in_allocator, "mimalloc"},
	{"_mi_…", in_allocator, "mimalloc"},
	{"tc_…", in_allocator, "gperftools"},
	{"_ZN8tcmalloc…", in_allocator, "gperftools"},
	/* the loader, with its lock taken */
	{"dlopen", in_loader, NULL},
	{"dlmopen", in_loader, NULL},
	{"dlclose", in_loader, NULL},
	{"dlsym", in_loader, NULL},
	{"dlvsym", in_loader, NULL},
	{"dladdr", in_loader, NULL},
	{"dladdr1", in_loader, NULL},
	{"dlinfo", in_loader, NULL},
	{"dl_iterate_phdr", in_loader, NULL},
	{"__dl_iterate_phdr", in_loader, NULL},
	{"__libc_dlopen_mode", in_loader, NULL},
	{"_dl_…", in_loader, NULL},
	/* fork takes all of an allocator's locks, before and after other handlers */
	{"fork", in_fork, NULL},
	{"__fork", in_fork, NULL},
	{"_Fork", in_fork, NULL},
	{"__libc_fork", in_fork, NULL},
	{"vfork", in_fork, NULL},
	{"__vfork", in_fork, NULL},
	{"posix_spawn", in_fork, NULL},
	{"posix_spawnp", in_fork, NULL},
	{"daemon", in_fork, NULL},
	{"forkpty", in_fork, NULL},
	/* what has been taken down already is not known */
	{"exit", in_exit, NULL},
	{"quick_exit", in_exit, NULL},
	{"__cxa_finalize", in_exit, NULL},
	{"abort", in_exit, NULL},
};

/* A function under an allocator's own prefix, or one that programs call. */
static bool is_allocators(const struct allocator *kind, const char *name)
{
	if (allocator_is_entry_point(kind, name))
		return true;
	for (const char *const *prefix = kind->prefixes; prefix && *prefix; prefix++)
		if (**prefix && !strncmp(name, *prefix, strlen(*prefix)))
			return true;
	return false;
}

/* allocator: the one in the object, or NULL. */
static const char *rule_of(const char *name, const struct allocator *allocator)
{
	static const char more[] = "…";

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		size_t len = strlen(rules[i].name), tail = sizeof(more) - 1;
		bool begins = len > tail && !strcmp(rules[i].name + len - tail, more);

		if (rules[i].allocator && (!allocator || strcmp(rules[i].allocator, allocator->name)))
			continue;
		if (begins ? !strncmp(rules[i].name, name, len - tail) : !strcmp(rules[i].name, name))
			return rules[i].why;
	}
	return allocator && is_allocators(allocator, name) ? in_allocator : NULL;
}

/* Functions of one object, while they are gone through. */
struct naming {
	struct ground *ground;
	const struct allocator *allocator; /* in the object, or NULL */
	uint64_t bias;
	uint64_t malloc_start, malloc_end; /* as linked; the named ones of glibc's malloc.o */
	uint64_t before, after;            /* where the nearest ones of other files end and begin */
};

static void take_function(const struct object_symbol *sym, void *arg)
{
	struct naming *n = arg;
	const char *why = rule_of(sym->name, n->allocator);
	uint64_t end = sym->value + (sym->size ? sym->size : 1);

	if (!why)
		return;
	add(n->ground, n->bias + sym->value, n->bias + end, why);
	if (why != in_malloc)
		return;
	if (sym->value < n->malloc_start)
		n->malloc_start = sym->value;
	if (end > n->malloc_end)
		n->malloc_end = end;
}

static void take_neighbour(const struct object_symbol *sym, void *arg)
{
	struct naming *n = arg;
	uint64_t end = sym->value + sym->size;

	if (sym->value < n->malloc_start && end > n->before && end <= n->malloc_start)
		n->before = end;
	if (sym->value >= n->malloc_end && sym->value < n->after)
		n->after = sym->value;
}

static void add_by_name(struct ground *g, struct object *obj, const struct mapping *m,
			const struct allocator *allocator)
{
	struct naming n = {.ground = g,
			   .allocator = allocator,
			   .bias = object_bias(obj, m),
			   .malloc_start = UINT64_MAX,
			   .after = UINT64_MAX};

	object_each_function(obj, take_function, &n);
	if (n.malloc_end <= n.malloc_start || n.malloc_end - n.malloc_start > MALLOC_CODE_MAX)
		return;
	object_each_function(obj, take_neighbour, &n);
	if (n.malloc_start - n.before > MALLOC_CODE_MAX)
		n.before = n.malloc_start - MALLOC_CODE_MAX;
	if (n.after - n.malloc_end > MALLOC_CODE_MAX)
		n.after = n.malloc_end + MALLOC_CODE_MAX;
	add(g, n.bias + n.before, n.bias + n.after, in_malloc);
}

static bool same_file(const struct mapping *a, const struct mapping *b)
{
	return a->inode == b->inode && a->dev == b->dev;
}

/* A library that is an allocator and nothing else has its name. */
static bool is_allocators_own(const struct allocator *kind, const struct object *obj)
{
	const char *slash = strrchr(object_name(obj), '/'), *base = slash ? slash + 1 : object_name(obj);

	if (object_is_program(obj) || !strcmp(kind->name, "glibc") || !strcmp(kind->name, "musl"))
		return false;
	for (const char *const *prefix = kind->file_prefixes; prefix && *prefix; prefix++)
		if (!strncmp(base, *prefix, strlen(*prefix)))
			return true;
	return false;
}

/* A layer, as pymalloc is, asks the allocator for memory as any other code does. */
static const struct serving *allocator_in(const struct serving *found, size_t cnt, const struct mapping *m)
{
	for (size_t i = 0; i < cnt; i++)
		if (same_file(found[i].object, m) && !found[i].kind->layer)
			return &found[i];
	return NULL;
}

static void add_object(struct ground *g, struct object *obj, const struct mapping *m,
		       const struct serving *allocator)
{
	uint64_t sigreturn = sigreturn_find(obj, m);
	struct object_symbol sym;

	if (sigreturn)
		add(g, sigreturn, sigreturn + SIGRETURN_LEN, in_handler);
	if (allocator && is_allocators_own(allocator->kind, obj))
		add(g, m->start, m->end, in_allocator);
	else if (!object_is_static(obj) && !object_find_data(obj, "_rtld_global", &sym)) /* glibc's ld.so */
		add(g, m->start, m->end, in_loader);
	else if (allocator || !object_find_symbol(obj, "dl_iterate_phdr", &sym) ||
		 !object_find_symbol(obj, "dlopen", &sym) || !object_find_symbol(obj, "fork", &sym))
		add_by_name(g, obj, m, allocator ? allocator->kind : NULL);
}

struct ground *ground_new(const struct maps *maps, struct objects *objects, const struct serving *found,
			  size_t found_cnt)
{
	struct ground *g = calloc(1, sizeof(*g));

	for (size_t i = 0; g && i < maps->cnt; i++) {
		const struct mapping *m = &maps->v[i];
		struct object *obj = m->exec && m->inode ? objects_get(objects, m) : NULL;

		if (obj)
			add_object(g, obj, m, allocator_in(found, found_cnt, m));
	}
	if (!g || !g->failed)
		return g;
	ground_free(g);
	return NULL;
}

void ground_free(struct ground *ground)
{
	if (!ground)
		return;
	free(ground->v);
	free(ground);
}

static const char *why_at(const struct ground *ground, uint64_t addr)
{
	for (size_t i = 0; i < ground->cnt; i++)
		if (addr >= ground->v[i].start && addr < ground->v[i].end)
			return ground->v[i].why;
	return NULL;
}

/* A handler's return address is where rt_sigreturn begins, another's is behind the call. */
const char *ground_forbids(const struct ground *ground, uint64_t addr, bool exact)
{
	const char *why = why_at(ground, addr - !exact);

	return why || exact ? why : why_at(ground, addr) == in_handler ? in_handler : NULL;
}

const char *ground_forbids_word(const struct ground *ground, uint64_t word)
{
	return ground_forbids(ground, word, false);
}
