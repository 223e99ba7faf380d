/* Saved images are hostile input: opened, walked where they can be. Seeds: tests/images. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "heap/glibc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct memory *mem = NULL;
	struct heap *heap = NULL;
	struct heap_walk walk;
	struct error err;

	if (memory_open_image(data, size, &mem, &err) != 0)
		return 0;
	if (heap_walker_glibc.find(mem, 0, &heap, &err) == 0) {
		if (heap_walker_glibc.walk(heap, mem, true, &walk, &err) == 0)
			heap_walk_free(&walk);
		heap_walker_glibc.free(heap);
	}
	memory_free(mem);
	return 0;
}
