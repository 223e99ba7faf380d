#include "command/publish.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/replace.h"
#include "command/metrics.h"
#include "command/part_histories.h"
#include "command/push.h"
#include "record/recorder.h"
#include "report/form.h"
#include "picture/history.h"
#include "picture/whole.h"
#include "verdict/news.h"
#include "verdict/trend.h"

struct publish {
	const struct options *options;
	FILE *out;
	bool colour;
	const struct naming *naming;
	const struct log *log;
	struct whole *whole;
	struct trends *trends;          /* of each process, and of the whole */
	struct verdict_news news;       /* what text has said */
	struct metrics *metrics;        /* NULL: not asked for */
	struct recorder *recorder;      /* NULL: nothing is recorded */
	struct history *history;        /* of the whole; NULL: nothing that is asked for shows it */
	struct part_histories parts;    /* with files apart, where there is one of the whole */
	struct push *push;              /* NULL: nothing is pushed */
	struct replace files[FORM_CNT]; /* by form; no stream: not asked for */
};

/* What cannot be made at all is said before anything is begun. */
static int check_forms(const struct publish *p)
{
	for (int i = 0; i < FORM_CNT; i++) {
		bool asked = p->options->files[i] || p->options->form == (enum form_number)i;
		const char *lacks = asked && forms[i].lacks ? forms[i].lacks() : NULL;

		if (!lacks)
			continue;
		log_warn(p->log, "no %s: %s", forms[i].name, lacks);
		return -ENOTSUP;
	}
	return 0;
}

/* With files apart it is not known yet whose: the folder is tried by the name without a PID. */
static int open_files(struct publish *p)
{
	int rc = 0;

	for (int i = 0; i < FORM_CNT && !rc; i++) {
		const char *name = p->options->files[i];

		rc = name ? replace_begin(&p->files[i], name) : 0;
		if (rc)
			log_warn(p->log, "cannot write %s: %s", name, strerror(-rc));
	}
	return rc;
}

static bool wants_history(const struct options *options)
{
	bool wants = forms[options->form].needs_history;

	for (int i = 0; i < FORM_CNT; i++)
		wants |= options->files[i] && forms[i].needs_history;
	return wants;
}

/* 0, or −errno after a line that says it. */
static int make_parts(struct publish *p)
{
	p->whole = whole_new();
	p->trends = trends_new();
	if (wants_history(p->options))
		p->history = history_new();
	if (!p->whole || !p->trends || (!p->history && wants_history(p->options))) {
		log_warn(p->log, "no memory for reports");
		return -ENOMEM;
	}
	if (p->options->prometheus)
		p->metrics = metrics_new(p->options->prometheus, p->log);
	return p->options->prometheus && !p->metrics ? -EIO : 0;
}

struct publish *publish_new(const struct options *options, FILE *out, const struct naming *naming,
			    const struct log *log)
{
	struct publish *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	*p = (struct publish){.options = options, .out = out, .naming = naming, .log = log};
	p->colour = isatty(fileno(out));
	if (!make_parts(p) && !check_forms(p) && !open_files(p)) {
		/* What cannot be recorded or pushed is said; the watch is worth as much without. */
		if (naming && options->recording)
			p->recorder = recorder_open(options->recording, naming->names, log);
		if (naming && options->push)
			p->push = push_new(options->push, options->push_interval_ns, log);
		return p;
	}
	publish_free(p);
	return NULL;
}

void publish_free(struct publish *p)
{
	if (!p)
		return;
	for (int i = 0; i < FORM_CNT; i++)
		replace_abandon(&p->files[i]);
	metrics_free(p->metrics);
	recorder_close(p->recorder);
	history_free(p->history);
	trends_free(p->trends);
	part_histories_free(&p->parts);
	push_free(p->push);
	whole_free(p->whole);
	free(p);
}

static void begin(const struct publish *p, bool final)
{
	if (p->naming)
		naming_report_begins(p->naming, final);
}

static void end(const struct publish *p)
{
	if (p->naming)
		naming_report_ends(p->naming);
}

static int write_form(const struct publish *p, FILE *out, enum form_number form, const struct snapshot *s)
{
	const struct form_options options = {
		.weight = p->options->weight,
		.colour = out == p->out && p->colour,
	};

	return forms[form].write(out, s, &options);
}

/* One process of the picture, with how it has come to be. */
static struct snapshot look_at_part(struct publish *p, const struct picture *picture, size_t i)
{
	struct snapshot s = *whole_part(p->whole, picture, i);

	s.trend = trends_add(p->trends, &s);
	return s;
}

/* The one snapshot of a picture, which is in the trend and the history from now on. */
static int look_at_whole(struct publish *p, const struct picture *picture, struct snapshot *s)
{
	const struct snapshot *shown;
	int rc = whole_of(p->whole, picture, &shown);

	if (rc)
		return rc;
	*s = *shown;
	s->trend = trends_add(p->trends, s);
	if (p->history)
		history_add(p->history, s);
	s->history = p->history;
	return 0;
}

static int put_part(struct publish *p, const struct picture *picture, size_t i, enum form_number form)
{
	const struct snapshot s = look_at_part(p, picture, i);

	return write_form(p, p->out, form, &s);
}

static bool is_news(struct publish *p, const struct snapshot *s)
{
	struct verdict verdict;

	verdict_make(s, &verdict);
	return verdict_news_add(&p->news, &verdict);
}

static int put_parts(struct publish *p, const struct picture *picture)
{
	struct snapshot whole;
	int rc = 0;

	if (p->history && picture->kind != PICTURE_ENDS)
		rc = look_at_whole(p, picture, &whole);
	for (size_t i = 0; i < picture->cnt && !rc; i++)
		rc = put_part(p, picture, i, FORM_JSON);
	return rc;
}

static int put_whole(struct publish *p, const struct picture *picture)
{
	struct snapshot s;
	int rc = look_at_whole(p, picture, &s);

	if (rc)
		return rc;
	s.verdict_is_news = p->options->form == FORM_TEXT && is_news(p, &s);
	return write_form(p, p->out, p->options->form, &s);
}

/* A black box is read after an accident; those that end as they should are counted. */
static int put_killed(struct publish *p, const struct picture *picture)
{
	int rc = 0;

	for (size_t i = 0; i < picture->cnt && !rc; i++)
		if (picture->v[i]->killed)
			rc = put_part(p, picture, i, FORM_TEXT);
	return rc;
}

static void report_failure(const struct publish *p, enum form_number form, int rc)
{
	log_warn(p->log, "cannot write %s: %s", p->options->files[form], strerror(-rc));
}

/* "FILE.4242" of a process that is shown apart. */
static int write_apart(struct publish *p, enum form_number form, const struct snapshot *s)
{
	struct replace file = {.file = NULL};
	char *name = NULL;
	int rc = asprintf(&name, "%s.%d", p->options->files[form], s->pid) < 0 ? -ENOMEM : 0;

	rc = rc ?: replace_begin(&file, name);
	rc = rc ?: write_form(p, file.file, form, s);
	if (rc)
		replace_abandon(&file);
	else
		rc = replace_commit(&file);
	if (rc)
		log_warn(p->log, "cannot write %s: %s", name ? name : p->options->files[form], strerror(-rc));
	free(name);
	return rc;
}

static int write_part(struct publish *p, enum form_number form, const struct snapshot *part)
{
	struct snapshot s = *part;

	s.history = part_histories_find(&p->parts, s.pid);
	return write_apart(p, form, &s);
}

static int write_parts(struct publish *p, const struct picture *picture)
{
	int rc = 0;

	for (int form = 0; form < FORM_CNT; form++) {
		for (size_t i = 0; p->files[form].file && i < picture->cnt; i++) {
			const struct snapshot s = look_at_part(p, picture, i);

			rc = write_part(p, form, &s) ?: rc;
		}
	}
	return rc;
}

/* Files of those that have ended; what their PIDs stand for later is another process. */
static void part_with(struct publish *p, const struct picture *ends)
{
	write_parts(p, ends);
	for (size_t i = 0; i < ends->cnt; i++)
		part_histories_forget(&p->parts, ends->v[i]->pid);
}

static int write_whole(struct publish *p, const struct snapshot *s)
{
	int ret = 0;

	for (int form = 0; form < FORM_CNT; form++) {
		int rc;

		if (!p->files[form].file)
			continue;
		rc = write_form(p, p->files[form].file, form, s) ?: replace_commit(&p->files[form]);
		if (rc)
			report_failure(p, form, rc);
		ret = rc ? rc : ret;
	}
	return ret;
}

static int put(struct publish *p, const struct picture *picture)
{
	if (p->options->form == FORM_JSON)
		return put_parts(p, picture);
	if (picture->kind != PICTURE_ENDS)
		return put_whole(p, picture);
	return p->options->form == FORM_TEXT ? put_killed(p, picture) : 0;
}

static void push_whole(struct publish *p, const struct picture *picture)
{
	const struct snapshot *s;

	if (!whole_of(p->whole, picture, &s))
		push_snapshot(p->push, s);
}

int publish_picture(struct publish *p, const struct picture *picture)
{
	int rc;

	clock_set_lead(picture->epoch_ns);
	for (size_t i = 0; p->options->apart && p->history && i < picture->cnt; i++)
		part_histories_add(&p->parts, picture->v[i]);
	begin(p, picture->kind != PICTURE_INTERVAL);
	for (size_t i = 0; i < picture->cnt; i++) /* also where one is shown alone only if it is killed */
		trends_add(p->trends, picture->v[i]);
	if (p->metrics && picture->kind == PICTURE_INTERVAL)
		metrics_write(p->metrics, picture);
	rc = put(p, picture);
	if (picture->kind == PICTURE_ENDS && p->options->apart)
		part_with(p, picture);
	if (p->recorder)
		recorder_picture(p->recorder, picture);
	if (p->push && picture->kind == PICTURE_INTERVAL && push_is_due(p->push, picture->time_ns))
		push_whole(p, picture);
	end(p);
	if (picture->kind == PICTURE_INTERVAL)
		trends_sweep(p->trends);
	whole_passed(p->whole, picture);
	return rc ? rc : fflush(p->out) ? -errno : 0;
}

void publish_event(struct publish *p, const struct event_row *row)
{
	if (p->recorder)
		recorder_event(p->recorder, row);
}

/* A sum is of all sites: what is large in it may be small in each. */
enum publish_sites publish_wants_sites(const struct publish *p, const struct picture *picture)
{
	bool one = picture->ever == 1 && picture->cnt == 1; /* it is the whole, too */
	bool wants = false;

	if (p->history || (!one && trends_keep(p->trends, 0, picture->time_ns)))
		return PUBLISH_ALL_SITES;
	for (size_t i = 0; i < picture->cnt && !wants; i++)
		wants = trends_keep(p->trends, picture->v[i]->pid, picture->v[i]->time_ns);
	return wants ? PUBLISH_LARGEST_SITES : PUBLISH_NO_SITES;
}

void publish_pass(struct publish *p, const struct picture *picture)
{
	enum publish_sites wants = publish_wants_sites(p, picture);
	struct snapshot whole;

	for (size_t i = 0; i < picture->cnt && wants; i++)
		trends_add(p->trends, picture->v[i]);
	if (wants == PUBLISH_ALL_SITES)
		look_at_whole(p, picture, &whole);
	whole_passed(p->whole, picture);
}

int publish_files(struct publish *p, const struct picture *final)
{
	struct snapshot s;
	int rc;

	begin(p, true);
	if (p->options->apart) {
		rc = write_parts(p, final);
	} else {
		rc = look_at_whole(p, final, &s) ?: write_whole(p, &s);
	}
	if (p->push)
		push_whole(p, final);
	end(p);
	return rc;
}

static void *audience_open(void *context, const struct options *options, const struct naming *naming,
			   const struct log *log)
{
	(void)context;
	return publish_new(options, stdout, naming, log);
}

static int audience_picture(void *self, const struct picture *picture)
{
	return publish_picture(self, picture);
}

static void audience_event(void *self, const struct event_row *row)
{
	publish_event(self, row);
}

static int audience_finish(void *self, const struct picture *final)
{
	return publish_files(self, final);
}

static void audience_close(void *self)
{
	publish_free(self);
}

const struct audience publish_audience = {
	.open = audience_open,
	.event = audience_event,
	.picture = audience_picture,
	.finish = audience_finish,
	.close = audience_close,
};
