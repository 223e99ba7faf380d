/*
 * Command lines. One table of rows (grammar.c) declares every option of every command; one parser on
 * getopt_long reads them, one printer makes the help texts from the same rows.
 */
#ifndef ALLOCTRACE_COMMAND_OPTIONS_H
#define ALLOCTRACE_COMMAND_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "probe/custom.h"
#include "probe/mark_point.h"
#include "report/diff.h"
#include "report/form.h"
#include "target/choice.h"

#define CHECK_PIDS_MAX 64 /* of one check, which keeps the objects of each open meanwhile */

/* Every command's options with their defaults; a command reads those it has. */
struct options {
	/* Whom. */
	struct pid_list pids; /* attach, check: each once */
	const char *comm;     /* attach, check; NULL: not given, as below */
	const char *cgroup, *unit; /* attach, check */
	pid_t pid;            /* heap, purge, mark */
	pid_t ns_of;          /* attach, heap, check, purge: PIDs are as that process's namespace has them; 0: ours */
	char **command;       /* run: COMMAND ARGS…, NULL-ended, in argv */
	const char *recording; /* report: the file to read; attach, run: to write; NULL: none */

	/* attach, run: when to report, and what is worth it. */
	uint64_t interval_ns; /* 5 s, of top 2; never 0 */
	uint64_t count;       /* summaries to print; 0: no end */
	uint64_t duration_ns; /* 0: no end */
	uint64_t retained_min; /* bytes; 0: the larger of 32 MiB and 20 % of RSS */
	uint64_t window_min_ns;
	uint64_t churn_min;
	double walk_budget; /* percent of one core, above 0, at most 100 */

	/* attach, run: allocation events. */
	struct stack_choice {
		uint64_t sample_bytes;      /* of allocations, the mean distance; 0: every stack */
		uint64_t free_sample_bytes; /* of frees */
		bool wanted;
	} stacks;            /* --stack */
	struct objects_choice {
		uint64_t sample_bytes; /* of births, the mean distance; 0: every one */
		bool given;            /* else: paced, under a budget with stacks */
		bool wanted;
		bool paced; /* within two fifths of max_overhead; else at any cost */
	} objects;                     /* --objects: Python's */
	double max_overhead; /* percent of the target's CPU time that probes may take: 10; 0: no limit (run's default) */
	uint64_t older_ns;   /* 0: all */
	uint64_t size_min, size_max;
	uint64_t top;        /* 0: as the form likes */
	uint64_t max_memory; /* bytes for live blocks; 0: by what the machine has */
	const char *prometheus;      /* written in every interval; NULL: not */
	const char *on_window;       /* a command for each window; NULL: none */
	const char *files[FORM_CNT]; /* to write at the end, by form; NULL: none */

	const char *second;    /* diff: the recording that recording is compared with */
	enum form_number form; /* report: --format */
	enum diff_form_number diff_form; /* diff: --format */
	enum diff_by by;                 /* diff */
	const char *output;    /* diff, report: file; NULL: stdout */
	bool all;              /* report: every picture, not the last alone */
	bool events;           /* attach, run: every event into the recording; report: out of it */

	const char *push;          /* attach, run: the URL to push profiles to; NULL: none */
	uint64_t push_interval_ns; /* a minute; never 0 */

	uint64_t timeout_ns; /* purge: 2 s */
	const char *text, *kind; /* mark */
	bool no_wait;            /* mark */
	enum site_weight weight; /* of forms with one weight */
	bool follow;   /* attach, run: children too */
	bool apart;    /* attach, run: files are a process each */
	bool no_alloc; /* attach, run: no allocation events */
	bool native;   /* attach, run: an interpreter's own frames too */
	bool stop;     /* heap */
	bool dry_run;  /* purge */
	bool json;
	bool verbose;
	const char *symbol_prefix, *object; /* attach, run, allocators; NULL: not given */
	struct custom custom;               /* what these say */
	struct mark_points marks;           /* attach, run */
};

#define OPTIONS_GO (-1)

/*
 * OPTIONS_GO with *options filled, which is not to be copied, or the exit status to leave with: STATUS_DONE after --help,
 * STATUS_USAGE after one line on stderr that says what is wrong, and a hint.
 */
int options_parse_attach(int argc, char **argv, struct options *options);
int options_parse_run(int argc, char **argv, struct options *options);
int options_parse_top(int argc, char **argv, struct options *options);
int options_parse_heap(int argc, char **argv, struct options *options);
int options_parse_check(int argc, char **argv, struct options *options);
int options_parse_purge(int argc, char **argv, struct options *options);
int options_parse_diff(int argc, char **argv, struct options *options);
int options_parse_report(int argc, char **argv, struct options *options);
int options_parse_mark(int argc, char **argv, struct options *options);
int options_parse_allocators(int argc, char **argv, struct options *options); /* pid may stay 0 */

#endif
