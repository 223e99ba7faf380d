/* The allocators of a snapshot as JSON: what heap/state.h and heap/walk.h know. */
#ifndef ALLOCTRACE_REPORT_JSON_HEAP_H
#define ALLOCTRACE_REPORT_JSON_HEAP_H

#include "heap/state.h"
#include "report/json_tree.h"

/* Adds "allocators" to parent. */
void json_allocators(struct json *j, cJSON *parent, const struct heap_state *state);

#endif
