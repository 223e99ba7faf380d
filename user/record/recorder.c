#include "record/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/units.h"
#include "record/chunks.h"
#include "record/dictionary.h"
#include "record/event_parts.h"
#include "record/format.h"
#include "record/parts.h"
#include "record/processes.h"

#define LAST_NAMES_NS (15 * NSEC_PER_SEC)

struct recorder {
	const char *name;
	struct names *names;
	const struct log *log;
	int fd;
	struct chunk_writer *out;
	struct dictionary *dictionary;
	struct arena copies; /* of the picture in the making */
	struct recorded_processes processes;
	struct event_before before;
	int status; /* what has been said: −errno, or 0 */
};

/* A pipe's reader may be slow, and a recording is not to hold up the watch. */
static int open_file(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	if (ftruncate(fd, 0)) {
		close(fd);
		return -errno;
	}
	return fd;
}

static void say(struct recorder *r, int rc)
{
	r->status = rc;
	log_warn(r->log, "cannot record to %s: %s; the watch goes on without", r->name,
		 rc == -EINVAL ? "it is no regular file" : strerror(-rc));
}

struct recorder *recorder_open(const char *name, struct names *names, const struct log *log)
{
	struct recorder *r = calloc(1, sizeof(*r));
	int rc = -ENOMEM;

	if (!r)
		return NULL;
	*r = (struct recorder){.name = name, .names = names, .log = log};
	r->dictionary = dictionary_new(0);
	if (r->dictionary)
		dictionary_ask(r->dictionary, names);
	r->fd = open_file(name);
	if (r->fd < 0)
		rc = r->fd;
	else if (r->dictionary)
		rc = chunk_writer_new(r->fd, clock_lead(), &r->out);
	if (!rc)
		return r;
	say(r, rc);
	recorder_close(r);
	return NULL;
}

int recorder_close(struct recorder *r)
{
	int status;

	if (!r)
		return 0;
	status = r->status;
	if (r->fd >= 0)
		close(r->fd);
	chunk_writer_free(r->out);
	dictionary_free(r->dictionary);
	arena_reset(&r->copies);
	recorded_processes_free(&r->processes);
	free(r);
	return status;
}

static void write_sites(struct codec *c, struct site_states *states, const struct allocation_view *allocs,
			bool last)
{
	code_site_changes(c, states, allocs, NULL);
	write_site_bounds(c, &states->bounds, allocs, last);
}

static void write_process(struct codec *c, struct recorder *r, const struct snapshot *s)
{
	struct recorded_process *process = recorded_process_of(&r->processes, s->pid, s->started_ns);
	struct snapshot copy = *s;

	if (!process) {
		c->status = -ENOMEM;
		return;
	}
	code_snapshot(c, &copy);
	if (s->allocs)
		write_sites(c, &process->sites, s->allocs, s->final || s->gone);
	if (s->allocs && s->allocs->objects)
		write_sites(c, &process->objects, &s->allocs->objects->sites, s->final || s->gone);
	process->ended = s->gone;
}

static void write_picture(struct codec *c, struct recorder *r, const struct picture *picture)
{
	struct picture copy = *picture;

	codec_number(c, &(uint64_t){picture->kind == PICTURE_ENDS ? RECORD_ENDS : RECORD_PICTURE});
	code_picture(c, &copy);
	codec_number(c, &(uint64_t){picture->cnt});
	for (size_t i = 0; i < picture->cnt && codec_is_well(c); i++)
		write_process(c, r, picture->v[i]);
	if (picture->kind == PICTURE_ENDS)
		recorded_processes_bury(&r->processes);
}

/* Nobody can look them up later, and a report has waited for no more than it shows. */
static void wait_for_names(struct recorder *r)
{
	if (!r->names)
		return;
	names_end(r->names);
	names_begin(r->names, LAST_NAMES_NS);
	names_wait(r->names);
}

static void write_names(struct codec *c, struct recorder *r, bool last)
{
	dictionary_want(r->dictionary);
	if (last)
		wait_for_names(r);
	if (!dictionary_named(r->dictionary))
		return;
	codec_number(c, &(uint64_t){RECORD_NAMES});
	dictionary_rename(r->dictionary, c);
}

static void finish(struct recorder *r, int rc)
{
	if (rc)
		say(r, rc);
}

void recorder_event(struct recorder *r, const struct event_row *row)
{
	struct codec c = {.out = r->out, .dictionary = r->dictionary, .arena = &r->copies};
	struct event_row copy = *row;

	if (r->status)
		return;
	/* A stack that is new may be in the naming thread's hands. */
	if (r->names)
		names_begin(r->names, 0);
	codec_number(&c, &(uint64_t){RECORD_EVENT});
	code_event_row(&c, &copy, &r->before);
	if (r->names)
		names_end(r->names);
	if (c.status || chunk_writer_waiting(r->out) > CHUNK_RAW_SIZE / 2)
		finish(r, c.status ? c.status : chunk_end(r->out, false));
}

void recorder_picture(struct recorder *r, const struct picture *picture)
{
	struct codec c = {.out = r->out, .dictionary = r->dictionary, .arena = &r->copies};

	if (r->status)
		return;
	write_picture(&c, r, picture);
	write_names(&c, r, picture->kind == PICTURE_FINAL);
	arena_reset(&r->copies);
	finish(r, c.status ? c.status : chunk_end(r->out, picture->kind == PICTURE_FINAL));
}
