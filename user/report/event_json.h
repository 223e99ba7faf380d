/* Events of a recording, one JSON object a line (the man page documents the fields). */
#ifndef ALLOCTRACE_REPORT_EVENT_JSON_H
#define ALLOCTRACE_REPORT_EVENT_JSON_H

#include <stdio.h>

#include "event/row.h"

/* 0, −ENOMEM, or −errno of the stream. Not flushed. */
int report_event_json(FILE *out, const struct event_row *row);

#endif
