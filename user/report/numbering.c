#include "report/numbering.h"

#include <stddef.h>

void numbering_free(struct numbering *n)
{
	map_free(&n->v);
	n->cnt = 0;
}

uint32_t numbering_get(struct numbering *n, uint64_t key, bool *is_new)
{
	uint32_t number = (uint32_t)(uintptr_t)map_get(&n->v, key);

	*is_new = false;
	if (number || n->cnt == UINT32_MAX)
		return number;
	if (map_set(&n->v, key, (void *)(uintptr_t)(n->cnt + 1)))
		return 0;
	*is_new = true;
	return ++n->cnt;
}

uint32_t numbering_child(struct numbering *tree, uint32_t parent, uint32_t item, bool *is_new)
{
	return numbering_get(tree, (uint64_t)parent << 32 | item, is_new);
}

void text_numbering_free(struct text_numbering *n)
{
	texts_free(&n->texts);
	numbering_free(&n->numbers);
}

uint32_t text_numbering_get(struct text_numbering *n, const char *text, bool *is_new)
{
	const char *copy = texts_get(&n->texts, text);

	*is_new = false;
	return copy ? numbering_get(&n->numbers, (uintptr_t)copy, is_new) : 0;
}
