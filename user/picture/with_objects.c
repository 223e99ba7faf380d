#include "picture/with_objects.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int with_objects_make(struct with_objects *with, const struct snapshot **s)
{
	const struct allocation_view *blocks = (*s)->allocs, *objects;

	*with = (struct with_objects){.sites = NULL};
	if (!blocks || !blocks->objects || blocks->has_objects)
		return 0;
	objects = &blocks->objects->sites;
	with->sites = calloc(blocks->site_cnt + objects->site_cnt + 1, sizeof(*with->sites));
	if (!with->sites)
		return -ENOMEM;
	for (size_t i = 0; i < blocks->site_cnt; i++)
		with->sites[i] = blocks->sites[i];
	for (size_t i = 0; i < objects->site_cnt; i++) {
		with->sites[blocks->site_cnt + i] = objects->sites[i];
		with->sites[blocks->site_cnt + i].of_objects = true;
	}
	with->s = **s;
	with->allocs = *blocks;
	with->allocs.sites = with->sites;
	with->allocs.site_cnt += objects->site_cnt;
	with->allocs.has_objects = true;
	with->s.allocs = &with->allocs;
	*s = &with->s;
	return 0;
}

void with_objects_free(struct with_objects *with)
{
	free(with->sites);
	with->sites = NULL;
}
