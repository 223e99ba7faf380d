/*
 * The processes that descend from given ones now, by the parents that /proc names: a child
 * whose parent has ended belongs to its reaper and is not found.
 */
#ifndef ALLOCTRACE_TARGET_DESCENDANTS_H
#define ALLOCTRACE_TARGET_DESCENDANTS_H

#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

/* *found is the caller's to free, those of `of` not in it, in no order; NULL where there are none. */
int descendants_find(const pid_t *of, size_t of_cnt, pid_t **found, size_t *cnt, struct error *err);

#endif
