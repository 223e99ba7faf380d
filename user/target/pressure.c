#include "target/pressure.h"

#include <stdio.h>
#include <string.h>

static double read_some(const char *path)
{
	FILE *f = fopen(path, "re");
	double avg10;

	if (!f)
		return -1;
	if (fscanf(f, "some avg10=%lf", &avg10) != 1)
		avg10 = -1;
	fclose(f);
	return avg10;
}

/* The process's cgroup v2 path: the line "0::/path" of /proc/PID/cgroup. */
static int read_cgroup(pid_t pid, char *cgroup, size_t len)
{
	char path[64], line[512];
	int found = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	while (!found && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		found = !strncmp(line, "0::", 3) && snprintf(cgroup, len, "%s", line + 3) < (int)len;
	}
	fclose(f);
	return found;
}

double pressure_read(pid_t pid)
{
	char cgroup[512], path[600];
	double avg10 = -1;

	if (read_cgroup(pid, cgroup, sizeof(cgroup))) {
		snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.pressure", cgroup);
		avg10 = read_some(path);
	}
	return avg10 < 0 ? read_some("/proc/pressure/memory") : avg10;
}
