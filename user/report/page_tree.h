/*
 * Stacks as one tree of frames, which is how a flame graph shows them: built from all stacks at once,
 * its nodes in the order of a walk down (a parent before its children). Frames are one where all
 * that is shown of them is the same.
 */
#ifndef ALLOCTRACE_REPORT_PAGE_TREE_H
#define ALLOCTRACE_REPORT_PAGE_TREE_H

#include <stdint.h>

#include "stack/stacks.h"

struct page_tree {
	/* Frames by number. */
	struct frame_name *frames;
	uint32_t frame_cnt;
	/* Nodes by number; 0 is the root, without a frame. */
	uint32_t *parents, *node_frames;
	uint32_t node_cnt;
	uint32_t *leaves; /* by the number of a stack: its innermost node */
	struct page_tree_work *work;
};

/* What there is no memory for is said by page_tree_build. */
void page_tree_init(struct page_tree *tree);
void page_tree_free(struct page_tree *tree);
/* Adds a stack, whose names are known, and numbers it, from 0. NULL: "[no stack]". */
uint32_t page_tree_add(struct page_tree *tree, const struct stack *stack);
/* The same of a frame that stands for itself; text outlives the tree. */
uint32_t page_tree_add_text(struct page_tree *tree, const char *text);
/* Makes the nodes, when all stacks have been added. 0 or −ENOMEM. */
int page_tree_build(struct page_tree *tree);

#endif
