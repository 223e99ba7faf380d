/* What a tracer consists of: tracer.c attaches and takes records in, tracer_view.c tells what is known by then. */
#ifndef ALLOCTRACE_PROBE_TRACER_STATE_H
#define ALLOCTRACE_PROBE_TRACER_STATE_H

#include <pthread.h>

#include "base/map.h"
#include "probe/attached.h"
#include "probe/cost.h"
#include "probe/functions.h"
#include "probe/gates.h"
#include "probe/missing.h"
#include "probe/plans.h"
#include "probe/slicer.h"
#include "probe/unwind_tables.h"
#include "probe/watch.h"

struct tracer {
	const struct log *log;
	struct tracer_options options;
	struct feature feature;
	struct programs *programs;
	struct functions *functions;
	struct plans *plans;
	struct missing *missing;      /* of no process in particular */
	struct unwind_tables *tables; /* NULL: no stacks are taken */
	struct attached_context context;
	struct early_context early;
	struct map processes;    /* pid → struct attached */
	struct attached *newest; /* whose events came last; NULL: look it up */
	pid_t newest_pid;
	unsigned lost_probes; /* of processes that have ended */
	struct ring_buffer *ring;
	struct watch watch;
	struct slicer *slicer; /* NULL: there is no budget */
	pthread_mutex_t lock;  /* of the slicer's processes */
	struct keeper *keeper; /* of all links to targets and to children of ours */
	struct probe_cost cost;
	int epoll_fd, timer_fd;
	uint64_t malformed;
	uint64_t young_cnt,
		young_last_ns;   /* children that were recorded from their fork on; when the last came */
	uint64_t silent_charged; /* hits without a record that were charged to processes */
	unsigned batch_cnt;      /* records of the batch being consumed */
	void (*fn)(const struct event *ev, void *arg);
	void *arg;
};

/* NULL: it is not attached to. */
struct attached *tracer_attached(struct tracer *t, pid_t pid);

#endif
