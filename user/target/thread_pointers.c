/*
 * glibc's threads from outside. Every struct pthread is on one of two lists, of stacks that glibc made
 * and of those that the program brought (the main thread's too): nptl/descr.h, nptl/allocatestack.c. Up
 * to 2.33 their heads are libpthread's own variables, then members of the loader's _rtld_global.
 *
 * x86-64: struct pthread begins with the tcbhead_t whose words 0 and 2 point at itself, and the
 * thread pointer is its address (sysdeps/x86_64/nptl/tls.h).
 */
#include <string.h>

#include "base/map.h"
#include "target/threads.h"

#define LIST_MAX (2 * THREADS_MAX) /* steps along a list that never closes */
#define OFFSET_MAX 8192            /* in struct pthread; rtld_global has some KB too */

struct layout {
	uint32_t list, tid; /* offsets in struct pthread */
	uint32_t next;      /* in list_t */
	uint64_t heads[2];  /* addresses in the target */
	size_t head_cnt;
};

/* Bytes of the target that are in RAM. */
static bool peek(struct memory *mem, uint64_t addr, void *buf, size_t len)
{
	uint64_t start = addr & ~(TARGET_PAGE_SIZE - 1);
	uint64_t end = (addr + len + TARGET_PAGE_SIZE - 1) & ~(TARGET_PAGE_SIZE - 1);
	uint8_t state[2];

	if (addr + len < addr || end - start > sizeof(state) * TARGET_PAGE_SIZE ||
	    memory_pages(mem, start, end, state) != 0)
		return false;
	for (uint64_t i = 0; i < (end - start) / TARGET_PAGE_SIZE; i++)
		if (!(state[i] & PAGE_PRESENT))
			return false;
	return memory_read(mem, addr, buf, len) == (ssize_t)len;
}

/* A descriptor {bits, count, offset} of the object's file; nptl_db/db_info.c. */
static bool read_offset(struct object *obj, const char *name, uint32_t *offset)
{
	struct object_symbol sym;
	uint32_t words[3];

	if (object_find_data(obj, name, &sym) || sym.size < sizeof(words) || !sym.file_offset ||
	    object_read(obj, sym.file_offset, words, sizeof(words)) != (ssize_t)sizeof(words) ||
	    words[2] > OFFSET_MAX)
		return false;
	*offset = words[2];
	return true;
}

static void add_head(struct layout *l, uint64_t addr)
{
	if (l->head_cnt < sizeof(l->heads) / sizeof(l->heads[0]))
		l->heads[l->head_cnt++] = addr;
}

/* The address of a variable of any of the objects; 0: none has it. */
static uint64_t find_variable(const struct maps *maps, struct objects *objects, const char *name)
{
	struct object_symbol sym;

	for (size_t i = 0; i < maps->cnt; i++) {
		struct object *obj =
			maps->v[i].inode && maps->v[i].exec ? objects_get(objects, &maps->v[i]) : NULL;

		if (obj && !object_find_data(obj, name, &sym))
			return object_bias(obj, &maps->v[i]) + sym.value;
	}
	return 0;
}

static void find_heads(const struct maps *maps, struct objects *objects, struct object *obj,
		       const struct mapping *m, struct layout *l)
{
	static const char *const names[][2] = {
		{"_thread_db_rtld_global__dl_stack_used", "stack_used"},
		{"_thread_db_rtld_global__dl_stack_user", "__stack_user"},
	};
	struct object_symbol sym;
	uint64_t rtld = 0;
	uint32_t offset;

	for (size_t i = 0; i < 2; i++) {
		if (read_offset(obj, names[i][0], &offset)) {
			rtld = rtld ? rtld : find_variable(maps, objects, "_rtld_global");
			if (rtld)
				add_head(l, rtld + offset);
		} else if (!object_find_data(obj, names[i][1], &sym)) {
			add_head(l, object_bias(obj, m) + sym.value);
		}
	}
}

/* The first object that publishes the layout: libc.so.6, before 2.34 libpthread.so.0. */
static bool find_layout(const struct maps *maps, struct objects *objects, struct layout *l)
{
	for (size_t i = 0; i < maps->cnt; i++) {
		const struct mapping *m = &maps->v[i];
		struct object *obj = m->inode && m->exec ? objects_get(objects, m) : NULL;

		if (!obj || !read_offset(obj, "_thread_db_pthread_tid", &l->tid) ||
		    !read_offset(obj, "_thread_db_pthread_list", &l->list) ||
		    !read_offset(obj, "_thread_db_list_t_next", &l->next))
			continue;
		find_heads(maps, objects, obj, m, l);
		return l->head_cnt > 0;
	}
	return false;
}

/* The thread whose descriptor pthread is, if it is one. by_own: own_tid → thread. */
static void take(const struct map *by_own, struct memory *mem, const struct layout *l, uint64_t pthread)
{
	struct thread *t;
	uint64_t words[3];
	int32_t tid;

	if (!peek(mem, pthread, words, sizeof(words)) || words[0] != pthread || words[2] != pthread ||
	    !peek(mem, pthread + l->tid, &tid, sizeof(tid)))
		return;
	t = tid > 0 ? map_get(by_own, (uint64_t)tid) : NULL;
	if (t)
		t->pointer = pthread;
}

void threads_find_pointers(struct threads *threads, struct memory *mem, const struct maps *maps,
			   struct objects *objects)
{
	struct layout l = {0};
	struct map by_own = {0};
	uint64_t at;

	if (!find_layout(maps, objects, &l))
		return;
	for (size_t i = 0; i < threads->cnt; i++) /* without memory some stay unknown */
		map_set(&by_own, (uint64_t)threads->v[i].own_tid, &threads->v[i]);
	for (size_t i = 0; i < l.head_cnt; i++) {
		at = l.heads[i];
		for (size_t steps = 0; steps < LIST_MAX; steps++) {
			if (!peek(mem, at + l.next, &at, sizeof(at)) || !at || at & 7 || at == l.heads[i])
				break;
			take(&by_own, mem, &l, at - l.list);
		}
	}
	map_free(&by_own);
}
