#include "target/shadow_stack.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"

bool shadow_stack_in(const char *status)
{
	const char *features = strstr(status, "\nx86_Thread_features:");

	return features && memmem(features, strcspn(features + 1, "\n") + 1, "shstk", 5);
}

bool shadow_stack_of(pid_t pid)
{
	char path[32], status[4096];

	snprintf(path, sizeof(path), "/proc/%d", pid);
	return file_read_in(path, "status", status, sizeof(status)) <= 0 || shadow_stack_in(status);
}
