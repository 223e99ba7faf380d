#include "heap/mimalloc_heap.h"

int mi_walk_mapped(struct mi_walk *w, const uint64_t *arenas, size_t arena_cnt)
{
	(void)w;
	(void)arenas;
	(void)arena_cnt;
	return 0;
}
