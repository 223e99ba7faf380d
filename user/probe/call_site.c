#include "probe/call_site.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "probe/place.h"
#include "target/function_start.h"

#define CALL 0xe8
#define CALL_LEN 5
#define FUNCTION_MAX 65536 /* bytes: a call further behind its function's beginning is not looked for */

/* Whether a direct call ends at code[len], as decoding from code[0] shows. */
static bool ends_with_call(const uint8_t *code, size_t len)
{
	int32_t distance;

	if (len < CALL_LEN || code[len - CALL_LEN] != CALL)
		return false;
	memcpy(&distance, code + len - sizeof(distance), sizeof(distance));
	return place_is_call(code, len, len - CALL_LEN, (int64_t)len + distance);
}

static int check(struct object *obj, uint64_t return_addr, uint64_t *offset)
{
	uint64_t start, from, len;
	uint8_t *code;
	bool found;

	if (function_start(obj, return_addr - 1, &start) || !object_file_offset(obj, start, &from))
		return -ENOENT;
	len = return_addr - start;
	if (len > FUNCTION_MAX)
		return -ENOENT;
	code = malloc(len);
	if (!code)
		return -ENOMEM;
	found = object_read(obj, from, code, len) == (ssize_t)len && ends_with_call(code, len);
	free(code);
	*offset = from + len - CALL_LEN;
	return found ? 0 : -ENOENT;
}

int call_site_find(pid_t pid, const struct maps *maps, uint64_t return_addr, struct call_site *site)
{
	const struct mapping *m = maps_find(maps, return_addr);
	int ret;

	if (!m || !m->exec || !m->inode || m->name[0] != '/' || object_open_mapped(pid, m, &site->obj, NULL))
		return -ENOENT;
	ret = check(site->obj, return_addr - object_bias(site->obj, m), &site->offset);
	if (ret)
		object_free(site->obj);
	return ret;
}
