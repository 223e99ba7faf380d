#include "command/metrics.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/replace.h"
#include "report/prometheus.h"

struct metrics {
	const char *name;
	const struct log *log;
	bool written; /* by us, and not removed since */
	bool failed;  /* the last time */
};

/* What is no regular file cannot be exchanged under its readers. */
static int try_place(const char *name)
{
	struct replace file;
	struct stat st;
	int rc;

	if (!stat(name, &st) && !S_ISREG(st.st_mode))
		return -EEXIST;
	rc = replace_begin(&file, name);
	replace_abandon(&file);
	if (!rc)
		unlink(name); /* of a watch that was killed: no longer true */
	return rc;
}

struct metrics *metrics_new(const char *name, const struct log *log)
{
	int rc = try_place(name);
	struct metrics *m = rc ? NULL : calloc(1, sizeof(*m));

	if (m)
		*m = (struct metrics){.name = name, .log = log};
	else
		log_warn(log, "cannot write %s: %s", name,
			 rc == -EEXIST ? "it is no regular file" : strerror(rc ? -rc : ENOMEM));
	return m;
}

void metrics_free(struct metrics *m)
{
	if (m && m->written)
		unlink(m->name);
	free(m);
}

void metrics_write(struct metrics *m, const struct picture *picture)
{
	struct replace file;
	int rc = replace_begin(&file, m->name);

	rc = rc ?: report_prometheus(file.file, picture, getpid());
	if (rc)
		replace_abandon(&file);
	else
		rc = replace_refresh(&file);
	if (rc && !m->failed)
		log_warn(m->log, "cannot write %s: %s; the next interval tries again", m->name,
			 strerror(-rc));
	m->failed = rc != 0;
	m->written |= !rc;
}
