/*
 * What all sessions of a watch have in common: the code that their processes run, and the names
 * that reports show it by.
 */
#ifndef ALLOCTRACE_COMMAND_NAMING_H
#define ALLOCTRACE_COMMAND_NAMING_H

#include <stdbool.h>

#include "base/log.h"
#include "stack/location.h"
#include "stack/names.h"

struct naming { /* all zero: not started, and may be ended */
	struct locations *locations;
	struct names *names;
};

/* log must outlive it, and is shown the progress. −ENOMEM, and naming_end is not needed. */
int naming_start(struct naming *naming, const struct log *log);
/* When the sessions have been closed. */
void naming_end(struct naming *naming);

/* Around the making of one report, of however many snapshots. final: it may wait longer. */
void naming_report_begins(const struct naming *naming, bool final);
void naming_report_ends(const struct naming *naming);

#endif
