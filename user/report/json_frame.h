/* Stacks in JSON: an array of the frames' texts, outermost first. */
#ifndef ALLOCTRACE_REPORT_JSON_FRAME_H
#define ALLOCTRACE_REPORT_JSON_FRAME_H

#include "report/json_tree.h"
#include "stack/stacks.h"

/* stack may be NULL: an empty array. */
void json_stack(struct json *j, cJSON *parent, const struct stack *stack);

#endif
