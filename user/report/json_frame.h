/* A frame of a stack, as JSON: its text. */
#ifndef ALLOCTRACE_REPORT_JSON_FRAME_H
#define ALLOCTRACE_REPORT_JSON_FRAME_H

#include "report/json_tree.h"
#include "stack/frame.h"

void json_frame(struct json *j, cJSON *stack, const struct frame_name *frame);

#endif
