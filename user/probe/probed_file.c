#include "probe/probed_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "probe/object_spots.h"

/* Attaches one program to all its spots in a file; if the kernel refuses one of them, to those it takes. */
static void attach_program(struct placing *p, struct probed_file *file, enum plan_role role,
			   const struct program_use *use, const struct link_spot *spots, size_t cnt)
{
	struct link_request request = {
		.backend = p->backend,
		.when = use->when,
		.prog_fd = use->fd,
		.path = object_access_path(file->obj),
		.pid = p->pid,
		.spots = spots,
		.spot_cnt = cnt,
	};
	kept_link link;
	int ret;

	if (!cnt || file->link_cnt == PROBED_LINKS_MAX)
		return;
	ret = keeper_open(p->keeper, &request, &link);
	if (!ret) {
		file->roles[file->link_cnt] = role;
		file->links[file->link_cnt++] = link;
		return;
	}
	if (ret == -ESRCH || ret == -EPIPE) /* the process's or the keeper's end is no loss of the probe's */
		return;
	if (cnt > 1) {
		attach_program(p, file, role, use, spots, cnt / 2);
		attach_program(p, file, role, use, spots + cnt / 2, cnt - cnt / 2);
		return;
	}
	if (p->quiet)
		return;
	p->lost_cnt++;
	missing_add(p->missing, "a probe at %#llx of %s could not be placed: %s",
		    (unsigned long long)spots->offset, object_name(file->obj), strerror(-ret));
}

/* Those with most of the hits come last: while the others are placed, they would be hit for nothing. */
static size_t rank_objects(const struct placing *p, struct link_spot *spots, size_t cnt)
{
	uint64_t hits[POOL_PLACES_MAX];

	programs_object_places(p->programs, hits);
	return spots ? object_spots_rank(spots, cnt, hits) : 0;
}

void probed_file_place(struct placing *p, struct probed_file *file, enum plan_role role)
{
	struct link_spot *spots = calloc(file->plan->cnt + 1, sizeof(*spots));
	struct program_use use[2];
	unsigned use_cnt = programs_of_role(p->programs, role, use);
	size_t cnt = 0, hot = 0;

	for (size_t i = 0; spots && i < file->plan->cnt; i++)
		if (file->plan->v[i].role == role)
			spots[cnt++] = file->plan->v[i].at;
	if (role == PLAN_OBJECT)
		hot = rank_objects(p, spots, cnt);
	for (unsigned i = 0; i < use_cnt; i++) {
		attach_program(p, file, role, &use[i], spots + hot, cnt - hot);
		attach_program(p, file, role, &use[i], spots, hot);
	}
	free(spots);
}

bool probed_file_has_allocs(const struct probed_file *file)
{
	for (size_t i = 0; i < file->link_cnt; i++)
		if (plan_role_allocs(file->roles[i]))
			return true;
	return false;
}

void probed_file_place_allocs(struct placing *p, struct probed_file *file)
{
	p->quiet = true;
	for (enum plan_role role = 0; file->obj && role < PLAN_ROLE_CNT; role++)
		if (plan_role_allocs(role))
			probed_file_place(p, file, role);
	p->quiet = false;
}

bool probed_file_plans(const struct probed_file *file, enum plan_role role)
{
	for (size_t i = 0; file->plan && i < file->plan->cnt; i++)
		if (file->plan->v[i].role == role)
			return true;
	return false;
}

static bool is_one_of(enum which_links which, const struct probed_file *file, size_t link)
{
	switch (which) {
	case LINKS_OF_GONE:
		return !file->present;
	case LINKS_OF_ALLOCS:
		return plan_role_allocs(file->roles[link]);
	case LINKS_OF_OBJECTS:
		return file->roles[link] == PLAN_OBJECT;
	default:
		return true;
	}
}

kept_link *probed_files_take_links(struct keeper *keeper, struct probed_file *files, size_t cnt,
				   enum which_links which, size_t *link_cnt)
{
	kept_link *links = calloc(cnt * PROBED_LINKS_MAX + 1, sizeof(*links));

	*link_cnt = 0;
	for (size_t i = 0; i < cnt; i++) {
		struct probed_file *file = &files[i];
		size_t kept = 0;

		for (size_t k = 0; k < file->link_cnt; k++) {
			if (!is_one_of(which, file, k)) {
				file->roles[kept] = file->roles[k];
				file->links[kept++] = file->links[k];
			} else if (links) {
				links[(*link_cnt)++] = file->links[k];
			} else {
				keeper_drop(keeper, &file->links[k], 1);
			}
		}
		file->link_cnt = kept;
	}
	return links;
}
