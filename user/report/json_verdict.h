/* The verdict (verdict/verdict.h), for report/json.c. */
#ifndef ALLOCTRACE_REPORT_JSON_VERDICT_H
#define ALLOCTRACE_REPORT_JSON_VERDICT_H

#include "report/json_tree.h"
#include "picture/snapshot.h"

void json_verdict(struct json *j, cJSON *parent, const struct snapshot *s);

#endif
