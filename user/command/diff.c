/* `alloctrace diff A B`: what grew from one recording to another. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/replace.h"
#include "base/units.h"
#include "command/command.h"
#include "command/options.h"
#include "record/replay.h"
#include "report/diff.h"
#include "picture/whole.h"
#include "picture/with_objects.h"

#define PROGRESS_NS (NSEC_PER_SEC / 4)

/* A recording read to its end. */
struct recording {
	const char *name;
	struct replay *replay;
	struct whole *whole;
	struct with_objects with;
	struct diff_side side; /* its last picture as one */
};

static void recording_close(struct recording *r)
{
	with_objects_free(&r->with);
	whole_free(r->whole);
	replay_close(r->replay);
}

static void show_progress(const struct recording *r, const struct log *log, uint64_t *told_ns)
{
	uint64_t now = clock_monotonic_ns();

	if (now - *told_ns < PROGRESS_NS)
		return;
	*told_ns = now;
	log_progress(log, "reading %s: %.0f %%", r->name, 100 * replay_progress(r->replay));
}

/* What ended processes leave is in the sum; of the others the last picture counts. */
static int take(struct recording *r, const struct picture *picture)
{
	int rc = picture->kind == PICTURE_INTERVAL ? 0 : replay_sites(r->replay, 0);

	if (picture->kind != PICTURE_FINAL)
		whole_passed(r->whole, picture);
	else if (!rc)
		rc = whole_of(r->whole, picture, &r->side.snapshot)
			     ?: with_objects_make(&r->with, &r->side.snapshot);
	r->side.epoch_ns = picture->epoch_ns;
	return rc;
}

static int read_all(struct recording *r, const struct log *log, struct error *err)
{
	uint64_t told_ns = clock_monotonic_ns();
	struct picture picture;
	int rc;

	while (!r->side.snapshot && (rc = replay_next(r->replay, &picture, err)) > 0) {
		show_progress(r, log, &told_ns);
		if (take(r, &picture))
			return error_set(err, -ENOMEM, "out of memory reading %s", r->name);
	}
	if (r->side.snapshot || rc < 0)
		return r->side.snapshot ? 0 : rc;
	return error_set(err, -ENODATA, "cannot read %s: it ends before its first picture", r->name);
}

static int recording_open(struct recording *r, const char *name, const struct log *log, struct error *err)
{
	int rc;

	*r = (struct recording){.name = name, .side = {.name = name}};
	rc = replay_open(name, REPLAY_MEMORY, &r->replay, err);
	if (rc)
		return rc;
	if (replay_remark(r->replay))
		log_warn(log, "%s: %s", name, replay_remark(r->replay));
	r->whole = whole_new();
	rc = r->whole ? read_all(r, log, err) : error_set(err, -ENOMEM, "out of memory reading %s", name);
	log_progress(log, NULL);
	return rc;
}

static int write_to(FILE *out, const struct options *options, const struct recording *a,
		    const struct recording *b, struct error *err)
{
	const struct diff_options wanted = {
		.by = options->by,
		.weight = options->weight,
		.top = options->top,
		.colour = isatty(fileno(out)),
	};
	struct diff diff;
	int rc = diff_make(&diff, &a->side, &b->side, &wanted, err);

	if (rc)
		return rc;
	rc = diff_forms[options->diff_form].write(out, &diff);
	diff_free(&diff);
	return rc ? error_set(err, rc, "cannot write %s: %s", options->output ? options->output : "stdout",
			      strerror(-rc))
		  : 0;
}

/* Until here nothing was written: a diff that cannot be made leaves no file. */
static int write_file(const struct options *options, const struct recording *a, const struct recording *b,
		      struct error *err)
{
	struct replace file;
	int rc = replace_begin(&file, options->output);

	if (!rc) {
		rc = write_to(file.file, options, a, b, err);
		if (rc) {
			replace_abandon(&file);
			return rc;
		}
		rc = replace_commit(&file);
	}
	return rc ? error_set(err, rc, "cannot write %s: %s", options->output, strerror(-rc)) : 0;
}

static int compare(const struct options *options, const struct log *log, struct error *err)
{
	struct recording a, b = {.name = NULL};
	int rc = recording_open(&a, options->recording, log, err);

	rc = rc ?: recording_open(&b, options->second, log, err);
	if (!rc)
		rc = options->output ? write_file(options, &a, &b, err)
				     : write_to(stdout, options, &a, &b, err);
	recording_close(&a);
	recording_close(&b);
	return rc;
}

int command_diff(int argc, char **argv)
{
	struct log log = {.out = stderr};
	struct options options;
	struct error err;
	int status = options_parse_diff(argc, argv, &options);

	if (status != OPTIONS_GO)
		return status;
	log.verbose = options.verbose;
	status = compare(&options, &log, &err);
	if (status && status != -EPIPE)
		log_warn(&log, "%s", err.text);
	return status && status != -EPIPE ? STATUS_FAILED : command_finish_output(status);
}
