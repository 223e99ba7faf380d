/* Whether an object's file has a text in it: what it knows by name, found without knowing where. */
#ifndef ALLOCTRACE_TARGET_OBJECT_TEXT_H
#define ALLOCTRACE_TARGET_OBJECT_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "target/object.h"

#define OBJECT_TEXT_BYTES_MAX (256UL << 20) /* of a file that are looked through */
#define OBJECT_TEXT_MAX 256                 /* bytes of a text, NUL included */

enum object_text {
	OBJECT_TEXT_ABSENT,
	OBJECT_TEXT_TAIL,  /* only as the end of a longer one, as linkers store both in one place */
	OBJECT_TEXT_WHOLE, /* between two bytes that can be in no name */
};

/* text ends with a NUL there. Reads the file once: 0.1 ms a MiB. */
enum object_text object_find_text(const struct object *obj, const char *text);

#endif
