/*
 * Keeps the kernel side able to unwind the stacks of the traced processes: the rows of every
 * object that they have mapped executable, once, and where each has it. Rows are only ever added, so that what a
 * program reads meanwhile stays true; an object mapped again finds its own. Budget: 18 MiB (bpf/unwind.h), some 1.6
 * MiB of it for a Python process of 30 modules.
 */
#ifndef ALLOCTRACE_PROBE_UNWIND_TABLES_H
#define ALLOCTRACE_PROBE_UNWIND_TABLES_H

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/log.h"
#include "probe/missing.h"

struct unwind_tables;

/* The maps of bpf/unwind.bpf.h, as file descriptors of the caller's. */
struct unwind_maps {
	int rows, pages, spaces, processes;
	uint32_t space_cnt; /* as many as the map has: address spaces that can be told at once */
};

/* The pointers and descriptors must outlive it. −ENOMEM and what mmap says. */
int unwind_tables_new(const struct log *log, const struct unwind_maps *maps, struct missing *missing,
		      struct unwind_tables **tables, struct error *err);
void unwind_tables_free(struct unwind_tables *tables); /* NULL-safe */
/*
 * Reads pid's mappings and publishes them, after the rows of objects that are new. What has
 * no table is noted in words. −ESRCH when the process is gone, −ENOSPC when too many address
 * spaces are told.
 */
int unwind_tables_update(struct unwind_tables *tables, pid_t pid, struct error *err);
/* The process has ended. */
void unwind_tables_forget(struct unwind_tables *tables, pid_t pid);

#endif
