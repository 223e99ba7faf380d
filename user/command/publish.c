#include "command/publish.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/replace.h"
#include "command/cgroup_watch.h"
#include "report/ended_rows.h"
#include "report/total.h"

struct publish {
	const struct options *options;
	const struct watch_target *target;
	const struct naming *naming;
	const struct log *log;
	struct total *total;
	struct ended_rows *ended_rows;
	struct cgroup_watch *cgroup; /* NULL: none */
	struct replace folded;
	uint64_t started_ns, reported_ns;
	uint64_t first;      /* how many were there at the start */
	uint64_t ever, went; /* as the last report has told */
	char title[CHOICE_TITLE_MAX];
};

/* With files apart it is not known yet whose: the folder is tried by the name without a PID. */
static int open_folded(struct publish *p)
{
	const char *name = p->options->folded;
	int rc = name ? replace_begin(&p->folded, name) : 0;

	if (rc)
		log_warn(p->log, "cannot write %s: %s", name, strerror(-rc));
	return rc;
}

struct publish *publish_new(const struct options *options, const struct watch_target *target,
			    const struct naming *naming, const struct log *log)
{
	struct publish *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	*p = (struct publish){.options = options, .target = target, .naming = naming, .log = log};
	p->started_ns = p->reported_ns = clock_monotonic_ns();
	p->total = total_new();
	p->ended_rows = ended_rows_new();
	if (p->total && p->ended_rows && !open_folded(p))
		return p;
	publish_free(p);
	return NULL;
}

void publish_free(struct publish *p)
{
	if (!p)
		return;
	replace_abandon(&p->folded);
	cgroup_watch_free(p->cgroup);
	total_free(p->total);
	ended_rows_free(p->ended_rows);
	free(p);
}

/* With the cgroup, which is of all that is watched: in text it stands beside the sum. */
static int put(const struct publish *p, const struct snapshot *s)
{
	struct snapshot shown = *s;

	shown.cgroup = cgroup_watch_look(p->cgroup);
	return p->options->json ? report_json(stdout, &shown)
				: report_text(stdout, &shown, isatty(STDOUT_FILENO));
}

void publish_tick(struct publish *p)
{
	cgroup_watch_tick(p->cgroup);
}

void publish_begin(struct publish *p, const struct group *group)
{
	p->ever = p->first = group_ever(group);
	p->cgroup = cgroup_watch_new(choice_cgroup(p->target->choice), p->target->pid);
}

/* One process that was the only one ever is shown as such. */
static bool is_single(const struct group *group, size_t cnt)
{
	return group_ever(group) == 1 && cnt == 1;
}

static const char *title(struct publish *p, const struct snapshot *first)
{
	const char *chosen = choice_title(p->target->choice);

	if (chosen[0])
		return chosen;
	if (p->title[0])
		return p->title;
	if (p->target->is_child || p->options->follow)
		snprintf(p->title, sizeof(p->title), "%s and its children",
			 first ? first->command : "the command");
	else
		snprintf(p->title, sizeof(p->title), "all together");
	return p->title;
}

/* The sum of all, as a snapshot of its own; rows must live as long as it. */
static int add_up(struct publish *p, struct group *group, const struct snapshot *const *v, size_t cnt,
		  struct process_rows *rows, struct snapshot *sum, bool final, const char *ended)
{
	/* A command that has ended leaves what each of its processes held at its end. */
	bool with_ended = final && p->target->is_child;

	*rows = (struct process_rows){
		.v = v,
		.cnt = cnt,
		.living = group_living(group),
		.came = group_ever(group) - (final ? p->first : p->ever),
		.went = group_went(group) - (final ? 0 : p->went),
		.left_out = group_left_out(group),
		.too_short = group_too_short(group),
	};
	*sum = (struct snapshot){
		.time_ns = clock_monotonic_ns(),
		.started_ns = p->started_ns,
		.command = title(p, cnt ? v[0] : NULL),
		.final = final,
		.gone = with_ended && !rows->living,
		.ended = ended,
		.processes = rows,
		.names = p->naming->names,
	};
	sum->interval_ns = sum->time_ns - p->reported_ns;
	if (final)
		rows->past_cnt = ended_rows_list(p->ended_rows, &rows->past);
	return total_sum(p->total, v, cnt, with_ended, sum);
}

static int put_many(struct publish *p, struct group *group, const struct snapshot *const *v, size_t cnt,
		    bool final, const char *ended)
{
	struct process_rows rows;
	struct snapshot sum;
	int rc = 0;

	if (p->options->json) {
		for (size_t i = 0; i < cnt && !rc; i++)
			rc = put(p, v[i]);
		return rc;
	}
	rc = add_up(p, group, v, cnt, &rows, &sum, final, ended);
	return rc ? rc : put(p, &sum);
}

int publish_report(struct publish *p, struct group *group, bool final, const char *ended)
{
	const struct snapshot *const *v;
	size_t cnt = group_snapshots(group, final, ended, &v);
	int rc;

	naming_report_begins(p->naming, final);
	rc = is_single(group, cnt) ? put(p, v[0]) : put_many(p, group, v, cnt, final, ended);
	naming_report_ends(p->naming);
	if (!rc && fflush(stdout))
		rc = -errno;
	p->reported_ns = clock_monotonic_ns();
	p->ever = group_ever(group);
	p->went = group_went(group);
	return rc;
}

/* "FILE.4242" of a process that is shown apart. */
static int write_apart(struct publish *p, const struct snapshot *s)
{
	struct replace file = {.file = NULL};
	char *name = NULL;
	int rc = asprintf(&name, "%s.%d", p->options->folded, s->pid) < 0 ? -ENOMEM : 0;

	rc = rc ?: replace_begin(&file, name);
	rc = rc ?: report_folded(file.file, s, p->options->weight);
	if (rc)
		replace_abandon(&file);
	else
		rc = replace_commit(&file);
	if (rc)
		log_warn(p->log, "cannot write %s: %s", name ? name : p->options->folded, strerror(-rc));
	free(name);
	return rc;
}

static bool writes_apart(const struct publish *p)
{
	return p->folded.file && p->options->apart;
}

/* A black box is read after an accident; those that end as they should are counted. */
static bool is_worth_a_report(const struct publish *p, const struct snapshot *s)
{
	return p->options->json || s->killed;
}

int publish_ends(struct publish *p, struct group *group)
{
	const struct snapshot *const *v;
	size_t cnt = group_dead(group, &v);
	int rc = 0;

	naming_report_begins(p->naming, true);
	for (size_t i = 0; i < cnt; i++) {
		if (!rc && is_worth_a_report(p, v[i]))
			rc = put(p, v[i]);
		if (writes_apart(p))
			write_apart(p, v[i]);
		total_keep(p->total, v[i]);
		ended_rows_keep(p->ended_rows, v[i]);
	}
	naming_report_ends(p->naming);
	group_bury(group);
	return rc ? rc : fflush(stdout) ? -errno : 0;
}

static int write_merged(struct publish *p, struct group *group, const struct snapshot *const *v, size_t cnt,
			const char *ended)
{
	struct process_rows rows;
	struct snapshot sum;
	int rc;

	if (is_single(group, cnt))
		return report_folded(p->folded.file, v[0], p->options->weight);
	rc = add_up(p, group, v, cnt, &rows, &sum, true, ended);
	return rc ? rc : report_folded(p->folded.file, &sum, p->options->weight);
}

int publish_files(struct publish *p, struct group *group, const char *ended)
{
	const struct snapshot *const *v;
	size_t cnt;
	int rc = 0;

	if (!p->folded.file)
		return 0;
	cnt = group_snapshots(group, true, ended, &v);
	naming_report_begins(p->naming, true);
	if (writes_apart(p)) {
		for (size_t i = 0; i < cnt; i++)
			rc = write_apart(p, v[i]) ?: rc;
		naming_report_ends(p->naming);
		replace_abandon(&p->folded);
		return rc;
	}
	rc = write_merged(p, group, v, cnt, ended);
	naming_report_ends(p->naming);
	rc = replace_commit(&p->folded) ?: rc;
	if (rc)
		log_warn(p->log, "cannot write %s: %s", p->options->folded, strerror(-rc));
	return rc;
}
