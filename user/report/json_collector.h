/* Python's garbage collector in JSON: `gc` of an object. */
#ifndef ALLOCTRACE_REPORT_JSON_COLLECTOR_H
#define ALLOCTRACE_REPORT_JSON_COLLECTOR_H

#include "report/json_tree.h"
#include "picture/snapshot.h"

/* null where collections are not seen. */
void json_collector(struct json *j, cJSON *parent, const struct snapshot *s);

#endif
