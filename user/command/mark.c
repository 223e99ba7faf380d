/* `alloctrace mark PID TEXT`: a moment of a watched process gets a name, from a script's line between two
 * units of work. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/printable.h"
#include "command/command.h"
#include "command/host_pids.h"
#include "command/mark_folder.h"
#include "command/mark_wire.h"
#include "command/options.h"

/* A tracer looks around several times a second, but may be busy with a large batch. */
#define REPLY_NS (MARK_WAIT_NS + 3000000000ULL)

/* All tracers that listen are asked: several may watch the process. */
struct asking {
	struct mark_request request;
	uint64_t deadline_ns;
	unsigned noted, unread, silent;
	struct mark_reply refused; /* version 0: nobody has */
};

static void fill_text(char *field, size_t size, const char *text)
{
	char whole[4 * MARK_TEXT_MAX + 1];

	/* Longer ones are cut; in between to whole characters. */
	snprintf(whole, sizeof(whole), "%s", text);
	printable(field, size, whole);
}

static bool wait_for(int fd, uint64_t deadline_ns)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	uint64_t now = clock_monotonic_ns();

	return poll(&ready, 1, now < deadline_ns ? (int)((deadline_ns - now) / 1000000) : 0) == 1;
}

static bool exchange(const struct asking *asking, int fd, struct mark_reply *answer)
{
	bool got = send(fd, &asking->request, sizeof(asking->request), MSG_NOSIGNAL) ==
			   sizeof(asking->request) &&
		   wait_for(fd, asking->deadline_ns) &&
		   recv(fd, answer, sizeof(*answer), 0) == sizeof(*answer) &&
		   answer->version == MARK_WIRE_VERSION;

	answer->why[sizeof(answer->why) - 1] = '\0';
	return got;
}

static bool ask(int fd, void *arg)
{
	struct asking *asking = arg;
	struct mark_reply answer = {.version = 0};

	if (!exchange(asking, fd, &answer))
		asking->silent++;
	else if (answer.outcome == MARK_REFUSED)
		asking->refused = answer;
	asking->noted += answer.version && (answer.outcome == MARK_DONE || answer.outcome == MARK_UNREAD);
	asking->unread += answer.version && answer.outcome == MARK_UNREAD;
	close(fd);
	return true;
}

static int say(const struct log *log, const struct options *options, const struct asking *asking,
	       unsigned cnt)
{
	char why[ERROR_TEXT_MAX];

	if (asking->noted) {
		log_note(log, "noted by %u tracer%s%s", asking->noted, asking->noted > 1 ? "s" : "",
			 asking->unread ? "; the reading of the heap comes later" : "");
		return STATUS_DONE;
	}
	if (asking->refused.version)
		log_warn(log, "%s", printable(why, sizeof(why), asking->refused.why));
	else if (asking->silent)
		log_warn(log,
			 "no answer from %u of the %u alloctrace that run here: the mark of process %d may "
			 "be lost",
			 asking->silent, cnt, options->pid);
	else
		log_warn(log, "no alloctrace watches process %d: start `alloctrace attach %d` first",
			 options->pid, options->pid);
	return STATUS_FAILED;
}

int command_mark(int argc, char **argv)
{
	struct options options;
	struct log log = {.out = stderr};
	struct asking asking = {.request.version = MARK_WIRE_VERSION};
	struct error err;
	unsigned cnt;
	int status = options_parse_mark(argc, argv, &options);

	if (status != OPTIONS_GO)
		return status;
	log.verbose = options.verbose;
	if (host_pids(&options, &err)) {
		log_warn(&log, "%s", err.text);
		return STATUS_FAILED;
	}
	asking.request.pid = options.pid;
	asking.request.wait = !options.no_wait;
	fill_text(asking.request.kind, sizeof(asking.request.kind), options.kind);
	fill_text(asking.request.text, sizeof(asking.request.text), options.text);
	asking.deadline_ns = clock_monotonic_ns() + REPLY_NS;
	cnt = mark_folder_each(MARK_FOLDER, ask, &asking);
	return say(&log, &options, &asking, cnt);
}
