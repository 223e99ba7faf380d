/*
 * speedscope's own file format (speedscope.app/file-format-schema.json): one JSON object with all
 * frames once, and a profile of the type "sampled" for each weight that is known. Streamed: what it
 * takes of memory is the stacks as numbers, 4 bytes a frame.
 */
#ifndef ALLOCTRACE_REPORT_SPEEDSCOPE_H
#define ALLOCTRACE_REPORT_SPEEDSCOPE_H

#include <stdio.h>

#include "picture/snapshot.h"

/* 0, or −errno. */
int report_speedscope(FILE *out, const struct snapshot *s);

#endif
