#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "command/command.h"

int command_finish_output(int report_result)
{
	int result = report_result;

	if (fflush(stdout) != 0 && result == 0)
		result = -errno;
	if (result == 0 || result == -EPIPE)
		return STATUS_DONE;
	fprintf(stderr, "alloctrace: cannot write to standard output: %s\n", strerror(-result));
	return STATUS_FAILED;
}
