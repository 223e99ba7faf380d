#include "heap/state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/units.h"
#include "heap/glibc.h"
#include "heap/gperftools.h"
#include "heap/jemalloc.h"
#include "heap/pymalloc.h"
#include "heap/mimalloc.h"
#include "heap/residency.h"
#include "heap/serving.h"
#include "target/objects.h"

/* A lazily bound call slot shows its target only after the first call, so evidence is looked at again. */
#define SERVING_MAX_AGE_NS (30 * NSEC_PER_SEC)

/* The allocators whose heaps can be walked; the others are known from page tables only. */
static const struct heap_walker *const walkers[] = {
	&heap_walker_glibc,
	&heap_walker_jemalloc,
	&heap_walker_pymalloc,
	&heap_walker_mimalloc,
	&heap_walker_gperftools,
	NULL,
};

/* An allocator of the process, as found at the last search. */
struct present {
	const struct allocator *kind;
	const struct heap_walker *walker; /* NULL: none yet */
	struct heap *heap;                /* NULL: not found (it never started) or no walker */
	dev_t dev;
	uint64_t inode;
	bool reached;
	char version[24];
	unsigned file_version;
};

struct heap_reader {
	const struct process *process;
	struct memory *mem;
	struct objects *objects;
	bool want_pages;
	const struct allocator *const *more;
	struct present present[SERVING_MAX];
	size_t present_cnt;
	uint64_t files;       /* hash of the mapped files at the last search */
	uint64_t searched_ns; /* 0: never */
};

struct heap_reader *heap_reader_new(const struct process *p, struct memory *mem, bool want_pages)
{
	struct heap_reader *reader = calloc(1, sizeof(*reader));

	if (!reader)
		return NULL;
	reader->process = p;
	reader->mem = mem;
	reader->want_pages = want_pages;
	reader->objects = objects_new(p->pid);
	if (!reader->objects) {
		free(reader);
		return NULL;
	}
	return reader;
}

void heap_reader_know(struct heap_reader *reader, const struct allocator *const *more)
{
	reader->more = more;
}

static void forget(struct heap_reader *reader)
{
	for (size_t i = 0; i < reader->present_cnt; i++)
		if (reader->present[i].heap)
			reader->present[i].walker->free(reader->present[i].heap);
	reader->present_cnt = 0;
}

void heap_reader_free(struct heap_reader *reader)
{
	if (!reader)
		return;
	forget(reader);
	objects_free(reader->objects);
	free(reader);
}

static uint64_t hash_files(const struct maps *maps)
{
	uint64_t hash = 0xcbf29ce484222325ULL; /* FNV-1a */

	for (size_t i = 0; i < maps->cnt; i++)
		if (maps->v[i].inode)
			hash = (hash ^ maps->v[i].inode ^ maps->v[i].start) * 0x100000001b3ULL;
	return hash;
}

/* "2.0" of libmimalloc.so.2.0; "" where the name has no such tail. */
static void version_from_name(const char *path, char *version, size_t len)
{
	const char *tail = strrchr(path, '/');

	version[0] = '\0';
	tail = tail ? strstr(tail, ".so.") : NULL;
	if (!tail)
		return;
	tail += strlen(".so.");
	if (strspn(tail, "0123456789.") == strlen(tail))
		snprintf(version, len, "%s", tail);
}

static const struct heap_walker *walker_of(const struct allocator *kind)
{
	for (const struct heap_walker *const *w = walkers; *w; w++)
		if (!strcmp((*w)->allocator, kind->name))
			return *w;
	return NULL;
}

bool heap_walks(const struct allocator *kind)
{
	return walker_of(kind);
}

static const struct allocator *kind_of(const struct heap_walker *walker)
{
	for (const struct allocator *const *kind = allocators; *kind; kind++)
		if (!strcmp((*kind)->name, walker->allocator))
			return *kind;
	return NULL;
}

/* A static program without symbols shows its allocator by its heap alone. */
static void search_stripped(struct heap_reader *reader)
{
	if (reader->present_cnt || !reader->process->is_static)
		return;
	for (const struct heap_walker *const *w = walkers; *w; w++) {
		struct present *p = &reader->present[reader->present_cnt];

		*p = (struct present){.kind = kind_of(*w), .walker = *w};
		p->reached = p->kind && !p->kind->layer;
		if (p->kind && !(*w)->find(reader->mem, 0, &p->heap, NULL))
			reader->present_cnt++;
	}
}

/* A layer's walker looks for it in the whole process: two objects that carry it are one heap. */
static bool is_known_layer(const struct heap_reader *reader, const struct allocator *kind)
{
	for (size_t i = 0; kind->layer && i < reader->present_cnt; i++)
		if (reader->present[i].kind == kind)
			return true;
	return false;
}

/* Which allocators there are changes only when files are mapped or call slots get bound. */
static void search(struct heap_reader *reader, const struct maps *maps)
{
	struct serving found[SERVING_MAX];
	uint64_t files = hash_files(maps), now = clock_monotonic_ns();
	size_t cnt;

	if (reader->searched_ns && files == reader->files && now - reader->searched_ns < SERVING_MAX_AGE_NS)
		return;
	forget(reader);
	reader->files = files;
	reader->searched_ns = now;
	cnt = serving_find(maps, reader->objects, reader->mem, reader->more, found);
	for (size_t i = 0; i < cnt; i++) {
		const struct allocator *kind = found[i].kind;
		struct object *obj = objects_get(reader->objects, found[i].object);
		struct present *p;

		if (is_known_layer(reader, kind))
			continue;
		p = &reader->present[reader->present_cnt++];
		*p = (struct present){
			.kind = kind,
			.walker = walker_of(kind),
			.dev = found[i].object->dev,
			.inode = found[i].object->inode,
			.reached = found[i].reached && !kind->layer,
		};
		if (!p->walker) /* a walk knows better: libc.so.6 is no version */
			version_from_name(found[i].object->name, p->version, sizeof(p->version));
		else if (obj && kind->version)
			p->file_version = kind->version(obj);
	}
	search_stripped(reader);
}

/* 0: walked. −ENOENT: never started. Other: it is there and could not be walked. */
static int walk(struct heap_reader *reader, struct present *p, struct heap_allocator *a, struct error *err)
{
	int rc = 0;

	if (!p->heap)
		rc = p->walker->find(reader->mem, p->file_version, &p->heap, err);
	if (!rc)
		rc = p->walker->walk(p->heap, reader->mem, reader->want_pages, &a->walk, err);
	if (rc) {
		if (p->heap)
			p->walker->free(p->heap);
		p->heap = NULL;
		return rc;
	}
	a->walked = true;
	a->held = a->walk.total.held;
	a->resident = a->walk.total.resident;
	a->live_heap = a->walk.total.live.bytes;
	a->retained = a->walk.total.retained;
	a->purgeable = a->walk.total.purgeable;
	a->pinned = heap_pinned_sum(&a->walk.total.pinned);
	a->ranges = a->walk.ranges;
	memcpy(a->version, a->walk.version, sizeof(a->version));
	return 0;
}

/*
 * What the page tables tell of the one serving allocator that cannot be walked: anonymous
 * memory that is no stack and lies in no walked heap. An upper bound, since the program's
 * own mmaps are in it.
 */
static int charge_rest(struct heap_reader *reader, const struct maps *maps, struct heap_state *state,
		       struct residency *rest)
{
	uint64_t walked_held = 0, walked_resident = 0;
	struct heap_allocator *unwalked = NULL;
	size_t unwalked_cnt = 0;
	int err;

	*rest = (struct residency){0};
	for (size_t i = 0; i < state->allocator_cnt; i++) {
		struct heap_allocator *a = &state->allocators[i];

		if (a->walked) {
			walked_held += a->held;
			walked_resident += a->resident;
		} else if (a->serving) {
			unwalked = a;
			unwalked_cnt++;
		}
	}
	if (!unwalked_cnt)
		return 0;
	err = residency_add_anonymous(reader->mem, maps, rest);
	if (err)
		return err;
	rest->held -= rest->held < walked_held ? rest->held : walked_held;
	rest->resident -= rest->resident < walked_resident ? rest->resident : walked_resident;
	if (unwalked_cnt == 1) {
		unwalked->held = rest->held;
		unwalked->resident = rest->resident;
	}
	return 0;
}

static void add_known(uint64_t *sum, uint64_t figure, bool serving)
{
	if (figure != UNKNOWN && *sum != UNKNOWN)
		*sum += figure;
	else if (serving)
		*sum = UNKNOWN;
}

static void sum_up(struct heap_state *state, const struct residency *rest)
{
	bool any_serves = false;

	state->held = rest->held;
	state->resident = rest->resident;
	for (size_t i = 0; i < state->allocator_cnt; i++) {
		const struct heap_allocator *a = &state->allocators[i];

		any_serves |= a->serving;
		if (a->walked) {
			state->held += a->held;
			state->resident += a->resident;
		}
		add_known(&state->live_heap, a->live_heap, a->serving);
		add_known(&state->retained, a->retained, a->serving);
		add_known(&state->purgeable, a->purgeable, a->serving);
		add_known(&state->pinned, a->pinned, a->serving);
	}
	if (!any_serves)
		state->held = state->resident = state->live_heap = state->retained = state->purgeable =
			state->pinned = UNKNOWN;
}

static int rank(const struct heap_allocator *a)
{
	return a->serving ? 0 : heap_is_layer(a) ? 1 : 2;
}

static int by_rank(const void *x, const void *y)
{
	return rank(x) - rank(y);
}

static bool serves(const struct heap_state *state)
{
	for (size_t i = 0; i < state->allocator_cnt; i++)
		if (state->allocators[i].serving)
			return true;
	return false;
}

/*
 * Call slots that nobody has called through yet say nothing (lazy binding; a C library calls its
 * own malloc directly). Then the heaps that exist are the evidence; and where none can be walked
 * (musl's) the one allocator that there is serves, or nobody does.
 */
static void infer_serving(struct heap_state *state)
{
	struct heap_allocator *only = NULL;
	size_t cnt = 0;

	if (serves(state))
		return;
	for (size_t i = 0; i < state->allocator_cnt; i++) {
		struct heap_allocator *a = &state->allocators[i];

		a->serving = a->walked && !a->kind->layer;
		cnt += !a->kind->layer;
		if (!a->kind->layer)
			only = a;
	}
	if (cnt == 1 && !heap_walks(only->kind))
		only->serving = true;
}

static int read_allocators(struct heap_reader *reader, struct heap_state *state)
{
	state->allocators = calloc(reader->present_cnt ? reader->present_cnt : 1, sizeof(*state->allocators));
	if (!state->allocators)
		return -ENOMEM;
	for (size_t i = 0; i < reader->present_cnt; i++) {
		struct present *p = &reader->present[i];
		struct heap_allocator *a = &state->allocators[state->allocator_cnt];
		struct error why = {""};
		int rc;

		a->kind = p->kind;
		a->serving = p->reached;
		a->held = a->resident = a->live_heap = a->retained = a->purgeable = a->pinned = UNKNOWN;
		memcpy(a->version, p->version, sizeof(a->version));
		rc = p->walker ? walk(reader, p, a, &why) : 0;
		/* ptmalloc that never started serves nobody, whatever points at it. */
		if (rc == -ENOENT)
			a->serving = false;
		else if (rc == -ESRCH || rc == -EACCES || rc == -EPERM)
			return rc;
		else if (rc)
			memcpy(state->note, why.text, sizeof(state->note) - 1);
		state->allocator_cnt++;
	}
	infer_serving(state);
	if (state->allocator_cnt > 1)
		qsort(state->allocators, state->allocator_cnt, sizeof(*state->allocators), by_rank);
	return 0;
}

/* An allocator that is not found may be in what could not be looked at. */
static void note_unopened(const struct heap_reader *reader, struct heap_state *state)
{
	const char *name = objects_unopened(reader->objects), *file = name ? strrchr(name, '/') : NULL;

	if (!serves(state) && file)
		snprintf(state->note, sizeof(state->note),
			 "%.60s cannot be opened: it was deleted or replaced after it was mapped (run with sudo)",
			 file + 1);
}

int heap_state_read(struct heap_reader *reader, struct heap_state *state, struct error *err)
{
	uint64_t began = clock_thread_cpu_ns();
	struct residency rest;
	struct maps maps;
	int rc;

	*state = (struct heap_state){0};
	rc = memory_maps(reader->mem, &maps, err);
	if (rc)
		return rc;
	search(reader, &maps);
	rc = read_allocators(reader, state);
	if (!rc)
		rc = charge_rest(reader, &maps, state, &rest);
	if (rc) {
		error_set(err, rc, "cannot read the heap of process %d: %s", reader->process->pid,
			  strerror(-rc));
		heap_state_free(state);
		goto out;
	}
	sum_up(state, &rest);
	note_unopened(reader, state);
	state->taken_ns = clock_monotonic_ns();
	state->cost_ns = clock_thread_cpu_ns() - began;
out:
	maps_free(&maps);
	return rc;
}

void heap_state_free(struct heap_state *state)
{
	for (size_t i = 0; i < state->allocator_cnt; i++)
		heap_walk_free(&state->allocators[i].walk);
	free(state->allocators);
	*state = (struct heap_state){0};
}

const struct heap_allocator *heap_state_find(const struct heap_state *state, const struct allocator *kind)
{
	for (size_t i = 0; state && i < state->allocator_cnt; i++)
		if (state->allocators[i].kind == kind)
			return &state->allocators[i];
	return NULL;
}
