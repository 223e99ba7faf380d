/*
 * The commands: one file each. A command parses its options (options.h), assembles what it
 * needs, loops, reports, and returns the program's exit status.
 */
#ifndef ALLOCTRACE_COMMAND_COMMAND_H
#define ALLOCTRACE_COMMAND_COMMAND_H

enum exit_status {
	STATUS_DONE = 0,
	STATUS_FAILED = 1, /* the work failed; one line on stderr says why */
	STATUS_USAGE = 2,  /* the command line was wrong */
	STATUS_WARNINGS = 3, /* check: it was done, and something is to be done about the process */
};

struct command {
	const char *name;
	const char *summary; /* one line, for `alloctrace --help` */
	/* argv[0] is the command's name. SIGPIPE is ignored: a reader that went away is a −EPIPE. */
	int (*run)(int argc, char **argv);
};

int command_attach(int argc, char **argv);
int command_run(int argc, char **argv);
int command_report(int argc, char **argv);
int command_top(int argc, char **argv);
int command_diff(int argc, char **argv);
int command_heap(int argc, char **argv);
int command_check(int argc, char **argv);
int command_purge(int argc, char **argv);
int command_mark(int argc, char **argv);
int command_allocators(int argc, char **argv);

/*
 * Flushes stdout and turns what became of a report (0 or −errno) into an exit status. A
 * full disk is one line on stderr; a reader that went away has seen enough: silent, done.
 */
int command_finish_output(int report_result);

#endif
