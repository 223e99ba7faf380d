/* What allocation events tell, as JSON. */
#ifndef ALLOCTRACE_REPORT_JSON_ALLOCS_H
#define ALLOCTRACE_REPORT_JSON_ALLOCS_H

#include "report/json_tree.h"
#include "picture/snapshot.h"

/* Adds "allocs" to parent; null without allocation events. */
void json_allocs(struct json *j, cJSON *parent, const struct snapshot *s);
/* Adds "freed" to a window. */
void json_window_freed(struct json *j, cJSON *parent, const struct snapshot *s,
		       const struct window_finding *window);

#endif
