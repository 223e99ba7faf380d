/*
 * The one snapshot of a picture that text and exports show: the process's own where there was only
 * ever one, else the sum of all (total.h) with a row each.
 */
#ifndef ALLOCTRACE_PICTURE_WHOLE_H
#define ALLOCTRACE_PICTURE_WHOLE_H

#include "picture/picture.h"

struct whole;

struct whole *whole_new(void);        /* NULL: no memory */
void whole_free(struct whole *whole); /* NULL-safe */

/* Valid until the next call, or as long as the picture. 0 or −ENOMEM. */
int whole_of(struct whole *whole, const struct picture *picture, const struct snapshot **s);
/* A picture is done with: what ended in it stays in later sums, and rates begin anew. */
void whole_passed(struct whole *whole, const struct picture *picture);
/* One of its processes alone, with what is said of all: the cgroup. Valid until the next call. */
const struct snapshot *whole_part(struct whole *whole, const struct picture *picture, size_t i);

#endif
