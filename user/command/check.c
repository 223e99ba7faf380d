/* `alloctrace check`: the checklist, on processes or on the largest of a unit, a cgroup or a name. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/units.h"
#include "check/gather.h"
#include "command/command.h"
#include "command/host_pids.h"
#include "command/options.h"
#include "report/check.h"
#include "target/choice.h"

#define SAMPLE_PERIOD_NS NSEC_PER_SEC

struct session {
	const struct options *options;
	struct log log;
	struct gather *gathers[CHECK_PIDS_MAX]; /* NULL: could not be opened, or has ended */
	size_t cnt;
	char chosen[CHOICE_TITLE_MAX + 64]; /* of the only one, why; "": they were named */
	bool failed;                        /* one of them; said */
	size_t warnings;
};

/* ---- which ---- */

/* The process with the largest RSS: what a cgroup is killed for, mostly. 0: all have ended. */
static pid_t find_largest(const struct pid_list *pids)
{
	struct process_usage usage;
	uint64_t most = 0;
	pid_t largest = 0;

	for (size_t i = 0; i < pids->cnt; i++) {
		struct process p = {.pid = pids->v[i], .pidfd = -1};

		if (process_usage(&p, false, &usage) == 0 && usage.rss > most) {
			most = usage.rss;
			largest = pids->v[i];
		}
	}
	return largest;
}

/* Of those that were not named one by one, the largest. */
static int choose_largest(struct session *s, struct choice *choice, struct pid_list *pids, struct error *err)
{
	const char *title = choice_title(choice);
	pid_t largest = find_largest(pids);

	if (!largest)
		return error_set(err, -ESRCH, "there is no process to check: %s", title);
	if (pids->cnt > 1)
		snprintf(s->chosen, sizeof(s->chosen), "the largest of %zu processes", pids->cnt);
	pids->v[0] = largest;
	pids->cnt = 1;
	return 0;
}

static int choose(struct session *s, struct pid_list *pids, struct error *err)
{
	const struct choice_names names = {
		.pids = &s->options->pids,
		.comm = s->options->comm,
		.cgroup = s->options->cgroup,
		.unit = s->options->unit,
	};
	struct choice *choice;
	bool cut;
	int result = choice_open(&names, &choice, err);

	if (result != 0)
		return result;
	result = choice_pids(choice, pids, &cut, err);
	if (result == 0 && choice_grows(choice))
		result = choose_largest(s, choice, pids, err);
	choice_free(choice);
	return result;
}

/* ---- two seconds ---- */

static void give_up(struct session *s, size_t i, const struct error *err)
{
	log_progress(&s->log, NULL);
	log_warn(&s->log, "%s", err->text);
	gather_free(s->gathers[i]);
	s->gathers[i] = NULL;
	s->failed = true;
}

static void each(struct session *s, int (*step)(struct gather *gather, struct error *err))
{
	struct error err;

	for (size_t i = 0; i < s->cnt; i++)
		if (s->gathers[i] && step(s->gathers[i], &err) != 0)
			give_up(s, i, &err);
}

static void sleep_until(uint64_t ns)
{
	struct timespec at = {.tv_sec = (time_t)(ns / NSEC_PER_SEC), .tv_nsec = (long)(ns % NSEC_PER_SEC)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
		;
}

static void gather_all(struct session *s)
{
	uint64_t began = clock_monotonic_ns(), last = began, due;

	each(s, gather_sample);
	log_progress(&s->log, "reading the heap…");
	each(s, gather_look);
	for (unsigned i = 1; i < CHECK_SAMPLES; i++) {
		log_progress(&s->log, "looking for growth, %u s more…", CHECK_SAMPLES - i);
		/* Many processes take longer to look at: the steps are still apart. */
		due = last + SAMPLE_PERIOD_NS / 2;
		sleep_until(began + i * SAMPLE_PERIOD_NS > due ? began + i * SAMPLE_PERIOD_NS : due);
		each(s, gather_sample);
		last = clock_monotonic_ns();
	}
	log_progress(&s->log, NULL);
}

/* ---- what it amounts to ---- */

static int report(struct session *s, struct gather *gather, struct check_findings *found, bool first)
{
	struct check_report r = {
		.time_ns = clock_monotonic_ns(),
		.facts = gather_facts(gather),
		.findings = found,
		.chosen = s->chosen[0] ? s->chosen : NULL,
	};

	check_all(r.facts, found);
	s->warnings += found->of[CHECK_WARN];
	if (s->options->json)
		return report_check_json(stdout, &r);
	if (!first)
		fputc('\n', stdout);
	return report_check_text(stdout, &r, isatty(STDOUT_FILENO));
}

static int report_all(struct session *s)
{
	struct check_findings *found = malloc(sizeof(*found));
	bool first = true;
	int result = found ? 0 : -ENOMEM;

	for (size_t i = 0; i < s->cnt && result == 0; i++) {
		if (!s->gathers[i])
			continue;
		result = report(s, s->gathers[i], found, first);
		first = false;
	}
	free(found);
	return command_finish_output(result);
}

static void open_all(struct session *s, const struct pid_list *pids)
{
	struct error err;

	for (s->cnt = 0; s->cnt < pids->cnt; s->cnt++)
		if (gather_open(pids->v[s->cnt], &s->gathers[s->cnt], &err) != 0)
			give_up(s, s->cnt, &err);
}

int command_check(int argc, char **argv)
{
	struct session s = {.log = {.out = stderr}};
	struct options options;
	struct pid_list pids;
	struct error err;
	int status = options_parse_check(argc, argv, &options);

	if (status != OPTIONS_GO)
		return status;
	s.options = &options;
	s.log.verbose = options.verbose;
	if (host_pids(&options, &err) != 0 || choose(&s, &pids, &err) != 0) {
		log_warn(&s.log, "%s", err.text);
		return STATUS_FAILED;
	}
	open_all(&s, &pids);
	gather_all(&s);
	status = report_all(&s);
	for (size_t i = 0; i < s.cnt; i++)
		gather_free(s.gathers[i]);
	if (status == STATUS_DONE && s.failed)
		return STATUS_FAILED;
	return status == STATUS_DONE && s.warnings ? STATUS_WARNINGS : status;
}
