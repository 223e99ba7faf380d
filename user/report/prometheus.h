/*
 * A picture in Prometheus's text format (exposition_formats.md, version 0.0.4), for node_exporter's
 * textfile collector: series a process (labels pid and comm), with those of its allocators, and a few
 * of the watch as a whole (label tracer). No series a site: their number is bounded by that of the
 * processes, a good fifty each. What is not known has no sample.
 */
#ifndef ALLOCTRACE_REPORT_PROMETHEUS_H
#define ALLOCTRACE_REPORT_PROMETHEUS_H

#include <stdio.h>
#include <sys/types.h>

#include "picture/picture.h"

/* tracer: our PID, which tells several watches of one machine apart. 0, or −errno of the stream. */
int report_prometheus(FILE *out, const struct picture *picture, pid_t tracer);

#endif
