/* `alloctrace run -- COMMAND`: watch a command from its first instruction on. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command/command.h"
#include "command/options.h"
#include "command/publish.h"
#include "command/watch.h"
#include "command/watch_options.h"
#include "probe/tracer.h"
#include "target/launch.h"

/* As a shell gives it: the status, or 128 + the signal. */
static int shell_status(int wait_status)
{
	return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

/* The probes are in place: the child, which was held, goes. */
static void release(struct watch_target *target)
{
	launch_release(target->pid);
	target->on_ready = NULL;
}

/* Its end is the child's own, whatever we fail at. */
static int watch_child(const struct options *options, pid_t pid, struct tracer *tracer, int signal_fd,
		       const struct log *log)
{
	struct pid_list pids = {.v = {pid}, .cnt = 1};
	struct watch_target target = {
		.pid = pid,
		.tracer = tracer,
		.is_child = true,
		.wait_status = -1,
		.on_ready = release,
		.audience = &publish_audience,
	};
	struct error err;
	int status = STATUS_FAILED;

	if (choice_open(&(struct choice_names){.pids = &pids}, &target.choice, &err))
		log_warn(log, "%s", err.text);
	else
		status = watch(options, &target, signal_fd, log);
	choice_free(target.choice);
	if (target.on_ready) { /* it never came to watching */
		release(&target);
		waitpid(pid, &target.wait_status, 0);
	}
	/* A watch that ended before the child (a duration, a signal) leaves it running. */
	return target.wait_status == -1 ? status : shell_status(target.wait_status);
}

int command_run(int argc, char **argv)
{
	struct log log = {.out = stderr};
	struct tracer *tracer = NULL;
	struct tracer_options wanted;
	struct options options;
	struct error err;
	int status, signal_fd, wait_status;
	pid_t pid;

	status = options_parse_run(argc, argv, &options);
	if (status != OPTIONS_GO)
		return status;
	log.verbose = options.verbose;
	wanted = watch_tracer_options(&options);
	status = tracer_open(&log, &wanted, &tracer, &err);
	if (status)
		log_warn(&log, "%s", err.text);
	if (status == -EPERM || status == -EACCES)
		return STATUS_FAILED;
	signal_fd = watch_block_signals();
	status = launch_held(options.command, &pid, &wait_status, &err);
	if (status == -ECHILD) {
		log_warn(&log, "%s", err.text);
		status = shell_status(wait_status);
	} else if (status) {
		log_warn(&log, "%s", err.text);
		status = status == -ENOENT ? 127 : 126; /* as a shell says it */
	} else {
		status = watch_child(&options, pid, tracer, signal_fd, &log);
	}
	tracer_free(tracer);
	close(signal_fd);
	return status;
}
