/* argv → command. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "command/command.h"

static const struct command commands[] = {
	{"attach", "watch a running process: summaries of retained memory, purges, windows, dlopen", command_attach},
	{"run", "the same for a command, from its first instruction on", command_run},
	{"top", "the same on a live screen: sites by any figure, purges and windows as they come", command_top},
	{"report", "read a recording of attach or run: its reports, flame graphs, tables", command_report},
	{"diff", "compare two recordings: what grew, by site and figure", command_diff},
	{"heap", "look once: live, retained and purgeable bytes of a process", command_heap},
	{"check", "go through a checklist in two seconds: what is set wrong, what to do", command_check},
	{"allocators", "what is known of allocators; of a process, which it holds and where probes go", command_allocators},
	{"mark", "name a moment of a watched process, to compare its memory at such moments", command_mark},
	{"purge", "call the serving allocator's purge inside a process, safely", command_purge},
};

#define COMMAND_CNT (sizeof(commands) / sizeof(commands[0]))

static int print_help(FILE *out)
{
	fputs("alloctrace says why the memory of a live process does not come back.\n\n"
	      "Usage: alloctrace COMMAND [OPTIONS] [ARGUMENTS]\n\n",
	      out);
	for (size_t i = 0; i < COMMAND_CNT; i++)
		fprintf(out, "  %-10s  %s\n", commands[i].name, commands[i].summary);
	fputs("\n'alloctrace help COMMAND' tells the options of a command, 'man alloctrace' everything.\n",
	      out);
	return STATUS_DONE;
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < COMMAND_CNT; i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

static int unknown_command(const char *name)
{
	fprintf(stderr, "alloctrace: there is no %s '%s'\nTry 'alloctrace --help'.\n",
		name[0] == '-' ? "option" : "command", name);
	return STATUS_USAGE;
}

static int help(const char *name)
{
	char *argv[] = {NULL, "--help", NULL};
	const struct command *command;

	if (!name)
		return print_help(stdout);
	command = find_command(name);
	if (!command)
		return unknown_command(name);
	argv[0] = (char *)command->name;
	return command->run(2, argv);
}

static int dispatch(int argc, char **argv)
{
	const struct command *command;
	const char *name = argv[1];

	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		return print_help(stdout);
	if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
		return printf("alloctrace " ALLOCTRACE_VERSION "\n") < 0 ? STATUS_FAILED : STATUS_DONE;
	if (strcmp(name, "help") == 0)
		return help(argv[2]);
	command = find_command(name);
	return command ? command->run(argc - 1, argv + 1) : unknown_command(name);
}

/*
 * A closed standard stream would hand its number to the first file that we open. What takes
 * its place here refuses what the stream is for, so that a report on it fails with EBADF.
 */
static void hold_standard_streams(void)
{
	for (int fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
	}
}

int main(int argc, char **argv)
{
	int status;

	hold_standard_streams();
	signal(SIGPIPE, SIG_IGN);
	if (argc < 2) {
		print_help(stderr);
		return STATUS_USAGE;
	}
	status = dispatch(argc, argv);
	return status == STATUS_DONE ? command_finish_output(0) : status;
}
