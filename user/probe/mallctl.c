#include "probe/mallctl.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "../bpf/share.h"
#include "base/units.h"
#include "target/contents.h"

#define CONTENTS_MAX (256 * MIB) /* programs that are larger are not read whole for this */

/* struct ctl_named_node_s: bool named (its 7 bytes of padding are 0), name, nchildren, children, ctl. */
#define NODE_SIZE 40
#define NODE_NAME 8
#define NODE_CHILD_CNT 16
#define NODE_CHILDREN 24
#define CHILDREN_MAX 256

static const char *const control_names[CONTROL_CNT] = {
	[CONTROL_PURGE] = "purge",
	[CONTROL_DECAY] = "decay",
	[CONTROL_RESET] = "reset",
	[CONTROL_DESTROY] = "destroy",
};

/* A node's children, by the node: {"", cnt, children} leads to the first level and to an arena's. */
struct level {
	uint64_t children, cnt;
};

static bool read_level(const struct contents *c, uint64_t node, struct level *level)
{
	uint64_t named, name;

	return contents_word(c, node, &named) && named == 1 && contents_word(c, node + NODE_NAME, &name) &&
	       contents_word(c, node + NODE_CHILD_CNT, &level->cnt) && level->cnt &&
	       level->cnt <= CHILDREN_MAX && contents_is_text(c, name, "") &&
	       contents_word(c, node + NODE_CHILDREN, &level->children);
}

/* The number of a name in a level; MIB_NUMBER_NONE: it is not in it. */
static unsigned char number_of(const struct contents *c, const struct level *level, const char *text)
{
	for (uint64_t i = 0; i < level->cnt && i < MIB_NUMBER_NONE; i++) {
		uint64_t node = level->children + i * NODE_SIZE, named, name;

		if (!contents_word(c, node, &named) || named != 1 ||
		    !contents_word(c, node + NODE_NAME, &name))
			return MIB_NUMBER_NONE;
		if (contents_is_text(c, name, text))
			return (unsigned char)i;
	}
	return MIB_NUMBER_NONE;
}

/* The first level has both an arena and arenas; an arena's has purge, and dss since 3.0. */
static void take_level(const struct contents *c, const struct level *level, struct mallctl_numbers *n)
{
	if (number_of(c, level, "arenas") != MIB_NUMBER_NONE)
		n->arena = number_of(c, level, "arena");
	if (number_of(c, level, "purge") == MIB_NUMBER_NONE || number_of(c, level, "dss") == MIB_NUMBER_NONE)
		return;
	for (int i = CONTROL_PURGE; i < CONTROL_CNT; i++)
		n->control[i] = number_of(c, level, control_names[i]);
}

int mallctl_numbers(const struct object *obj, struct mallctl_numbers *n)
{
	struct contents c;
	struct level level;
	int ret = contents_read(obj, CONTENTS_MAX, &c);

	memset(n, MIB_NUMBER_NONE, sizeof(*n));
	if (ret)
		return ret;
	for (size_t i = 0; i < c.cnt; i++) {
		const struct contents_range *r = &c.v[i];

		for (uint64_t at = -r->start & 7; at + NODE_SIZE <= r->len; at += 8)
			if (read_level(&c, r->start + at, &level))
				take_level(&c, &level, n);
	}
	contents_free(&c);
	return n->arena == MIB_NUMBER_NONE || n->control[CONTROL_PURGE] == MIB_NUMBER_NONE ? -ENOENT : 0;
}
