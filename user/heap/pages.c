#include "heap/pages.h"

#include <stdlib.h>
#include <string.h>

void heap_pages_free(struct heap_pages *pages)
{
	for (size_t i = 0; i < pages->extent_cnt; i++)
		free(pages->extents[i].bits);
	free(pages->v);
	free(pages->extents);
	free(pages->mmapped);
	memset(pages, 0, sizeof(*pages));
}
