#include "base/gzip.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <zlib.h>

#define GZIP_WINDOW (15 + 16) /* the largest, and gzip's framing (zlib.h, deflateInit2) */
#define MEMORY_LEVEL 8        /* zlib's own */
#define CHUNK 65536

struct gzip {
	FILE *out;
	z_stream z;
	unsigned char compressed[CHUNK];
};

/* 0, or −1 with errno. */
static int deflate_all(struct gzip *g, const char *bytes, size_t len, int flush)
{
	g->z.next_in = (unsigned char *)(uintptr_t)bytes;
	g->z.avail_in = (unsigned)len;
	do {
		size_t has;

		g->z.next_out = g->compressed;
		g->z.avail_out = CHUNK;
		deflate(&g->z, flush);
		has = CHUNK - g->z.avail_out;
		errno = EIO;
		if (fwrite(g->compressed, 1, has, g->out) != has)
			return -1;
	} while (!g->z.avail_out);
	return 0;
}

static ssize_t on_write(void *cookie, const char *bytes, size_t len)
{
	return deflate_all(cookie, bytes, len, Z_NO_FLUSH) ? 0 : (ssize_t)len;
}

static int on_close(void *cookie)
{
	struct gzip *g = cookie;
	int ret = deflate_all(g, "", 0, Z_FINISH) || fflush(g->out) ? -1 : 0;
	int error = errno;

	deflateEnd(&g->z);
	free(g);
	errno = error;
	return ret;
}

FILE *gzip_stream(FILE *out, int level)
{
	const cookie_io_functions_t functions = {.write = on_write, .close = on_close};
	struct gzip *g = calloc(1, sizeof(*g));
	FILE *stream;

	if (!g)
		return NULL;
	g->out = out;
	if (deflateInit2(&g->z, level, Z_DEFLATED, GZIP_WINDOW, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) {
		free(g);
		return NULL;
	}
	stream = fopencookie(g, "w", functions);
	if (!stream) {
		deflateEnd(&g->z);
		free(g);
		return NULL;
	}
	return stream;
}
