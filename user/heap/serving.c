#include "heap/serving.h"

struct search {
	const struct maps *maps;
	struct memory *mem;
	const struct allocator *const *more;
	struct serving *found;
	size_t found_cnt;
	const struct mapping *caller; /* the object whose slots are read now */
	uint64_t bias;
};

static bool same_file(const struct mapping *a, const struct mapping *b)
{
	return a->inode == b->inode && a->dev == b->dev;
}

static bool is_entry_point(const struct search *s, const char *symbol)
{
	const struct allocator *kind;

	for (size_t i = 0; (kind = allocator_nth(s->more, i)); i++)
		if (allocator_is_entry_point(kind, symbol))
			return true;
	return false;
}

/* Reads a slot without faulting its page in. */
static bool read_slot(struct memory *mem, uint64_t addr, uint64_t *value)
{
	uint64_t page = addr & ~(TARGET_PAGE_SIZE - 1);
	uint8_t state;

	return !memory_pages(mem, page, page + TARGET_PAGE_SIZE, &state) && (state & PAGE_PRESENT) &&
	       memory_read(mem, addr, value, sizeof(*value)) == (ssize_t)sizeof(*value);
}

static int follow_slot(const struct object_slot *slot, void *arg)
{
	struct search *s = arg;
	const struct mapping *to;
	uint64_t value;

	if (!is_entry_point(s, slot->symbol) || !read_slot(s->mem, s->bias + slot->value, &value))
		return 0;
	to = maps_find(s->maps, value);
	if (!to || same_file(to, s->caller))
		return 0;
	for (size_t i = 0; i < s->found_cnt; i++)
		if (same_file(s->found[i].object, to))
			s->found[i].reached = true;
	return 0;
}

/* The first mapping of each file, in address order, so that every object is looked at once. */
static bool is_first_of_file(const struct maps *maps, size_t i)
{
	if (!maps->v[i].inode)
		return false;
	/* An object's mappings adjoin or nearly do: looking back a few is enough, a repeat only costs time. */
	for (size_t back = 1; back <= 8 && back <= i; back++)
		if (same_file(&maps->v[i - back], &maps->v[i]))
			return false;
	return true;
}

/*
 * Whether it is linked into the program, or under a prefix into a library: its calls go through
 * no slot then, and it would not be there for nothing.
 */
static bool is_linked_in(const struct allocator *kind, struct object *obj)
{
	size_t at = 0;
	const char *prefix = allocator_prefix_in(kind, obj, &at);

	return object_is_static(obj) ||
	       (!allocator_is_library(kind, obj) && (object_is_program(obj) || (prefix && *prefix)));
}

/* Adds the allocators that an object holds. */
static void find_in(struct search *s, const struct mapping *m, struct object *obj)
{
	const struct allocator *kind;

	for (size_t i = 0; s->found_cnt < SERVING_MAX && (kind = allocator_nth(s->more, i)); i++)
		if (allocator_is_in(kind, obj))
			s->found[s->found_cnt++] = (struct serving){
				.kind = kind,
				.object = m,
				.reached = is_linked_in(kind, obj),
			};
}

size_t serving_find(const struct maps *maps, struct objects *objects, struct memory *mem,
		    const struct allocator *const *more, struct serving found[SERVING_MAX])
{
	struct search s = {.maps = maps, .mem = mem, .more = more, .found = found};

	for (size_t i = 0; i < maps->cnt; i++) {
		struct object *obj = is_first_of_file(maps, i) ? objects_get(objects, &maps->v[i]) : NULL;

		if (obj)
			find_in(&s, &maps->v[i], obj);
	}
	for (size_t i = 0; s.found_cnt && i < maps->cnt; i++) {
		struct object *obj = is_first_of_file(maps, i) ? objects_get(objects, &maps->v[i]) : NULL;

		if (!obj)
			continue;
		s.caller = &maps->v[i];
		s.bias = object_bias(obj, s.caller);
		object_each_slot(obj, follow_slot, &s);
	}
	return s.found_cnt;
}
