#include "target/sigreturn.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW (1u << 20)

static const uint8_t code[SIGRETURN_LEN] = {0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05};

/* Windows overlap by what may lie across their border. */
uint64_t sigreturn_find(const struct object *obj, const struct mapping *m)
{
	uint64_t len = m->end - m->start, at = 0;
	uint8_t *window = malloc(WINDOW), *found = NULL;

	while (window && !found && at < len) {
		uint64_t want = len - at < WINDOW ? len - at : WINDOW;
		ssize_t got = object_read(obj, m->offset + at, window, (size_t)want);

		if (got < (ssize_t)sizeof(code))
			break;
		found = memmem(window, (size_t)got, code, sizeof(code));
		if (!found)
			at += (uint64_t)got - sizeof(code) + 1;
	}
	at = found ? m->start + at + (uint64_t)(found - window) : 0;
	free(window);
	return at;
}
