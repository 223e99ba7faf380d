#include "command/options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/printable.h"
#include "base/units.h"
#include "command/command.h"
#include "command/grammar.h"

static void print_row(const struct option_row *row)
{
	const char *help = row->help;
	char head[40], letter[8] = "    ";
	int len;

	if (row->letter)
		snprintf(letter, sizeof(letter), "-%c, ", row->letter);
	snprintf(head, sizeof(head), "  %s--%s%s%s", letter, row->name, row->arg ? " " : "",
		 row->arg ? row->arg : "");
	for (; *help; help += len + (help[len] == '\n')) {
		const char *before = help == row->help ? head : "";
		int width = (int)printable_width(before);

		len = (int)strcspn(help, "\n");
		printf("%s%*s%.*s\n", before, width < 26 ? 26 - width : 1, "", len, help);
	}
}

static void print_help(const struct grammar *g)
{
	const char *line = g->examples;
	int len;

	printf("Usage: alloctrace %s\n\n%s\n", g->usage, g->about);
	for (size_t i = 0; i < option_row_cnt; i++) {
		if (option_rows[i].commands & g->bit)
			print_row(&option_rows[i]);
	}
	printf("\nExamples:\n");
	for (; *line; line += len + 1) {
		len = (int)strcspn(line, "\n");
		printf("  %.*s\n", len, line);
	}
}

static int complain(const struct grammar *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int complain(const struct grammar *g, const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "alloctrace %s: ", g->name);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "\nTry 'alloctrace %s --help'.\n", g->name);
	return STATUS_USAGE;
}

static int parse_argument(const struct grammar *g, const struct option_row *row, const char *text,
			  struct options *options)
{
	int err = row->type->parse(text, (char *)options + row->field);

	if (err == 0)
		return OPTIONS_GO;
	return complain(g, "%s%s needs %s; '%s' is %s", row->name ? "--" : "",
			row->name ? row->name : row->arg, row->type->needs, text,
			err == -ERANGE ? "out of range" : "none");
}

/* What getopt_long returns for row 0 by its name; letters, ':' and '?' are below. */
#define ROW_FIRST 256

/* What getopt_long wants to know: the rows of this command; val is ROW_FIRST + the row's index. */
static void make_getopt_tables(unsigned bit, struct option *longs, char *shorts)
{
	/* '+': options end where run's COMMAND begins, which has its own; ':': we do the complaining. */
	if (bit == IN_RUN)
		*shorts++ = '+';
	*shorts++ = ':';
	for (size_t i = 0; i < option_row_cnt; i++) {
		if (!(option_rows[i].commands & bit))
			continue;
		*longs++ = (struct option){option_rows[i].name,
					   option_rows[i].arg ? required_argument : no_argument, NULL,
					   ROW_FIRST + (int)i};
		if (option_rows[i].letter) {
			*shorts++ = option_rows[i].letter;
			if (option_rows[i].arg)
				*shorts++ = ':';
		}
	}
	*longs = (struct option){NULL, 0, NULL, 0};
	*shorts = '\0';
}

/* The row that a value of getopt_long means: by its name or by its letter; NULL for neither. */
static const struct option_row *find_row(unsigned bit, int value)
{
	if (value >= ROW_FIRST && (size_t)(value - ROW_FIRST) < option_row_cnt)
		return &option_rows[value - ROW_FIRST];
	for (size_t i = 0; i < option_row_cnt; i++) {
		if ((option_rows[i].commands & bit) && option_rows[i].letter == value)
			return &option_rows[i];
	}
	return NULL;
}

/* getopt_long said '?' or ':'. */
static int complain_getopt(const struct grammar *g, int said, char **argv)
{
	const struct option_row *row = optopt ? find_row(g->bit, optopt) : NULL;

	if (row)
		return complain(g, "--%s needs %s", row->name, row->type ? row->type->needs : "no argument");
	if (optopt)
		return complain(g, "there is no option '-%c'", optopt);
	return complain(g, "there is no option '%s'%s", argv[optind - 1],
			said == ':' ? " with an argument" : "");
}

static int parse_options(const struct grammar *g, int argc, char **argv, struct options *options)
{
	struct option longs[OPTION_ROWS_MAX + 1];
	char shorts[2 * OPTION_ROWS_MAX + 3];
	int said, status;

	make_getopt_tables(g->bit, longs, shorts);
	opterr = 0;
	optind = 0; /* 0 and not 1: glibc starts afresh */
	while ((said = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		const struct option_row *row = said == '?' || said == ':' ? NULL : find_row(g->bit, said);

		if (!row)
			return complain_getopt(g, said, argv);
		if (!row->type) {
			print_help(g);
			return STATUS_DONE;
		}
		status = parse_argument(g, row, optarg, options);
		if (status != OPTIONS_GO)
			return status;
	}
	return OPTIONS_GO;
}

static bool is_chosen(const struct options *options)
{
	return options->pid || options->pids.cnt || options->comm || options->cgroup || options->unit;
}

/* What follows the options, in the grammar's order; who is chosen by an option is not asked for again. */
static int parse_positionals(const struct grammar *g, char **argv, struct options *options)
{
	const struct option_row *row = g->positional, *end = row + POSITIONAL_MAX;
	int status = OPTIONS_GO;

	if ((row->type == &type_pid || row->type == &type_pids) && is_chosen(options))
		row++;
	for (; *argv && row < end && row->type && status == OPTIONS_GO; argv++, row++)
		status = parse_argument(g, row, *argv, options);
	if (status == OPTIONS_GO && *argv)
		return complain(g, "'%s' is one argument too many", *argv);
	return status;
}

static int parse(const struct grammar *g, int argc, char **argv, struct options *options)
{
	int status;

	*options = (struct options){
		.interval_ns = (g->bit == IN_TOP ? 2 : 5) * NSEC_PER_SEC,
		.window_min_ns = 5 * NSEC_PER_SEC,
		.churn_min = 20,
		.walk_budget = 2,
		.stacks = {.wanted = true, .free_sample_bytes = FREE_SAMPLE_BYTES},
		.max_overhead = g->bit & (IN_ATTACH | IN_TOP) ? 10 : 0,
		.follow = g->bit == IN_RUN,
		.size_max = UINT64_MAX,
		.timeout_ns = 2 * NSEC_PER_SEC,
		.push_interval_ns = 60 * NSEC_PER_SEC,
		.kind = "mark",
		.text = "",
	};
	status = parse_options(g, argc, argv, options);
	if (status != OPTIONS_GO)
		return status;
	if (options->json) {
		options->form = FORM_JSON;
		options->diff_form = DIFF_JSON;
	}
	custom_init(&options->custom, options->symbol_prefix, options->object);
	if (options->events && !options->recording && g->bit != IN_REPORT)
		return complain(g, "--events needs a recording: give it a file with --output");
	if (options->size_min > options->size_max)
		return complain(g, "--min-size is above --max-size: no block is left");
	for (int i = 0; i < FORM_CNT; i++)
		if (options->no_alloc && options->files[i] && forms[i].needs_sites)
			return complain(g, "--%s needs the probes that --no-alloc leaves out", forms[i].name);
	if (options->no_alloc && options->push)
		return complain(g, "--push needs the probes that --no-alloc leaves out");
	if (g->bit == IN_RUN) {
		options->command = argv + optind;
		return argv[optind] ? OPTIONS_GO : complain(g, "there is no COMMAND to run");
	}
	status = parse_positionals(g, argv + optind, options);
	if (g->bit == IN_REPORT || g->bit == IN_DIFF)
		return status;
	if (status == OPTIONS_GO && !is_chosen(options) && g->bit != IN_ALLOCATORS)
		return complain(g, "there is no PID to look at");
	if ((options->pids.cnt > 0) + (options->comm != NULL) + (options->cgroup != NULL) +
		    (options->unit != NULL) >
	    1)
		return complain(g, "PIDs, --comm, --cgroup and --unit exclude each other");
	return status;
}

int options_parse_attach(int argc, char **argv, struct options *options)
{
	return parse(&attach_grammar, argc, argv, options);
}

int options_parse_run(int argc, char **argv, struct options *options)
{
	return parse(&run_grammar, argc, argv, options);
}

int options_parse_top(int argc, char **argv, struct options *options)
{
	return parse(&top_grammar, argc, argv, options);
}

int options_parse_heap(int argc, char **argv, struct options *options)
{
	return parse(&heap_grammar, argc, argv, options);
}

int options_parse_check(int argc, char **argv, struct options *options)
{
	int status = parse(&check_grammar, argc, argv, options);

	if (status == OPTIONS_GO && options->pids.cnt > CHECK_PIDS_MAX)
		return complain(&check_grammar, "%d processes at most at once", CHECK_PIDS_MAX);
	return status;
}

int options_parse_purge(int argc, char **argv, struct options *options)
{
	return parse(&purge_grammar, argc, argv, options);
}

int options_parse_report(int argc, char **argv, struct options *options)
{
	int status = parse(&report_grammar, argc, argv, options);

	if (status != OPTIONS_GO)
		return status;
	if (!options->recording)
		return complain(&report_grammar, "there is no RECORDING to read");
	if (options->all && options->form != FORM_TEXT && options->form != FORM_JSON)
		return complain(&report_grammar, "--all goes with text and json only");
	return status;
}

int options_parse_mark(int argc, char **argv, struct options *options)
{
	return parse(&mark_grammar, argc, argv, options);
}

int options_parse_diff(int argc, char **argv, struct options *options)
{
	int status = parse(&diff_grammar, argc, argv, options);

	if (status == OPTIONS_GO && !options->second)
		return complain(&diff_grammar, "there are no two RECORDINGS to compare");
	return status;
}

int options_parse_allocators(int argc, char **argv, struct options *options)
{
	return parse(&allocators_grammar, argc, argv, options);
}
