#include "probe/functions.h"

#include <stdlib.h>
#include <string.h>

struct functions {
	struct traced_function **v; /* each apart: their addresses are given out */
	uint32_t cnt, cap;
};

struct functions *functions_new(void)
{
	return calloc(1, sizeof(struct functions));
}

static void function_free(struct traced_function *fn)
{
	if (!fn)
		return;
	free((char *)fn->symbol);
	free((char *)fn->object);
	free(fn);
}

void functions_free(struct functions *functions)
{
	if (!functions)
		return;
	for (uint32_t i = 0; i < functions->cnt; i++)
		function_free(functions->v[i]);
	free(functions->v);
	free(functions);
}

uint32_t functions_add(struct functions *functions, const struct traced_function *fn)
{
	struct traced_function *copy;

	if (functions->cnt == functions->cap) {
		uint32_t cap = functions->cap ? functions->cap * 2 : 64;
		struct traced_function **v = realloc(functions->v, cap * sizeof(struct traced_function *));

		if (!v)
			return 0;
		functions->v = v;
		functions->cap = cap;
	}
	copy = malloc(sizeof(*copy));
	if (!copy)
		return 0;
	*copy = *fn;
	copy->symbol = strdup(fn->symbol);
	copy->object = strdup(fn->object);
	if (!copy->symbol || !copy->object) {
		function_free(copy);
		return 0;
	}
	functions->v[functions->cnt++] = copy;
	return functions->cnt;
}

const struct traced_function *functions_get(const struct functions *functions, uint32_t number)
{
	return number && number <= functions->cnt ? functions->v[number - 1] : NULL;
}

void functions_set_dev(struct functions *functions, dev_t from, uint64_t inode, dev_t to)
{
	for (uint32_t i = 0; i < functions->cnt; i++)
		if (functions->v[i]->dev == from && functions->v[i]->inode == inode)
			functions->v[i]->dev = to;
}
