/* `alloctrace report RECORDING`: what a watch has seen, later and elsewhere. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/replace.h"
#include "base/units.h"
#include "command/command.h"
#include "command/options.h"
#include "command/publish.h"
#include "record/replay.h"
#include "report/event_json.h"
#include "verdict/trend.h"

#define PROGRESS_NS (NSEC_PER_SEC / 4)

struct reading {
	const struct options *options;
	const struct log *log;
	struct replay *replay;
	struct replay *
		named; /* read to its end before: names come after the events that they are for. NULL: none */
	struct publish *publish;
	FILE *out;
	int output;       /* 0, or what became of it: −errno */
	uint64_t told_ns; /* when progress was shown */
};

static void show_progress(struct reading *r)
{
	uint64_t now = clock_monotonic_ns();

	if (now - r->told_ns < PROGRESS_NS)
		return;
	r->told_ns = now;
	log_progress(r->log, "reading %s: %.0f %%", r->options->recording, 100 * replay_progress(r->replay));
}

/* A million sites that nobody looks at need not be put in order. */
static int read_sites(struct reading *r, enum publish_sites which)
{
	static const struct site_choice large = {.most = TREND_SITES, .least = TREND_SITE_MIN};

	if (which == PUBLISH_NO_SITES)
		return 0;
	return which == PUBLISH_ALL_SITES ? replay_sites(r->replay, r->options->top)
					  : replay_largest_sites(r->replay, &large);
}

/* Ends are always looked at: what they leave is in the sums of all later pictures. */
static int take(struct reading *r, const struct picture *picture)
{
	bool passes = picture->kind == PICTURE_INTERVAL && !r->options->all;
	int rc = 0;

	show_progress(r);
	if (passes) {
		rc = read_sites(r, publish_wants_sites(r->publish, picture));
		if (!rc)
			publish_pass(r->publish, picture);
		return rc;
	}
	rc = replay_sites(r->replay, r->options->top);
	log_progress(r->log, NULL);
	return rc ? rc : publish_picture(r->publish, picture);
}

/* 1: a failure that has been said; else 0, or −errno of the output. */
static int read_all(struct reading *r)
{
	struct picture picture;
	struct error err;
	int rc = 0;

	while (!r->output && (rc = replay_next(r->replay, &picture, &err)) > 0)
		if (!r->options->events)
			r->output = take(r, &picture);
	log_progress(r->log, NULL);
	if (r->output || rc == 0)
		return r->output;
	log_warn(r->log, "%s", err.text);
	return 1;
}

static void put_event(const struct event_row *row, void *reading)
{
	struct reading *r = reading;

	struct event_row named = *row;

	show_progress(r);
	named.stack = replay_stack(r->named, row->stack);
	if (!r->output)
		r->output = report_event_json(r->out, &named);
}

static int read_names(struct reading *r)
{
	struct picture picture;
	struct error err;
	int rc = replay_open(r->options->recording, REPLAY_MEMORY, &r->named, &err);

	while (!rc && (rc = replay_next(r->named, &picture, &err)) > 0)
		rc = 0;
	if (rc)
		log_warn(r->log, "%s", err.text);
	return rc ? 1 : 0;
}

/* 0: output is there, in *out; else it was said why not. */
static int open_output(const struct options *options, const struct log *log, struct replace *file)
{
	int rc = 0;

	*file = (struct replace){.file = NULL};
	if (options->output)
		rc = replace_begin(file, options->output);
	if (rc)
		log_warn(log, "cannot write %s: %s", options->output, strerror(-rc));
	else if (!options->output && forms[options->form].is_binary && isatty(STDOUT_FILENO)) {
		log_warn(log, "%s is nothing for a terminal: give a file with --output, or a pipe",
			 forms[options->form].name);
		rc = -EINVAL;
	}
	return rc;
}

static int close_output(const struct options *options, const struct log *log, struct replace *file, int rc)
{
	if (!options->output)
		return rc > 0 ? STATUS_FAILED : command_finish_output(rc);
	if (!rc)
		rc = replace_commit(file);
	else
		replace_abandon(file);
	if (rc < 0)
		log_warn(log, "cannot write %s: %s", options->output, strerror(-rc));
	return rc ? STATUS_FAILED : STATUS_DONE;
}

static int read_recording(struct reading *r)
{
	int rc = 0;

	clock_set_lead(replay_lead(r->replay));
	if (r->options->events) {
		rc = read_names(r);
		replay_listen(r->replay, put_event, r);
	}
	return rc ? rc : read_all(r);
}

static int report(struct reading *r)
{
	struct replace file;
	int rc = open_output(r->options, r->log, &file);

	if (rc)
		return STATUS_FAILED;
	r->out = file.file ? file.file : stdout;
	r->publish = publish_new(r->options, r->out, NULL, r->log);
	rc = r->publish ? read_recording(r) : 1; /* it has said why */
	publish_free(r->publish);
	replay_close(r->named);
	return close_output(r->options, r->log, &file, rc);
}

int command_report(int argc, char **argv)
{
	struct log log = {.out = stderr};
	struct options options;
	struct reading reading = {.options = &options, .log = &log, .told_ns = clock_monotonic_ns()};
	struct error err;
	int status = options_parse_report(argc, argv, &options);

	if (status != OPTIONS_GO)
		return status;
	log.verbose = options.verbose;
	if (replay_open(options.recording, REPLAY_MEMORY, &reading.replay, &err)) {
		log_warn(&log, "%s", err.text);
		return STATUS_FAILED;
	}
	if (replay_remark(reading.replay))
		log_warn(&log, "%s: %s", options.recording, replay_remark(reading.replay));
	status = report(&reading);
	replay_close(reading.replay);
	return status;
}
