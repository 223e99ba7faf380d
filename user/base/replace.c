#include "base/replace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void forget(struct replace *r)
{
	free(r->name);
	free(r->temporary);
	*r = (struct replace){.file = NULL};
}

/* The file gets the mode that creating it would give, not mkstemp's. */
static void set_usual_mode(int fd)
{
	mode_t mask = umask(0);

	umask(mask);
	fchmod(fd, 0666 & ~mask);
}

static bool is_special(const char *name)
{
	struct stat st;

	return !stat(name, &st) && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

/* A pipe that nobody reads is an error, not a wait. */
static int open_special(struct replace *r)
{
	int fd = open(r->name, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), ret;

	if (fd >= 0 && !fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK))
		r->file = fdopen(fd, "w");
	if (r->file)
		return 0;
	ret = -errno;
	if (fd >= 0)
		close(fd);
	forget(r);
	return ret;
}

int replace_begin(struct replace *r, const char *name)
{
	int fd = -1, ret;

	*r = (struct replace){.name = strdup(name)};
	if (r->name && is_special(name))
		return open_special(r);
	if (!r->name || asprintf(&r->temporary, "%s.XXXXXX", name) < 0) {
		r->temporary = NULL;
		forget(r);
		return -ENOMEM;
	}
	fd = mkostemp(r->temporary, O_CLOEXEC);
	if (fd >= 0)
		r->file = fdopen(fd, "w");
	if (r->file) {
		set_usual_mode(fd);
		return 0;
	}
	ret = -errno;
	if (fd >= 0) {
		close(fd);
		unlink(r->temporary);
	}
	forget(r);
	return ret;
}

static int commit(struct replace *r, bool to_disk)
{
	int ret = 0;

	if (!r->file)
		return 0;
	if (fflush(r->file) || ferror(r->file) || (to_disk && r->temporary && fsync(fileno(r->file))))
		ret = errno ? -errno : -EIO;
	if (fclose(r->file) && !ret)
		ret = -errno;
	r->file = NULL;
	if (!ret && r->temporary && rename(r->temporary, r->name))
		ret = -errno;
	if (ret && r->temporary)
		unlink(r->temporary);
	forget(r);
	return ret;
}

int replace_commit(struct replace *r)
{
	return commit(r, true);
}

int replace_refresh(struct replace *r)
{
	return commit(r, false);
}

void replace_abandon(struct replace *r)
{
	if (!r->file)
		return;
	fclose(r->file);
	if (r->temporary)
		unlink(r->temporary);
	forget(r);
}
