#include "target/pressure.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/file.h"
#include "target/cgroup.h"

static double read_some(const char *path)
{
	char text[256];
	double avg10;

	if (file_read(AT_FDCWD, path, text, sizeof(text)) <= 0 || sscanf(text, "some avg10=%lf", &avg10) != 1)
		return -1;
	return avg10;
}

double pressure_read(pid_t pid)
{
	char path[CGROUP_PATH_MAX + 32];
	struct cgroup_tree tree;
	double avg10 = -1;
	struct cgroup cg;

	if (!cgroup_tree_open("/proc", &tree, NULL) && !cgroup_of_process(&tree, pid, &cg, NULL) &&
	    cg.pressure[0]) {
		snprintf(path, sizeof(path), "%s/memory.pressure", cg.pressure);
		avg10 = read_some(path);
	}
	return avg10 < 0 ? read_some("/proc/pressure/memory") : avg10;
}
