/*
 * CPython's allocator of small objects, a layer above the one that serves malloc: its blocks are
 * never seen by a probe, its arenas are walked (heap/pymalloc.h). No call returns them.
 */
#include "probe/allocator.h"
#include "probe/python.h"

static const char *const files[] = {"libpython3.", NULL};
/* Exported by libpython, or by the program that carries it; PyPy's has another name. */
static const char *const fingerprint[] = {"PyObject_Malloc", NULL};
static const char *const entry_points[] = {NULL};

static unsigned version(struct object *obj)
{
	unsigned hex = python_version(obj);

	return (hex >> 8) * 1000 + (hex & 0xff);
}

/* Objects/obmalloc.c, ALIGNMENT, from 3.7 on. */
static uint64_t rounded(uint64_t size)
{
	return (size + 15) & ~15ULL;
}

extern const struct allocator allocator_pymalloc;
const struct allocator allocator_pymalloc = {
	.name = "pymalloc",
	.file_prefixes = files,
	.fingerprint = fingerprint,
	.entry_points = entry_points,
	.purge_call = NULL,
	.rows = NULL,
	.version = version,
	.rounded = rounded,
	.layer = "Python objects of up to 512 bytes",
	.remedy = "fewer small objects that live long, or PYTHONMALLOC=malloc from the start",
};
