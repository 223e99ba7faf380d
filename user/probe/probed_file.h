/*
 * A file that a process has mapped, or that lies beside what it has: what it holds of ours, and the links that are
 * attached to it for that process. Which files these are, and when what is placed: follow.h.
 */
#ifndef ALLOCTRACE_PROBE_PROBED_FILE_H
#define ALLOCTRACE_PROBE_PROBED_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "probe/keeper.h"
#include "probe/missing.h"
#include "probe/plan.h"
#include "probe/programs.h"

#define PROBED_LINKS_MAX (2 * PLAN_ROLE_CNT)

struct probed_file {
	dev_t dev; /* as the target's maps say; where they differ from stat: overlayfs, btrfs */
	uint64_t inode;
	dev_t stat_dev; /* as stat says; 0: could not be opened */
	bool present;   /* seen in this round: mapped, or beside what is */
	bool mapped;
	struct object *obj;                 /* NULL: nothing of ours is attached to it */
	const struct plan *plan;            /* NULL: nothing is probed in it */
	uint32_t marks_named, marks_placed; /* as in its plan */
	kept_link links[PROBED_LINKS_MAX];
	enum plan_role roles[PROBED_LINKS_MAX]; /* what each is for */
	size_t link_cnt;
};

/* What probes are placed with. */
struct placing {
	pid_t pid;
	const struct programs *programs;
	struct keeper *keeper;
	enum link_backend backend;
	struct missing *missing;
	bool quiet;        /* what cannot be placed was said the first time */
	unsigned lost_cnt; /* probes that could not be placed */
};

/* Places the role's probes of a file that has an object and a plan. What the kernel refuses is missing and counted. */
void probed_file_place(struct placing *placing, struct probed_file *file, enum plan_role role);
/* … of allocation functions, without a word. */
void probed_file_place_allocs(struct placing *placing, struct probed_file *file);
bool probed_file_has_allocs(const struct probed_file *file);
bool probed_file_plans(const struct probed_file *file, enum plan_role role);

enum which_links { LINKS_ALL, LINKS_OF_GONE, LINKS_OF_ALLOCS, LINKS_OF_OBJECTS };

/*
 * Takes links from files, to be closed together, because each waits long: *link_cnt of them, which the caller
 * frees. Without memory for the list they are dropped at once.
 */
kept_link *probed_files_take_links(struct keeper *keeper, struct probed_file *files, size_t cnt, enum which_links which,
				   size_t *link_cnt);

#endif
