#include "report/json_tree.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/printable.h"
#include "heap/state.h"
#include "report/emit.h"

#define TEXT_MAX 1024

/* Hands item to parent; whatever goes wrong ends here. */
static cJSON *add(struct json *j, cJSON *parent, const char *name, cJSON *item)
{
	bool added = item && parent &&
		     (name ? cJSON_AddItemToObject(parent, name, item) : cJSON_AddItemToArray(parent, item));

	if (added)
		return item;
	cJSON_Delete(item);
	j->failed = true;
	return NULL;
}

void json_init(struct json *j)
{
	j->root = cJSON_CreateObject();
	j->failed = !j->root;
}

cJSON *json_object(struct json *j, cJSON *parent, const char *name)
{
	return add(j, parent, name, cJSON_CreateObject());
}

cJSON *json_array(struct json *j, cJSON *parent, const char *name)
{
	return add(j, parent, name, cJSON_CreateArray());
}

void json_null(struct json *j, cJSON *parent, const char *name)
{
	add(j, parent, name, cJSON_CreateNull());
}

void json_bool(struct json *j, cJSON *parent, const char *name, bool value)
{
	add(j, parent, name, cJSON_CreateBool(value));
}

void json_integer(struct json *j, cJSON *parent, const char *name, uint64_t value)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "%" PRIu64, value);
	add(j, parent, name, cJSON_CreateRaw(digits));
}

void json_signed(struct json *j, cJSON *parent, const char *name, int64_t value)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "%" PRId64, value);
	add(j, parent, name, cJSON_CreateRaw(digits));
}

void json_figure(struct json *j, cJSON *parent, const char *name, uint64_t value)
{
	if (value == UNKNOWN)
		json_null(j, parent, name);
	else
		json_integer(j, parent, name, value);
}

void json_number(struct json *j, cJSON *parent, const char *name, double value)
{
	char digits[48];

	snprintf(digits, sizeof(digits), "%.3f", value);
	add(j, parent, name, cJSON_CreateRaw(digits));
}

void json_ratio(struct json *j, cJSON *parent, const char *name, double value)
{
	char digits[48];

	snprintf(digits, sizeof(digits), "%.9g", value);
	add(j, parent, name, cJSON_CreateRaw(digits));
}

void json_seconds(struct json *j, cJSON *parent, const char *name, double value)
{
	json_number(j, parent, name, value);
}

void json_address(struct json *j, cJSON *parent, const char *name, uint64_t addr)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "0x%" PRIx64, addr);
	add(j, parent, name, cJSON_CreateString(digits));
}

void json_text(struct json *j, cJSON *parent, const char *name, const char *text)
{
	char safe[TEXT_MAX];

	if (!text)
		json_null(j, parent, name);
	else
		add(j, parent, name, cJSON_CreateString(printable(safe, sizeof(safe), text)));
}

void json_flat(struct json *j, cJSON *parent, const char *name, struct json *item)
{
	char *text = item->failed ? NULL : cJSON_PrintUnformatted(item->root);

	add(j, parent, name, text ? cJSON_CreateRaw(text) : NULL);
	cJSON_free(text);
	cJSON_Delete(item->root);
	item->root = NULL;
}

int json_write(struct json *j, FILE *out)
{
	char *line = j->failed ? NULL : cJSON_PrintUnformatted(j->root);
	size_t len = line ? strlen(line) : 0;
	int result = -ENOMEM;

	if (line) {
		line[len] = '\n'; /* in the NUL's place: one write a line */
		result = emit_bytes(out, line, len + 1);
	}
	cJSON_free(line);
	cJSON_Delete(j->root);
	j->root = NULL;
	return result;
}
