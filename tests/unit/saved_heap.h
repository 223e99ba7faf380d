/* A heap saved with what its process said of it (tests/images/make.py): NAME.img and NAME.json. */
#ifndef ALLOCTRACE_TESTS_SAVED_HEAP_H
#define ALLOCTRACE_TESTS_SAVED_HEAP_H

#include <stdio.h>
#include <stdlib.h>

#include <cjson/cJSON.h>

#include "target/memory.h"

#define SAVED_FOLDER "tests/images/"

/* A whole file, NUL-ended; the caller frees it. */
static inline char *saved_load(const char *name, const char *tail, size_t *len)
{
	char path[128], *data = malloc(1 << 20);
	FILE *f;

	snprintf(path, sizeof(path), SAVED_FOLDER "%s%s", name, tail);
	f = fopen(path, "rb");
	if (!f || !data)
		abort();
	*len = fread(data, 1, (1 << 20) - 1, f);
	data[*len] = '\0';
	fclose(f);
	return data;
}

static inline struct memory *saved_memory(const char *name)
{
	struct memory *mem = NULL;
	struct error err;
	size_t len;
	char *data = saved_load(name, ".img", &len);

	if (memory_open_image(data, len, &mem, &err) != 0)
		abort();
	free(data);
	return mem;
}

static inline cJSON *saved_truth(const char *name)
{
	size_t len;
	char *text = saved_load(name, ".json", &len);
	cJSON *truth = cJSON_Parse(text);

	free(text);
	return truth;
}

static inline uint64_t saved_number(const cJSON *truth, const char *field)
{
	const cJSON *item = cJSON_GetObjectItem(truth, field);

	if (!item)
		abort();
	return (uint64_t)item->valuedouble;
}

#endif
