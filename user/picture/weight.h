/*
 * What a site weighs in stacks: the figures that --weight chooses from and profiles have all of, the
 * same for every form. Bytes, and where a figure has them, blocks.
 *
 * `retained` is an estimate, and the only one that is made here: nobody knows which free byte was
 * freed by whom. What the allocators that the probes see retain now is charged to the sites that
 * freed (freed_here), each in proportion to what it freed and never with more. What that leaves is
 * charged to nobody: free before the attach, never used, or the objects' of a layer (pymalloc),
 * whose frees no probe sees. All of it together is exactly what the heap retains. A site that frees
 * much that is at once allocated again is charged too much.
 */
#ifndef ALLOCTRACE_PICTURE_WEIGHT_H
#define ALLOCTRACE_PICTURE_WEIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct site_view;
struct snapshot;

enum site_weight {
	WEIGHT_LIVE,
	WEIGHT_ALLOCATED,
	WEIGHT_FREED, /* freed_here */
	WEIGHT_COUNT, /* allocations */
	WEIGHT_PINNED,
	WEIGHT_PEAK,
	WEIGHT_TEMPORARY,
	WEIGHT_RETAINED,
	WEIGHT_PYTHON, /* live, of Python's small objects, whose sites have no other weight */
	WEIGHT_CNT
};
extern const char *const site_weight_names[WEIGHT_CNT]; /* "live", … */

/* What of a snapshot all its weights need; of no use when that has changed. */
struct weights {
	const struct snapshot *s;
	uint64_t freed, charged;       /* bytes; retained: charged of freed, in proportion */
	const struct site_view *first; /* freed most: has what rounding leaves */
	uint64_t first_retained;
};
void weights_init(struct weights *weights, const struct snapshot *s);
/* Whether anything can be said: pinned and retained want a walk, python sites of objects, all want allocation events. */
bool weight_is_known(const struct weights *weights, enum site_weight weight);
/* Bytes (WEIGHT_COUNT: allocations) of a site; 0 where unknown. */
uint64_t weight_of(const struct weights *weights, const struct site_view *site, enum site_weight weight);
/* The same in blocks. Only for those that weight_has_blocks says. */
uint64_t weight_blocks(const struct site_view *site, enum site_weight weight);
bool weight_has_blocks(enum site_weight weight);

/* What no site accounts for, shown as a stack of one frame with that name. */
struct weight_rest {
	const char *name;
	uint64_t weight; /* never 0 */
};
#define WEIGHT_RESTS_MAX 4
/* How many there are. */
size_t weight_rests(const struct weights *weights, enum site_weight weight,
		    struct weight_rest rests[WEIGHT_RESTS_MAX]);

#endif
