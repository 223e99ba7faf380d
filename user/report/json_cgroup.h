/* A cgroup's memory in JSON, for report/json.c and report/check_json.c. */
#ifndef ALLOCTRACE_REPORT_JSON_CGROUP_H
#define ALLOCTRACE_REPORT_JSON_CGROUP_H

#include "report/json_tree.h"
#include "picture/snapshot.h"
#include "target/cgroup.h"

/* Its figures and events, into an object; without a limit one is "max", what is not known is null. */
void json_cgroup_memory(struct json *j, cJSON *o, const struct cgroup_memory *memory);
/* A count or size that may be CGROUP_UNKNOWN, which is null, or CGROUP_NO_LIMIT, "max". */
void json_cgroup_figure(struct json *j, cJSON *parent, const char *name, uint64_t value);
/* "cgroup" in parent: an object, or null. */
void json_cgroup(struct json *j, cJSON *parent, const struct cgroup_view *view);

#endif
