/*
 * Rows of processes that have ended, for the last report of many: figures alone, copied, the
 * largest few, however many come and go.
 */
#ifndef ALLOCTRACE_PICTURE_ENDED_ROWS_H
#define ALLOCTRACE_PICTURE_ENDED_ROWS_H

#include "picture/snapshot.h"

#define ENDED_ROWS_MAX 30

struct ended_rows;

struct ended_rows *ended_rows_new(void);        /* NULL: no memory */
void ended_rows_free(struct ended_rows *rows);  /* NULL-safe */
/* ended: its final snapshot. It takes the place of the one with the least RSS, if there is no other. */
void ended_rows_keep(struct ended_rows *rows, const struct snapshot *ended);
/* How many; *v: of each what a row shows, without sites, allocators and findings. Valid until the next keep. */
size_t ended_rows_list(const struct ended_rows *rows, const struct snapshot *const **v);

#endif
