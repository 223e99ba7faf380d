#include "stack/frame.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const struct frame_form frame_whole = {.module = true, .line = true};

const char *frame_base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

/* snprintf's result as bytes really used. */
static size_t used(size_t size, int wanted)
{
	if (wanted < 0)
		return 0;
	return (size_t)wanted < size ? (size_t)wanted : size - 1;
}

int frame_module_len(const char *module)
{
	const char *tag = strstr(module, ".cpython-");

	return (int)(tag ? (size_t)(tag - module) : strlen(module));
}

static size_t put_function(char *buf, size_t size, const struct frame_name *name,
			   const struct frame_form *form)
{
	const char *module = name->module ? name->module : "[unknown]";
	int max = form->function_max;
	size_t len;

	if (!name->function)
		return used(size, snprintf(buf, size, "%.*s+0x%" PRIx64,
					   form->no_tag ? frame_module_len(module) : (int)strlen(module),
					   module, name->offset));
	len = strlen(name->function);
	if (max > 0 && len > (size_t)max)
		return used(size, snprintf(buf, size, "%.*s…", max - 1, name->function));
	return used(size, snprintf(buf, size, "%s", name->function));
}

const char *frame_text(char *buf, size_t size, const struct frame_name *name, const struct frame_form *form)
{
	size_t at = 0;

	if (form->module && name->module && name->function)
		at += used(size, snprintf(buf, size, "%s:", name->module));
	at += put_function(buf + at, size - at, name, form);
	if (form->line && name->file && name->line)
		snprintf(buf + at, size - at, " (%s:%u)", frame_base_name(name->file), name->line);
	else if (form->line && name->file)
		snprintf(buf + at, size - at, " (%s)", frame_base_name(name->file));
	return buf;
}

static int compare_text(const char *a, const char *b)
{
	if (a == b) /* equal names are mostly one and the same */
		return 0;
	if (!a || !b)
		return a ? 1 : -1;
	return strcmp(a, b);
}

int frame_compare(const struct frame_name *a, const struct frame_name *b)
{
	int order = compare_text(a->module, b->module);

	order = order ? order : compare_text(a->function, b->function);
	if (!order && !a->function && a->offset != b->offset)
		order = a->offset < b->offset ? -1 : 1;
	order = order ? order : compare_text(a->file, b->file);
	if (order || a->line == b->line)
		return order;
	return a->line < b->line ? -1 : 1;
}
