#include "probe/event_def.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/units.h"

#define GROUP "alloctrace_"
#define REMOVE_TRIES 200
#define REMOVE_PAUSE (NSEC_PER_SEC / 100)

enum { CONFIG_CREATE = 6 }; /* include/uapi/linux/mount.h: FSCONFIG_CMD_CREATE */

/* A mount that nobody else sees, which goes with its descriptor. */
static int mount_tracefs(void)
{
	int context = (int)syscall(SYS_fsopen, "tracefs", 1), root = -1;

	if (context < 0)
		return -errno;
	if (!syscall(SYS_fsconfig, context, CONFIG_CREATE, NULL, NULL, 0))
		root = (int)syscall(SYS_fsmount, context, 1, 0);
	root = root < 0 ? -errno : root;
	close(context);
	return root;
}

/* Each write is one command. */
static int write_command(int root, const char *command)
{
	int fd = openat(root, "uprobe_events", O_WRONLY | O_APPEND | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, command, strlen(command)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

static int remove_name(int root, const char *name)
{
	char command[96];

	snprintf(command, sizeof(command), "-:%s\n", name);
	return write_command(root, command);
}

/* Of a line "p:GROUP/EVENT FILE:OFFSET" of ours, by a process that is gone: GROUP/EVENT. */
static const char *stale_name(char *line)
{
	char *name = strchr(line, ':'), *end;
	long pid;

	if (!name || strncmp(++name, GROUP, strlen(GROUP)) != 0)
		return NULL;
	pid = strtol(name + strlen(GROUP), &end, 10);
	end[strcspn(end, " \n")] = '\0';
	return *end == '/' && pid > 0 && kill((pid_t)pid, 0) && errno == ESRCH ? name : NULL;
}

static void remove_stale(int root)
{
	int fd = openat(root, "uprobe_events", O_RDONLY | O_CLOEXEC);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	char *line = NULL;
	size_t size = 0;

	while (f && getline(&line, &size, f) > 0) {
		const char *name = stale_name(line);

		if (name)
			remove_name(root, name);
	}
	free(line);
	if (f)
		fclose(f);
	else if (fd >= 0)
		close(fd);
}

static int read_id(int root, struct event_def *def)
{
	char path[96], text[32] = "";
	int fd;

	snprintf(path, sizeof(path), "events/%s/id", def->name);
	fd = openat(root, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (read(fd, text, sizeof(text) - 1) > 0)
		def->id = strtoull(text, NULL, 10);
	close(fd);
	return def->id ? 0 : -EIO;
}

/* The first spot defines the event, each further one is appended to it. */
static int define(int root, const struct link_request *r, struct event_def *def)
{
	char command[192];
	int ret = 0;

	for (size_t i = 0; !ret && i < r->spot_cnt; i++) {
		snprintf(command, sizeof(command), "%c:%s %s:0x%" PRIx64 "\n",
			 r->when == LINK_AT_RETURN ? 'r' : 'p', def->name, r->path, r->spots[i].offset);
		ret = write_command(root, command);
	}
	return ret ? ret : read_id(root, def);
}

int event_def_add(const struct link_request *request, struct event_def *def)
{
	int root = mount_tracefs(), ret;

	*def = (struct event_def){.id = 0};
	if (root < 0)
		return root;
	remove_stale(root);
	snprintf(def->name, sizeof(def->name), GROUP "%d/e%" PRIx64, getpid(), clock_monotonic_ns());
	ret = define(root, request, def);
	close(root);
	if (ret)
		event_def_remove(def);
	return ret;
}

void event_def_remove(struct event_def *def)
{
	const struct timespec pause = {.tv_nsec = REMOVE_PAUSE};
	int root = def->name[0] ? mount_tracefs() : -1;

	/* The kernel lets go of a BPF link, and with it of the event, some time after its close. */
	for (int i = 0; root >= 0 && i < REMOVE_TRIES && remove_name(root, def->name) == -EBUSY; i++)
		nanosleep(&pause, NULL);
	if (root >= 0)
		close(root);
	def->name[0] = '\0';
}
