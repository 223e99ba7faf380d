/* `alloctrace attach PID,…`: watch running processes. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "command/attach.h"
#include "command/command.h"
#include "command/host_pids.h"
#include "command/options.h"
#include "command/publish.h"
#include "command/watch.h"
#include "command/watch_options.h"
#include "probe/tracer.h"
#include "target/process.h"

/*
 * Without the privilege nothing of what attach is for can be had; where only the kernel
 * lacks something, the heap is still watched. False: give up.
 */
static bool open_tracer(const struct options *options, const struct log *log, struct tracer **tracer)
{
	struct error err;
	struct tracer_options wanted = watch_tracer_options(options);
	int rc = tracer_open(log, &wanted, tracer, &err);

	if (rc)
		log_warn(log, "%s", err.text);
	return rc != -EPERM && rc != -EACCES;
}

/* A lone process that cannot be watched is said before anything is loaded into the kernel. */
static int try_process(pid_t pid, struct error *err)
{
	struct process process;
	int rc = process_open(pid, &process, err);

	if (!rc)
		process_close(&process);
	return rc;
}

static int choose(struct options *options, struct watch_target *target, struct error *err)
{
	const struct choice_names names = {
		.pids = &options->pids,
		.comm = options->comm,
		.cgroup = options->cgroup,
		.unit = options->unit,
		.descendants = options->follow,
	};
	int rc = host_pids(options, err) ?: choice_open(&names, &target->choice, err);

	if (rc || options->pids.cnt != 1)
		return rc;
	target->pid = options->pids.v[0];
	return try_process(target->pid, err);
}

int attach_for(struct options *options, const struct audience *audience, void *context)
{
	struct log log = {.out = stderr, .verbose = options->verbose};
	struct watch_target target = {.audience = audience, .audience_context = context};
	int status = STATUS_FAILED, signal_fd;
	struct error err;

	if (choose(options, &target, &err)) {
		log_warn(&log, "%s", err.text);
		choice_free(target.choice);
		return STATUS_FAILED;
	}
	signal_fd = watch_block_signals();
	if (open_tracer(options, &log, &target.tracer))
		status = watch(options, &target, signal_fd, &log);
	tracer_free(target.tracer);
	choice_free(target.choice);
	close(signal_fd);
	return status;
}

int command_attach(int argc, char **argv)
{
	struct options options;
	int status = options_parse_attach(argc, argv, &options);

	return status == OPTIONS_GO ? attach_for(&options, &publish_audience, NULL) : status;
}
