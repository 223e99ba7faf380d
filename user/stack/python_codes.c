#include "stack/python_codes.h"

#include <errno.h>
#include <stdlib.h>

#include "base/map.h"
#include "stack/python_code.h"

#define CODES_MAX (1u << 20)

struct python_codes {
	struct map codes; /* id → struct python_code */
};

struct python_codes *python_codes_new(void)
{
	return calloc(1, sizeof(struct python_codes));
}

void python_codes_free(struct python_codes *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->codes.cap; i++)
		python_code_free(c->codes.slots[i].value);
	map_free(&c->codes);
	free(c);
}

int python_codes_add(struct python_codes *c, const struct event_code *ev)
{
	struct python_code *code;

	if (map_get(&c->codes, ev->id))
		return 0;
	if (c->codes.cnt >= CODES_MAX)
		return -ENOSPC;
	code = python_code_new(ev);
	if (code && !map_set(&c->codes, ev->id, code))
		return 0;
	python_code_free(code);
	return -ENOMEM;
}

struct location *python_codes_locate(const struct python_codes *c, struct locations *locations,
				     const struct python_frame *frame)
{
	const struct python_code *code = frame->code ? map_get(&c->codes, frame->code) : NULL;
	struct frame_name name = {.kind = FRAME_PYTHON, .function = "[Python code that was not read]"};

	if (code) {
		name.function = code->name;
		name.file = code->file;
		name.line = python_code_line(code, frame->at);
	}
	return locations_named(locations, &name);
}
