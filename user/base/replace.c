#include "base/replace.h"

#include <errno.h>
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

int replace_begin(struct replace *r, const char *name)
{
	int fd = -1, ret;

	*r = (struct replace){.name = strdup(name)};
	if (!r->name || asprintf(&r->temporary, "%s.XXXXXX", name) < 0) {
		r->temporary = NULL;
		forget(r);
		return -ENOMEM;
	}
	fd = mkstemp(r->temporary);
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

int replace_commit(struct replace *r)
{
	int ret = 0;

	if (!r->file)
		return 0;
	if (fflush(r->file) || ferror(r->file) || fsync(fileno(r->file)))
		ret = errno ? -errno : -EIO;
	if (fclose(r->file) && !ret)
		ret = -errno;
	r->file = NULL;
	if (!ret && rename(r->temporary, r->name))
		ret = -errno;
	if (ret)
		unlink(r->temporary);
	forget(r);
	return ret;
}

void replace_abandon(struct replace *r)
{
	if (!r->file)
		return;
	fclose(r->file);
	unlink(r->temporary);
	forget(r);
}
