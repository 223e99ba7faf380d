/*
 * Finds usedpools[] and the pointer to the arena objects in the data of the object that carries
 * CPython, which distributions strip: the one by words that point to themselves or to pools, the
 * other by leading to the arena of a pool that is on the lists of the first. One pool's header
 * tells all that the versions differ in.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "heap/pymalloc_heap.h"
#include "probe/python_versions.h"

static uint64_t word(const char *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

/* An empty list's words make the place before it look like a pool of which they are the links. */
static uint64_t empty_list(uint64_t addr, unsigned class)
{
	return addr + 16 * class - 16;
}

static bool is_pool_address(uint64_t addr)
{
	return addr && addr % POOL_SIZE_OLD == 0 && addr < ADDRESS_END;
}

bool pymalloc_is_used(const uint64_t words[USED_WORDS], uint64_t addr)
{
	for (unsigned i = 0; i < POOL_CLASSES; i++) {
		uint64_t first = words[2 * i], last = words[2 * i + 1];

		if (first == empty_list(addr, i) && last == first)
			continue;
		if (!is_pool_address(first) || !is_pool_address(last))
			return false;
	}
	return true;
}

/* A pool that is first on its list, and what its header tells. */
struct evidence {
	uint64_t pool;
	uint32_t arenaindex;
	uint32_t pool_size;
};

/* Whether the first pool of a class's list points back to it, and is what its list is for. */
static bool is_first_pool(struct memory *mem, uint64_t used, unsigned class, uint64_t pool,
			  struct evidence *found)
{
	struct pool_header p;

	if (pymalloc_read(mem, pool, &p, sizeof(p)) || p.prevpool != empty_list(used, class) ||
	    p.szidx != class || !p.count || p.arenaindex >= ARENAS_MAX)
		return false;
	*found = (struct evidence){pool, p.arenaindex, p.maxnextoffset + POOL_CLASS_SIZE(class)};
	return (found->pool_size == POOL_SIZE_OLD || found->pool_size == POOL_SIZE_NEW) &&
	       pool % found->pool_size == 0;
}

/* What is looked for in one object's data. */
struct search {
	struct memory *mem;
	const struct maps *maps;
	struct heap *heap;
	struct evidence evidence;
	bool idle;        /* usedpools[] is there, and has no pool */
	uint64_t runtime; /* address of _PyRuntime, where it says so itself (from 3.13 on) */
};

static bool find_evidence(struct search *s, const uint64_t words[USED_WORDS], uint64_t used)
{
	for (unsigned i = 0; i < POOL_CLASSES; i++)
		if (words[2 * i] != empty_list(used, i) &&
		    is_first_pool(s->mem, used, i, words[2 * i], &s->evidence))
			return true;
	return false;
}

static bool is_idle(const uint64_t words[USED_WORDS], uint64_t used)
{
	for (unsigned i = 0; i < POOL_CLASSES; i++)
		if (words[2 * i] != empty_list(used, i))
			return false;
	return true;
}

static bool scan_for_used(const char *bytes, size_t len, uint64_t addr, void *arg)
{
	struct search *s = arg;
	uint64_t words[USED_WORDS];

	for (size_t off = 0; off + sizeof(words) <= len; off += sizeof(uint64_t)) {
		uint64_t used = addr + off, first = word(bytes + off);

		if (!memcmp(bytes + off, PYTHON_DEBUG_COOKIE, sizeof(PYTHON_DEBUG_COOKIE) - 1))
			s->runtime = used;
		if (first != empty_list(used, 0) && !is_pool_address(first))
			continue;
		memcpy(words, bytes + off, sizeof(words));
		if (!pymalloc_is_used(words, used))
			continue;
		s->idle |= is_idle(words, used);
		if (!s->heap->main.used && find_evidence(s, words, used))
			s->heap->main.used = used;
	}
	return s->heap->main.used && s->runtime;
}

/* Whether the arena objects that begin at `first` have the evidence's arena at its number. */
static bool leads_to_arena(struct search *s, uint64_t first)
{
	const struct evidence *e = &s->evidence;
	struct arena_object a;

	if (!first || first % 16 || first >= ADDRESS_END ||
	    pymalloc_read(s->mem, first + (uint64_t)e->arenaindex * sizeof(a), &a, sizeof(a)))
		return false;
	s->heap->arena_size = pymalloc_arena_size(&a, e->pool_size);
	return s->heap->arena_size && pymalloc_is_arena(s->heap, &a) &&
	       e->pool >= pymalloc_first_pool(&a, e->pool_size) && e->pool < a.pool_address;
}

static bool try_arenas(struct search *s, uint64_t addr, uint64_t first, bool together)
{
	struct pymalloc_state *state = &s->heap->main;
	struct pymalloc_arenas list;

	if (!leads_to_arena(s, first))
		return false;
	state->arenas = addr;
	state->together = together;
	if (pymalloc_read_arenas(s->heap, state, s->mem, &list)) {
		state->arenas = 0;
		return false;
	}
	free(list.v);
	return true;
}

/* The vector comes from malloc: never from the object's own data, nor from pymalloc, whose blocks are
 * smaller. */
static bool scan_for_arenas(const char *bytes, size_t len, uint64_t addr, void *arg)
{
	struct search *s = arg;
	uint64_t before = 0;

	for (size_t off = 0; off + sizeof(uint64_t) <= len; off += sizeof(uint64_t)) {
		uint64_t first = word(bytes + off);
		const struct mapping *m;

		if (first == before || !first || first % 16 || first >= ADDRESS_END)
			continue;
		before = first;
		m = maps_find(s->maps, first);
		if (m && mapping_is_anon_rw(m) &&
		    m->end - first >= ARENAS_FIRST * sizeof(struct arena_object) &&
		    try_arenas(s, addr + off, first, false))
			return true;
	}
	return false;
}

static bool find_arenas(struct search *s, struct data_range range)
{
	uint64_t addr = s->heap->main.used + STATE_ARENAS, first;

	s->heap->pool_size = s->evidence.pool_size;
	if (!pymalloc_read(s->mem, addr, &first, sizeof(first)) && try_arenas(s, addr, first, true))
		return true;
	return data_scan(s->mem, range, scan_for_arenas, s);
}

static bool is_free_threaded(const struct search *s)
{
	uint64_t flag;

	return s->runtime &&
	       !pymalloc_read(s->mem, s->runtime + PYTHON_DEBUG_FREE_THREADED, &flag, sizeof(flag)) && flag;
}

/* 0; −ENOENT: not in this object's data, or there and *idle. */
static int look_into(struct memory *mem, const struct maps *maps, struct data_range range, struct heap *heap,
		     bool *idle, struct error *err)
{
	struct search s = {.mem = mem, .maps = maps, .heap = heap};

	*heap = (struct heap){.version = heap->version};
	data_scan(mem, range, scan_for_used, &s);
	*idle |= s.idle;
	if (is_free_threaded(&s))
		return error_set(
			err, -ENOTSUP,
			"pymalloc: this CPython is free-threaded and keeps its objects in a mimalloc of "
			"its own, whose heap is not walked");
	if (!heap->main.used)
		return -ENOENT;
	if (!find_arenas(&s, range))
		return error_set(err, -EAGAIN,
				 "pymalloc has pools in use, and its list of arenas is not found");
	pymalloc_find_interpreters(mem, range, s.runtime, heap);
	return 0;
}

static bool is_python_name(const char *path)
{
	const char *name = strrchr(path, '/');

	return name && strstr(name, "python");
}

bool pymalloc_is_home(const char *path)
{
	const char *name = strrchr(path, '/');

	return name && (!strncmp(name, "/python", strlen("/python")) ||
			!strncmp(name, "/libpython", strlen("/libpython")));
}

int pymalloc_locate(struct memory *mem, const struct maps *maps, unsigned file_version, struct heap *heap,
		    struct error *err)
{
	bool idle = false;

	heap->version = file_version;
	/* First where its name is, then in the programs that embed it. */
	for (int pass = 0; pass < 2 && !idle; pass++)
		for (size_t i = 0; i < maps->cnt; i++) {
			struct data_range range;
			int rc;

			if (is_python_name(maps->v[i].name) != (pass == 0) || !data_range_of(maps, i, &range))
				continue;
			rc = look_into(mem, maps, range, heap, &idle, err);
			if (rc != -ENOENT)
				return rc;
		}
	return error_set(err, idle ? -ENOENT : -ENODATA, "pymalloc has never been used in this process");
}
