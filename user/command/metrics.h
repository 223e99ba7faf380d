/* --prometheus FILE: metrics of each picture in a file that lives as long as the watch. */
#ifndef ALLOCTRACE_COMMAND_METRICS_H
#define ALLOCTRACE_COMMAND_METRICS_H

#include "base/log.h"
#include "picture/picture.h"

struct metrics;

/*
 * Tries the place, takes away what is there, and says now what is wrong with it: NULL then, or without memory. name and log
 * must outlive it.
 */
struct metrics *metrics_new(const char *name, const struct log *log);
/* Removes the file: its figures are true no longer. NULL-safe. */
void metrics_free(struct metrics *metrics);
/* A failure is said once, until it works again. */
void metrics_write(struct metrics *metrics, const struct picture *picture);

#endif
