/* Marks as JSON, for report/json.c. */
#ifndef ALLOCTRACE_REPORT_JSON_MARKS_H
#define ALLOCTRACE_REPORT_JSON_MARKS_H

#include "report/json_tree.h"
#include "picture/snapshot.h"

/* "marks", "marks_total", and "mark_kinds": null but in the final object, which has all marks. */
void json_marks(struct json *j, cJSON *parent, const struct snapshot *s);

#endif
