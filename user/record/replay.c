#include "record/replay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "record/chunks.h"
#include "record/dictionary.h"
#include "record/event_parts.h"
#include "record/format.h"
#include "record/parts.h"
#include "record/processes.h"
#include "record/unfinished.h"

#define ENDS_EARLY "the recording ends here"

/* A process's snapshot in the picture that came last. */
struct shown {
	struct snapshot s;
	struct allocation_view *allocs;  /* of s; NULL: none */
	struct allocation_view *objects; /* of allocs; NULL: none */
	struct recorded_process *process;
};

/* A picture with what it points to. */
struct frame {
	struct picture picture;
	struct shown *shown;
	const struct snapshot **pointers;
	struct arena arena;
};

struct replay {
	const char *name;
	int fd;
	struct chunk_reader in;
	struct codec codec;
	struct recorded_processes processes;
	size_t left;             /* bytes that sites may still take */
	struct frame kept, ends; /* the last picture of those that live; of ends */
	struct frame *last;      /* the one that came last; NULL: none yet */
	struct event_before before;
	void (*on_event)(const struct event_row *row, void *arg); /* NULL: nobody listens */
	void *listener;
	uint64_t tag; /* of the record that is next; 0: not read yet */
	bool over;    /* the final picture came */
};

static int open_file(const char *name, struct error *err)
{
	/* O_NONBLOCK: a FIFO without a writer would be waited for. */
	int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return error_set(err, -errno, "cannot read %s: %s", name, strerror(errno));
	if (!fstat(fd, &st) && S_ISREG(st.st_mode))
		return fd;
	close(fd);
	return error_set(err, -EINVAL, "cannot read %s: it is no regular file", name);
}

static int start(struct replay *r, uint64_t max_memory, struct error *err)
{
	struct error why;
	int rc = chunk_reader_open(&r->in, r->fd, &why);

	if (rc)
		return error_set(err, rc, "cannot read %s: %s", r->name, why.text);
	/* Names and stacks, sites, and the picture in hand. */
	r->codec = (struct codec){.in = &r->in};
	r->codec.dictionary = dictionary_new((size_t)max_memory / 3);
	r->left = (size_t)max_memory / 3;
	r->kept.arena.max = r->ends.arena.max = (size_t)max_memory / 6;
	if (r->codec.dictionary)
		return 0;
	return error_set(err, -ENOMEM, "cannot read %s: out of memory", r->name);
}

int replay_open(const char *name, uint64_t max_memory, struct replay **replay, struct error *err)
{
	struct replay *r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return error_set(err, -ENOMEM, "cannot read %s: out of memory", name);
	r->name = name;
	r->fd = open_file(name, err);
	rc = r->fd < 0 ? r->fd : start(r, max_memory, err);
	if (rc)
		replay_close(r);
	else
		*replay = r;
	return rc;
}

void replay_close(struct replay *r)
{
	if (!r)
		return;
	if (r->fd >= 0)
		close(r->fd);
	chunk_reader_close(&r->in);
	dictionary_free(r->codec.dictionary);
	arena_reset(&r->kept.arena);
	arena_reset(&r->ends.arena);
	recorded_processes_free(&r->processes);
	free(r);
}

static void read_sites(struct replay *r, struct site_states *states)
{
	code_site_changes(&r->codec, states, NULL, &r->left);
	if (codec_version(&r->codec) > 1)
		read_site_bounds(&r->codec, &states->bounds, &r->left);
}

static void read_process(struct replay *r, struct shown *shown)
{
	struct codec *c = &r->codec;
	struct snapshot *s = &shown->s;

	code_snapshot(c, s);
	shown->process = recorded_process_of(&r->processes, s->pid, s->started_ns);
	if (!shown->process) {
		codec_refuse(c);
		return;
	}
	shown->allocs = (struct allocation_view *)s->allocs; /* in our own arena */
	if (shown->allocs)
		read_sites(r, &shown->process->sites);
	if (shown->allocs && shown->allocs->objects) {
		shown->objects = &((struct objects_view *)shown->allocs->objects)->sites;
		read_sites(r, &shown->process->objects);
	}
	shown->process->ended = s->gone;
	if (r->in.ending != CHUNKS_FINAL && codec_is_well(c))
		unfinished_add(&shown->process->unfinished, s);
}

static void read_picture(struct replay *r, struct frame *frame)
{
	struct codec *c = &r->codec;
	struct picture *p = &frame->picture;

	r->last = frame;
	arena_reset(&frame->arena);
	c->arena = &frame->arena;
	*p = (struct picture){.cnt = 0};
	code_picture(c, p);
	frame->shown = codec_list(c, NULL, &p->cnt, sizeof(*frame->shown), RECORD_PROCESSES_MAX);
	frame->pointers = arena_get(&frame->arena, p->cnt * sizeof(*frame->pointers));
	if (!frame->pointers)
		c->status = c->status ? c->status : -ENOMEM;
	for (size_t i = 0; i < p->cnt && codec_is_well(c); i++) {
		frame->pointers[i] = &frame->shown[i].s;
		read_process(r, &frame->shown[i]);
	}
	p->v = frame->pointers;
	if ((p->kind == PICTURE_ENDS) != (frame == &r->ends))
		codec_refuse(c);
}

/* Those that a picture has seen end are not needed for the next. */
static void forget_ended(struct replay *r)
{
	if (r->last != &r->ends)
		return;
	for (size_t i = 0; i < r->kept.picture.cnt; i++)
		if (r->kept.shown[i].process && r->kept.shown[i].process->ended)
			r->kept.shown[i].process = NULL;
	recorded_processes_bury(&r->processes);
}

static int fail(struct replay *r, struct error *err)
{
	int status = r->codec.status ? r->codec.status : r->in.status;

	if (status == -ENOMEM)
		return error_set(err, status, "cannot read %s: it needs more memory than it may take",
				 r->name);
	if (status == -EBADMSG || status > 0)
		return error_set(err, -EBADMSG,
				 "cannot read %s: it is damaged, or was not written by alloctrace", r->name);
	return error_set(err, status, "cannot read %s: %s", r->name, strerror(-status));
}

/* The last picture of those that live once more, as the final one. */
static int make_final(struct replay *r, struct picture *picture, struct error *err)
{
	struct picture *p = &r->kept.picture;
	size_t kept = 0;

	r->over = true;
	if (!r->last)
		return error_set(err, -ENODATA, "cannot read %s: it ends before its first picture", r->name);
	forget_ended(r);
	if (!p->title) { /* there was none but of ends */
		*p = r->ends.picture;
		p->cnt = 0;
	}
	for (size_t i = 0; i < p->cnt; i++) {
		if (!r->kept.shown[i].process)
			continue;
		r->kept.shown[kept] = r->kept.shown[i];
		unfinished_end(&r->kept.shown[kept].process->unfinished, &r->kept.shown[kept].s, ENDS_EARLY);
		kept++;
	}
	p->cnt = kept;
	p->kind = PICTURE_FINAL;
	p->ended = ENDS_EARLY;
	r->last = &r->kept;
	*picture = *p;
	return 1;
}

/* The next record's tag; 0: there is none, or no more can be read. */
static uint64_t next_tag(struct replay *r)
{
	if (!r->tag && codec_is_well(&r->codec) && !chunk_at_end(&r->in))
		codec_number(&r->codec, &r->tag);
	return r->tag;
}

void replay_listen(struct replay *r, void (*on_event)(const struct event_row *row, void *arg), void *arg)
{
	r->on_event = on_event;
	r->listener = arg;
}

static void read_event(struct replay *r)
{
	struct event_row row = {.kind = 0};

	code_event_row(&r->codec, &row, &r->before);
	if (r->on_event && codec_is_well(&r->codec))
		r->on_event(&row, r->listener);
}

/* Names of what has been seen already, also behind the last picture. */
static void read_names(struct replay *r)
{
	while (next_tag(r) == RECORD_NAMES) {
		r->tag = 0;
		dictionary_rename(r->codec.dictionary, &r->codec);
	}
}

static void read_events(struct replay *r)
{
	for (read_names(r); next_tag(r) == RECORD_EVENT; read_names(r)) {
		r->tag = 0;
		read_event(r);
	}
}

int replay_next(struct replay *r, struct picture *picture, struct error *err)
{
	uint64_t tag;

	if (r->over)
		return 0;
	read_events(r);
	tag = next_tag(r);
	if (!tag && r->in.status == 1)
		return make_final(r, picture, err);
	r->tag = 0;
	if (tag == RECORD_PICTURE || tag == RECORD_ENDS) {
		forget_ended(r);
		read_picture(r, tag == RECORD_ENDS ? &r->ends : &r->kept);
	} else {
		codec_refuse(&r->codec);
	}
	if (!codec_is_well(&r->codec))
		return fail(r, err);
	read_names(r);
	if (r->codec.status || r->in.status < 0)
		return fail(r, err);
	r->over = r->last->picture.kind == PICTURE_FINAL;
	*picture = r->last->picture;
	return 1;
}

static void show_sites(struct replay *r, const struct site_states *states, uint64_t top,
		       struct allocation_view *a)
{
	site_states_view(&r->codec, states, a);
	a->top = top ? top : a->top;
}

int replay_sites(struct replay *r, uint64_t top)
{
	struct frame *frame = r->last;

	r->codec.arena = &frame->arena;
	for (size_t i = 0; i < frame->picture.cnt; i++) {
		struct shown *shown = &frame->shown[i];

		if (shown->allocs)
			show_sites(r, &shown->process->sites, top, shown->allocs);
		if (shown->objects)
			show_sites(r, &shown->process->objects, top, shown->objects);
	}
	return r->codec.status;
}

int replay_largest_sites(struct replay *r, const struct site_choice *choice)
{
	struct frame *frame = r->last;

	r->codec.arena = &frame->arena;
	for (size_t i = 0; i < frame->picture.cnt; i++)
		if (frame->shown[i].allocs)
			site_states_largest(&r->codec, &frame->shown[i].process->sites, choice,
					    frame->shown[i].allocs);
	return r->codec.status;
}

const struct stack *replay_stack(const struct replay *r, const struct stack *stack)
{
	const struct stack *own = stack ? dictionary_stack_at(r->codec.dictionary, stack->id) : NULL;

	return own ? own : stack;
}

const char *replay_remark(const struct replay *r)
{
	static const char *const remarks[] = {
		[CHUNKS_FINAL] = NULL,
		[CHUNKS_CUT] =
			"it ends without its last picture: alloctrace was killed, or the disk was full; "
			"what came before is shown",
		[CHUNKS_DAMAGED] = "it is damaged; what came before is shown",
	};

	return remarks[r->in.ending];
}

int64_t replay_lead(const struct replay *r)
{
	return r->in.lead_ns;
}

double replay_progress(const struct replay *r)
{
	return r->in.limit ? (double)r->in.offset / (double)r->in.limit : 1;
}
