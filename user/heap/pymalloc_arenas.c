/*
 * The vector of arena objects, which nothing but its own shape tells from other memory where
 * CPython is stripped: every object of it must be in order, and those that are not in use must
 * form one list, which ends once.
 */
#include <errno.h>
#include <stdlib.h>

#include "heap/pymalloc_heap.h"

#define READ_PAGES 64

int pymalloc_read(struct memory *mem, uint64_t addr, void *buf, size_t len)
{
	uint8_t state[READ_PAGES];
	char *to = buf;

	if (addr + len < addr)
		return -ENODATA;
	while (len) {
		uint64_t page = addr & ~(TARGET_PAGE_SIZE - 1),
			 stop = page + sizeof(state) * TARGET_PAGE_SIZE;
		size_t part = len < stop - addr ? len : stop - addr;
		uint64_t end = (addr + part + TARGET_PAGE_SIZE - 1) & ~(TARGET_PAGE_SIZE - 1);

		if (memory_pages(mem, page, end, state))
			return -ENODATA;
		for (size_t i = 0; i < (end - page) / TARGET_PAGE_SIZE; i++)
			if (!(state[i] & PAGE_PRESENT))
				return -ENODATA;
		if (memory_read(mem, addr, to, part) != (ssize_t)part)
			return -ENODATA;
		addr += part;
		to += part;
		len -= part;
	}
	return 0;
}

uint32_t pymalloc_arena_size(const struct arena_object *arena, uint32_t pool_size)
{
	uint32_t pools = 64; /* MAX_POOLS_IN_ARENA; alignment takes one of them */
	uint32_t lost = arena->address % pool_size != 0;

	while (pools < arena->ntotalpools + lost && pools < ARENA_POOLS_MAX)
		pools *= 2;
	return arena->ntotalpools + lost == pools ? pools * pool_size : 0;
}

/* Whether a link leads to one of cnt objects from base on, or nowhere. */
static bool is_link(uint64_t link, uint64_t base, uint32_t cnt)
{
	return !link || (link >= base && (link - base) % sizeof(struct arena_object) == 0 &&
			 (link - base) / sizeof(struct arena_object) < cnt);
}

bool pymalloc_is_arena(const struct heap *heap, const struct arena_object *a)
{
	uint64_t first = pymalloc_first_pool(a, heap->pool_size);

	return a->address && a->address % TARGET_PAGE_SIZE == 0 && a->address < ADDRESS_END &&
	       pymalloc_arena_size(a, heap->pool_size) == heap->arena_size &&
	       a->nfreepools <= a->ntotalpools && a->pool_address >= first &&
	       a->pool_address <= first + (uint64_t)a->ntotalpools * heap->pool_size &&
	       (a->pool_address - first) % heap->pool_size == 0;
}

/* What has been seen of a vector whose length may not be known. */
struct vector {
	struct pymalloc_arenas *list;
	uint32_t ends;     /* unused objects that no other follows */
	uint32_t furthest; /* the least length that holds all links so far */
};

static bool note_link(struct vector *v, uint64_t link)
{
	uint64_t place;

	if (!is_link(link, v->list->addr, ARENAS_MAX))
		return false;
	place = link ? (link - v->list->addr) / sizeof(struct arena_object) + 1 : 0;
	if (place > v->furthest)
		v->furthest = (uint32_t)place;
	return true;
}

/* Looks at the objects from `from` on; false: this is no such vector, however long. */
static bool look_at(const struct heap *heap, struct vector *v, uint32_t from)
{
	for (uint32_t i = from; i < v->list->cnt; i++) {
		const struct arena_object *a = &v->list->v[i];

		if (!a->address) {
			v->ends += !a->nextarena;
			if (v->ends > 1 || !note_link(v, a->nextarena))
				return false;
			continue;
		}
		if (!pymalloc_is_arena(heap, a))
			return false;
		/* The links of an arena without a free pool mean nothing. */
		if (a->nfreepools && (!note_link(v, a->nextarena) || !note_link(v, a->prevarena)))
			return false;
	}
	return true;
}

/* Whether all links stay within what has been seen, and the unused end once if there are any. */
static bool is_whole(const struct vector *v)
{
	bool any_unused = false;

	for (uint32_t i = 0; i < v->list->cnt && !any_unused; i++)
		any_unused = !v->list->v[i].address;
	return v->furthest <= v->list->cnt && v->ends == any_unused;
}

/* The vector with cnt objects, those that are new to it read. */
static int grow(struct memory *mem, struct pymalloc_arenas *list, uint32_t cnt)
{
	struct arena_object *v = realloc(list->v, cnt * sizeof(*v));
	int rc;

	if (!v)
		return -ENOMEM;
	list->v = v;
	rc = pymalloc_read(mem, list->addr + list->cnt * sizeof(*v), v + list->cnt,
			   (cnt - list->cnt) * sizeof(*v));
	if (!rc)
		list->cnt = cnt;
	return rc;
}

/* The greatest length for which all goes together: what follows the vector cannot look like more of it. */
static int read_by_shape(const struct heap *heap, struct memory *mem, struct pymalloc_arenas *list)
{
	struct vector v = {.list = list};
	uint32_t whole = 0;

	for (uint32_t cnt = ARENAS_FIRST; cnt <= ARENAS_MAX; cnt *= 2) {
		uint32_t from = list->cnt;
		int rc = grow(mem, list, cnt);

		if (rc == -ENOMEM || (rc && !whole))
			return rc;
		if (rc || !look_at(heap, &v, from))
			break;
		if (is_whole(&v))
			whole = cnt;
	}
	list->cnt = whole;
	return whole ? 0 : -EAGAIN;
}

static bool is_length(uint32_t cnt)
{
	return cnt >= ARENAS_FIRST && cnt <= ARENAS_MAX && cnt % ARENAS_FIRST == 0 &&
	       ((cnt / ARENAS_FIRST) & (cnt / ARENAS_FIRST - 1)) == 0;
}

static int read_by_length(const struct heap *heap, struct memory *mem, uint32_t cnt,
			  struct pymalloc_arenas *list)
{
	struct vector v = {.list = list};
	int rc = is_length(cnt) ? grow(mem, list, cnt) : -EAGAIN;

	if (rc)
		return rc;
	return look_at(heap, &v, 0) && is_whole(&v) ? 0 : -EAGAIN;
}

int pymalloc_read_arenas(const struct heap *heap, const struct pymalloc_state *state, struct memory *mem,
			 struct pymalloc_arenas *list)
{
	struct {
		uint64_t arenas;
		uint32_t maxarenas, padding;
	} head = {0};
	int rc = pymalloc_read(mem, state->arenas, &head,
			       state->together ? sizeof(head) : sizeof(head.arenas));

	*list = (struct pymalloc_arenas){.addr = head.arenas};
	if (rc)
		return rc;
	if (!head.arenas || head.arenas % 16 || head.arenas >= ADDRESS_END)
		return -EAGAIN;
	rc = state->together ? read_by_length(heap, mem, head.maxarenas, list)
			     : read_by_shape(heap, mem, list);
	if (rc) {
		free(list->v);
		*list = (struct pymalloc_arenas){.addr = 0};
	}
	return rc;
}
