/* `alloctrace attach PID`: watch a running process. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "command/command.h"
#include "command/options.h"
#include "command/watch.h"
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

	if (!rc) {
		rc = tracer_attach(*tracer, options->pid, &err);
		if (rc) {
			tracer_free(*tracer);
			*tracer = NULL;
		}
	}
	if (rc)
		log_warn(log, "%s", err.text);
	return rc != -EPERM && rc != -EACCES && rc != -ESRCH;
}

int command_attach(int argc, char **argv)
{
	struct log log = {.out = stderr};
	struct watch_target target = {0};
	struct options options;
	struct process process;
	struct error err;
	int status, signal_fd;

	status = options_parse_attach(argc, argv, &options);
	if (status != OPTIONS_GO)
		return status;
	log.verbose = options.verbose;
	if (process_open(options.pid, &process, &err)) {
		log_warn(&log, "%s", err.text);
		return STATUS_FAILED;
	}
	target.process = &process;
	signal_fd = watch_block_signals();
	status = STATUS_FAILED;
	if (open_tracer(&options, &log, &target.tracer))
		status = watch(&options, &target, signal_fd, &log);
	tracer_free(target.tracer);
	close(signal_fd);
	process_close(&process);
	return status;
}
