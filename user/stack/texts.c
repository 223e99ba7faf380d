#include "stack/texts.h"

#include <stdlib.h>
#include <string.h>

#define TEXTS_MAX 2000000

/* Those that share a hash are chained. */
struct text {
	struct text *next;
	char s[];
};

void texts_free(struct texts *texts)
{
	for (size_t i = 0; i < texts->v.cap; i++) {
		struct text *text = texts->v.slots[i].value, *next;

		for (; text; text = next) {
			next = text->next;
			free(text);
		}
	}
	map_free(&texts->v);
}

const char *texts_get(struct texts *texts, const char *s)
{
	uint64_t hash;
	struct text *first, *text;
	size_t size;

	if (!s)
		return NULL;
	hash = map_hash(0, s);
	first = map_get(&texts->v, hash);
	for (text = first; text; text = text->next)
		if (!strcmp(text->s, s))
			return text->s;
	size = strlen(s) + 1;
	text = texts->v.cnt < TEXTS_MAX ? malloc(sizeof(*text) + size) : NULL;
	if (!text)
		return NULL;
	text->next = first;
	memcpy(text->s, s, size);
	if (!map_set(&texts->v, hash, text))
		return text->s;
	free(text);
	return NULL;
}
