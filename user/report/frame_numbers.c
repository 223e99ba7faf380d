#include "report/frame_numbers.h"

#include <errno.h>
#include <stdlib.h>

#include "base/map.h"
#include "stack/names.h"
#include "stack/texts.h"

struct numbered {
	struct frame_name name;
	struct numbered *same_hash;
	uint32_t number;
};

struct frame_numbers {
	struct map known;  /* hash of what it shows → struct numbered */
	struct map places; /* struct location → struct frame_number_list */
	struct texts texts;
	struct numbered **v;
	size_t cnt, cap;
};

struct frame_numbers *frame_numbers_new(void)
{
	return calloc(1, sizeof(struct frame_numbers));
}

void frame_numbers_free(struct frame_numbers *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < n->places.cap; i++)
		free(n->places.slots[i].value);
	for (size_t i = 0; i < n->cnt; i++)
		free(n->v[i]);
	map_free(&n->places);
	map_free(&n->known);
	texts_free(&n->texts);
	free(n->v);
	free(n);
}

static uint64_t hash_of(const struct frame_name *name)
{
	uint64_t hash = map_hash(name->line + 1, name->function ? name->function : "");

	hash = map_hash(hash, name->module ? name->module : "");
	return map_hash(hash, name->file ? name->file : "") ^ (name->function ? 0 : name->offset);
}

static struct numbered *add(struct frame_numbers *n, const struct frame_name *name, uint64_t hash)
{
	struct numbered *made;

	if (n->cnt == n->cap) {
		size_t cap = n->cap ? 2 * n->cap : 256;
		struct numbered **v = realloc(n->v, cap * sizeof(struct numbered *));

		if (!v)
			return NULL;
		n->v = v;
		n->cap = cap;
	}
	made = malloc(sizeof(*made));
	if (!made)
		return NULL;
	*made = (struct numbered){*name, map_get(&n->known, hash), (uint32_t)n->cnt};
	if (map_set(&n->known, hash, made)) {
		free(made);
		return NULL;
	}
	n->v[n->cnt++] = made;
	return made;
}

static int number_of(struct frame_numbers *n, const struct frame_name *name, uint32_t *number)
{
	uint64_t hash = hash_of(name);
	struct numbered *found = map_get(&n->known, hash);

	while (found && frame_compare(&found->name, name))
		found = found->same_hash;
	if (!found)
		found = add(n, name, hash);
	if (found)
		*number = found->number;
	return found ? 0 : -ENOMEM;
}

const struct frame_number_list *frame_numbers_at(struct frame_numbers *n, const struct location *at)
{
	uint64_t key = (uint64_t)(uintptr_t)at;
	struct frame_number_list *list = map_get(&n->places, key);
	const struct frame_list *names;
	int rc = 0;

	if (list)
		return list;
	names = names_of(at);
	list = malloc(sizeof(*list) + names->cnt * sizeof(list->v[0]));
	if (!list)
		return NULL;
	list->cnt = names->cnt;
	for (uint32_t i = 0; i < names->cnt && !rc; i++)
		rc = number_of(n, &names->v[i], &list->v[i]);
	rc = rc ?: map_set(&n->places, key, list);
	if (!rc)
		return list;
	free(list);
	return NULL;
}

int frame_numbers_named(struct frame_numbers *n, const char *function, uint32_t *number)
{
	const char *copy = texts_get(&n->texts, function);

	return copy ? number_of(n, &(struct frame_name){.function = copy}, number) : -ENOMEM;
}

size_t frame_numbers_cnt(const struct frame_numbers *n)
{
	return n->cnt;
}

const struct frame_name *frame_numbers_get(const struct frame_numbers *n, size_t number)
{
	return &n->v[number]->name;
}
