/*
 * Calls an allocator by every name that it has, C, C++ and its own, and knows what it has done: how
 * often each name was called, blocks and bytes. Names that the process does not hold are left
 * out. Commands on standard input, a line each: go (one round), purge (every purge by every name,
 * after freeing 32 MiB each; answers with what it called), idle (frees 32 MiB and allocates a little
 * now and then, until half of it has left RSS; answers with what has), count (answers with all that it has
 * counted so far).
 *
 * -DPREFIX=_rjem_ puts a prefix before C names (not C++'s); -DSTATIC links what there is (whole
 * archives) instead of looking it up.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STRING_(x)   #x
#define STRING(x)    STRING_(x)
#ifndef PREFIX
#define PREFIX
#endif

#define ALIGNMENT 64
#define SIZES     7
#define REPEATS   40
#define PURGED    (32 << 20)

enum how {
	MALLOC,        /* (size) */
	MALLOCX,       /* (size, flags 0); operator new nothrow too */
	CALLOC,        /* (count, size) */
	HEAP_MALLOC,   /* (heap, size) */
	HEAP_CALLOC,   /* (heap, count, size) */
	ALIGN_SIZE,    /* (alignment, size) */
	SIZE_ALIGN,    /* (size, alignment) */
	SIZE_ALIGN_AT, /* (size, alignment, offset 0) */
	OUT,           /* (&block, alignment, size) */
	REALLOC,       /* (block, size, flags 0) */
	REALLOC_ARRAY, /* (block, count, size) */
	FREE,          /* (block, flags 0) */
	FREE_SIZE,     /* (block, size, flags 0): of blocks without an alignment of their own */
	FREE_ALIGN,    /* (block, alignment) */
	FREE_SIZE_ALIGN,  /* (block, size, alignment) */
};

/* own: an allocator's own name, which a prefix comes before. */
#define NAMES(own, plain)                                                                                    \
	own(malloc, MALLOC) own(calloc, CALLOC) own(realloc, REALLOC) own(free, FREE)                        \
	own(memalign, ALIGN_SIZE) own(aligned_alloc, ALIGN_SIZE) own(posix_memalign, OUT) own(valloc, MALLOC) \
	own(mallocx, MALLOCX) own(rallocx, REALLOC) own(dallocx, FREE) own(sdallocx, FREE_SIZE)              \
	own(tc_malloc, MALLOC) own(tc_malloc_skip_new_handler, MALLOC) own(tc_calloc, CALLOC)                \
	own(tc_realloc, REALLOC) own(tc_free, FREE) own(tc_free_sized, FREE_SIZE) own(tc_cfree, FREE)        \
	own(tc_memalign, ALIGN_SIZE) own(tc_posix_memalign, OUT) own(tc_valloc, MALLOC)                      \
	own(tc_new, MALLOC) own(tc_newarray, MALLOC) own(tc_new_nothrow, MALLOCX)                            \
	own(tc_new_aligned, SIZE_ALIGN) own(tc_delete, FREE) own(tc_deletearray, FREE)                       \
	own(tc_delete_sized, FREE_SIZE) own(tc_delete_nothrow, FREE) own(tc_delete_aligned, FREE_ALIGN)      \
	own(tc_delete_sized_aligned, FREE_SIZE_ALIGN)                                                        \
	own(mi_malloc, MALLOC) own(mi_calloc, CALLOC) own(mi_zalloc, MALLOC) own(mi_mallocn, CALLOC)         \
	own(mi_realloc, REALLOC) own(mi_reallocn, REALLOC_ARRAY) own(mi_reallocf, REALLOC)                   \
	own(mi_rezalloc, REALLOC) own(mi_recalloc, REALLOC_ARRAY) own(mi_free, FREE)                         \
	own(mi_free_size, FREE_SIZE) own(mi_free_aligned, FREE_ALIGN) own(mi_cfree, FREE)                    \
	own(mi_free_size_aligned, FREE_SIZE_ALIGN) own(mi_malloc_aligned, SIZE_ALIGN)                        \
	own(mi_malloc_aligned_at, SIZE_ALIGN_AT) own(mi_zalloc_aligned, SIZE_ALIGN)                          \
	own(mi_memalign, ALIGN_SIZE) own(mi_aligned_alloc, ALIGN_SIZE) own(mi_posix_memalign, OUT)           \
	own(mi_new, MALLOC) own(mi_new_n, CALLOC) own(mi_new_nothrow, MALLOC) own(mi_new_aligned, SIZE_ALIGN) \
	own(mi_new_realloc, REALLOC) own(mi_heap_malloc, HEAP_MALLOC) own(mi_heap_zalloc, HEAP_MALLOC)       \
	own(mi_heap_calloc, HEAP_CALLOC) own(mi_umalloc, MALLOCX) own(mi_ufree, FREE)                        \
	plain(_Znwm, MALLOC) plain(_Znam, MALLOC) plain(_ZnwmRKSt9nothrow_t, MALLOCX)                        \
	plain(_ZnamRKSt9nothrow_t, MALLOCX) plain(_ZnwmSt11align_val_t, SIZE_ALIGN)                          \
	plain(_ZnamSt11align_val_t, SIZE_ALIGN) plain(_ZnwmSt11align_val_tRKSt9nothrow_t, SIZE_ALIGN_AT)     \
	plain(_ZnamSt11align_val_tRKSt9nothrow_t, SIZE_ALIGN_AT) plain(_ZdlPv, FREE) plain(_ZdaPv, FREE)     \
	plain(_ZdlPvm, FREE_SIZE) plain(_ZdaPvm, FREE_SIZE) plain(_ZdlPvRKSt9nothrow_t, FREE)                \
	plain(_ZdaPvRKSt9nothrow_t, FREE) plain(_ZdlPvSt11align_val_t, FREE_ALIGN)                           \
	plain(_ZdaPvSt11align_val_t, FREE_ALIGN) plain(_ZdlPvmSt11align_val_t, FREE_SIZE_ALIGN)              \
	plain(_ZdaPvmSt11align_val_t, FREE_SIZE_ALIGN) plain(_ZdlPvSt11align_val_tRKSt9nothrow_t, FREE_ALIGN) \
	plain(_ZdaPvSt11align_val_tRKSt9nothrow_t, FREE_ALIGN)

#define PURGES(own)                                                                                          \
	own(malloc_trim) own(mi_collect) own(mi_heap_collect) own(mi_collect_reduce) own(mi_theap_collect)   \
	own(MallocExtension_ReleaseFreeMemory) own(MallocExtension_ReleaseToSystem)

#define OTHERS(own)                                                                                          \
	own(mallctl) own(mallctlnametomib) own(mallctlbymib) own(mi_heap_get_default) own(mi_heap_main)      \
	own(mi_theap_get_default)

#ifdef STATIC
#define WEAK_OWN(name, ...)   extern char weak_##name[] __asm__(STRING(PREFIX) #name) __attribute__((weak));
#define WEAK_PLAIN(name, ...) extern char weak_##name[] __asm__(#name) __attribute__((weak));
NAMES(WEAK_OWN, WEAK_PLAIN)
PURGES(WEAK_OWN)
OTHERS(WEAK_OWN)
#define ADDRESS_OWN(name)   ((void *)weak_##name)
#define ADDRESS_PLAIN(name) ((void *)weak_##name)
#else
#define ADDRESS_OWN(name)   NULL
#define ADDRESS_PLAIN(name) NULL
#endif

static struct function {
	const char *name;
	enum how how;
	void *linked;
	void *(*call)();
	unsigned long calls;
} functions[] = {
#define ROW_OWN(name, how)   {STRING(PREFIX) #name, how, ADDRESS_OWN(name), NULL, 0},
#define ROW_PLAIN(name, how) {#name, how, ADDRESS_PLAIN(name), NULL, 0},
	NAMES(ROW_OWN, ROW_PLAIN)
};

static struct function purges[] = {
#define PURGE(name) {STRING(PREFIX) #name, FREE, ADDRESS_OWN(name), NULL, 0},
	PURGES(PURGE)
};

static struct function others[] = {OTHERS(PURGE)};

#define CNT(array) (sizeof(array) / sizeof((array)[0]))

static struct count {
	unsigned long allocs, frees;
	unsigned long long allocated, freed;
} count;

struct block {
	void *ptr;
	size_t size, alignment;
};

static struct function *malloc_here, *free_here; /* of the allocator that all this is about */
static void *heap;

static void find(struct function *f)
{
	f->call = (void *(*)())f->linked;
#ifndef STATIC
	f->call = (void *(*)())dlsym(RTLD_DEFAULT, f->name);
#endif
}

static struct function *find_name(struct function *of, size_t cnt, const char *name)
{
	for (size_t i = 0; i < cnt; i++)
		if (of[i].call && !strcmp(of[i].name + strlen(STRING(PREFIX)), name))
			return &of[i];
	return NULL;
}

/* Whether name and function are of the allocator that malloc is: another's block is not to be freed here. */
static bool belongs(const struct function *f)
{
	Dl_info mine, its;

	if (!f->call)
		return false;
#ifdef STATIC
	(void)mine, (void)its;
	return true;
#else
	return dladdr((void *)malloc_here->call, &mine) && dladdr((void *)f->call, &its) && mine.dli_fbase == its.dli_fbase;
#endif
}

static void *counted_malloc(size_t size)
{
	count.allocs++;
	count.allocated += size;
	malloc_here->calls++;
	return malloc_here->call(size);
}

static void counted_free(void *ptr, size_t size)
{
	count.frees++;
	count.freed += size;
	free_here->calls++;
	free_here->call(ptr);
}

static struct block allocate(struct function *f, size_t size)
{
	struct block b = {NULL, size, 0};

	switch (f->how) {
	case MALLOC:
		b.ptr = f->call(size);
		break;
	case MALLOCX:
		b.ptr = f->call(size, 0);
		break;
	case CALLOC:
		b.ptr = f->call(3UL, size);
		b.size = 3 * size;
		break;
	case HEAP_MALLOC:
		b.ptr = f->call(heap, size);
		break;
	case HEAP_CALLOC:
		b.ptr = f->call(heap, 3UL, size);
		b.size = 3 * size;
		break;
	case ALIGN_SIZE:
		b.size = (size + ALIGNMENT - 1) & ~(ALIGNMENT - 1UL);
		b.alignment = ALIGNMENT;
		b.ptr = f->call((size_t)ALIGNMENT, b.size);
		break;
	case SIZE_ALIGN:
	case SIZE_ALIGN_AT:
		b.alignment = ALIGNMENT;
		b.ptr = f->call(size, (size_t)ALIGNMENT, (size_t)0);
		break;
	case OUT:
		b.alignment = ALIGNMENT;
		if (f->call(&b.ptr, (size_t)ALIGNMENT, size))
			b.ptr = NULL;
		break;
	case REALLOC:
	case REALLOC_ARRAY:
		b.ptr = counted_malloc(size / 2 + 1);
		if (f->how == REALLOC)
			b.ptr = f->call(b.ptr, size, 0);
		else
			b.ptr = f->call(b.ptr, b.size = 3 * size, 1UL);
		count.frees++;
		count.freed += size / 2 + 1;
		break;
	default:
		break;
	}
	f->calls++;
	if (!b.ptr)
		abort();
	memset(b.ptr, 1, b.size);
	count.allocs++;
	count.allocated += b.size;
	return b;
}

static bool can_free(const struct function *f, const struct block *b)
{
	switch (f->how) {
	case FREE:
		return true;
	case FREE_SIZE:
		return !b->alignment;
	case FREE_ALIGN:
	case FREE_SIZE_ALIGN:
		return b->alignment;
	default:
		return false;
	}
}

static void release(struct function *f, const struct block *b)
{
	switch (f->how) {
	case FREE_SIZE:
		f->call(b->ptr, b->size, 0);
		break;
	case FREE_ALIGN:
		f->call(b->ptr, b->alignment, 0);
		break;
	case FREE_SIZE_ALIGN:
		f->call(b->ptr, b->size, b->alignment);
		break;
	default:
		f->call(b->ptr, 0);
		break;
	}
	f->calls++;
	count.frees++;
	count.freed += b->size;
}

/* The next function that may free it. */
static struct function *next_free(const struct block *b)
{
	static size_t at;

	for (;;) {
		struct function *f = &functions[at++ % CNT(functions)];

		if (belongs(f) && can_free(f, b))
			return f;
	}
}

static void round_of_all(void)
{
	static const size_t sizes[SIZES] = {16, 40, 200, 1000, 5000, 20000, 300000};

	for (size_t i = 0; i < CNT(functions); i++)
		for (int k = 0; functions[i].how < FREE && belongs(&functions[i]) && k < REPEATS; k++) {
			struct block b = allocate(&functions[i], sizes[k % SIZES]);
			struct function *f = next_free(&b);

			release(f, &b);
		}
}

static void say_counts(void)
{
	const char *separator = "";

	printf("{\"allocs\": %lu, \"frees\": %lu, \"allocated\": %llu, \"freed\": %llu, \"failed\": 0, \"calls\": {",
	       count.allocs, count.frees, count.allocated, count.freed);
	for (size_t i = 0; i < CNT(functions); i++)
		if (functions[i].calls) {
			printf("%s\"%s\": %lu", separator, functions[i].name, functions[i].calls);
			separator = ", ";
		}
	printf("}}\n");
	fflush(stdout);
}

/* Without a buffer, which would be allocated. */
static long resident(void)
{
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	char text[128] = "";
	long pages = 0;

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0 || sscanf(text, "%*d %ld", &pages) != 1)
		abort();
	close(fd);
	return pages * 4096;
}

/* Memory that a purge may take; what was resident between. */
static long fill_and_free(void)
{
	enum { BLOCK = 4000, BLOCKS = PURGED / BLOCK };
	static void *blocks[BLOCKS];
	long most;

	for (int i = 0; i < BLOCKS; i++) {
		blocks[i] = counted_malloc(BLOCK);
		memset(blocks[i], 1, BLOCK);
	}
	most = resident();
	for (int i = 0; i < BLOCKS; i++)
		counted_free(blocks[i], BLOCK);
	return most;
}

static const char *separator;

static void say_purge(const char *function, const char *argument, long before)
{
	printf("%s{\"function\": \"%s\", \"argument\": %s%s%s, \"drop\": %ld}", separator, function, argument ? "\"" : "",
	       argument ? argument : "null", argument ? "\"" : "", before - resident());
	separator = ", ";
}

/* By name and by number; and what is no purge, between. */
static void purge_by_mallctl(void)
{
	static const char *const names[] = {"arena.4096.purge", "arena.0.decay"};
	const struct function *by_name = find_name(others, CNT(others), "mallctl"),
			      *to_mib = find_name(others, CNT(others), "mallctlnametomib"),
			      *by_mib = find_name(others, CNT(others), "mallctlbymib");
	size_t len, value, size;
	long before;

	if (!by_name || !belongs(by_name) || !to_mib || !by_mib)
		return;
	for (size_t i = 0; i < 2 * CNT(names); i++) {
		const char *name = names[i / 2];
		size_t mib[4];

		fill_and_free();
		size = sizeof(value);
		by_name->call("stats.allocated", &value, &size, NULL, (size_t)0);
		by_name->call("arena.0.dirty_decay_ms", &value, &size, NULL, (size_t)0);
		len = 4;
		to_mib->call(name, mib, &len);
		before = resident();
		if (i % 2)
			by_mib->call(mib, len, NULL, NULL, NULL, (size_t)0);
		else
			by_name->call(name, NULL, NULL, NULL, (size_t)0);
		say_purge((i % 2 ? by_mib : by_name)->name, name, before);
		len = 4;
		to_mib->call("arena.0.dirty_decay_ms", mib, &len);
		by_mib->call(mib, len, &value, &size, NULL, (size_t)0);
	}
}

static void purge_by_all(void)
{
	printf("{\"purges\": [");
	separator = "";
	for (size_t i = 0; i < CNT(purges); i++) {
		bool of_heap = strstr(purges[i].name, "heap") != NULL;
		long before;

		if (!belongs(&purges[i]) || (of_heap && !heap))
			continue;
		fill_and_free();
		before = resident();
		if (of_heap)
			purges[i].call(heap, 1);
		else
			purges[i].call(strstr(purges[i].name, "ToSystem") ? (size_t)PURGED : strstr(purges[i].name, "mi_") ? 1 : 0);
		say_purge(purges[i].name, NULL, before);
	}
	purge_by_mallctl();
	printf("]}\n");
	fflush(stdout);
}

/* Decay comes with activity: a little of it, for ten seconds at most. */
static void idle(void)
{
	static const size_t sizes[] = {100, 20000, 1 << 20};
	long most = fill_and_free(), left;

	for (int i = 0; i < 1000; i++) {
		for (int k = 0; k < 200; k++)
			counted_free(counted_malloc(sizes[k % 3]), sizes[k % 3]);
		left = resident();
		if (i > 20 && most - left > PURGED / 2)
			break;
		usleep(10000);
	}
	printf("{\"drop\": %ld}\n", most - left);
	fflush(stdout);
}

int main(void)
{
	static char out[1 << 16];
	const struct function *get_heap;
	char line[32];

	setvbuf(stdout, out, _IOFBF, sizeof(out));
	for (size_t i = 0; i < CNT(functions); i++)
		find(&functions[i]);
	for (size_t i = 0; i < CNT(purges); i++)
		find(&purges[i]);
	for (size_t i = 0; i < CNT(others); i++)
		find(&others[i]);
	malloc_here = find_name(functions, CNT(functions), "malloc");
	free_here = find_name(functions, CNT(functions), "free");
	get_heap = find_name(others, CNT(others), "mi_heap_main") ?: find_name(others, CNT(others), "mi_heap_get_default");
	heap = get_heap ? get_heap->call() : NULL;
	printf("{\"pid\": %d}\n", getpid());
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		if (line[0] == 'g') {
			round_of_all();
			printf("{}\n");
			fflush(stdout);
		} else if (line[0] == 'c') {
			say_counts();
		} else if (line[0] == 'p') {
			purge_by_all();
		} else if (line[0] == 'i') {
			idle();
		} else {
			break;
		}
	}
	return 0;
}
