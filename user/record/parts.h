/*
 * The parts of a snapshot and of what is said of several together, for both directions
 * (record/codec.h). What is read points into the codec's arena and dictionary. Sites, of objects too, are
 * not among them (record/site_changes.h).
 */
#ifndef ALLOCTRACE_RECORD_PARTS_H
#define ALLOCTRACE_RECORD_PARTS_H

#include "record/codec.h"
#include "picture/picture.h"

/* All but v and its processes. */
void code_picture(struct codec *c, struct picture *p);
/*
 * A snapshot without the sites of its allocs, its cgroup, history and processes. Writing, s is a
 * copy that may be changed; what its pointers lead to is not.
 */
void code_snapshot(struct codec *c, struct snapshot *s);
void code_heap(struct codec *c, struct heap_state *h);   /* record/heap_parts.c */
void code_findings(struct codec *c, struct snapshot *s); /* record/finding_parts.c */

#endif
