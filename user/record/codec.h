/*
 * Values to and from the stream of a recording. One function describes a value for both directions:
 * writing, it stores what it points to; reading, it fills it in. So what is read is what was
 * written, member by member.
 *
 * A codec fails once: after that, writing does nothing and reading gives zeros and NULL.
 */
#ifndef ALLOCTRACE_RECORD_CODEC_H
#define ALLOCTRACE_RECORD_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "record/chunks.h"
#include "stack/stacks.h"

struct allocator;
struct dictionary; /* record/dictionary.h */

struct codec {
	struct chunk_writer *out; /* writing; else NULL */
	struct chunk_reader *in;  /* reading; else NULL */
	struct dictionary *dictionary;
	struct arena *arena; /* of what is read, and of copies of what is written */
	int status;          /* 0, −EBADMSG: it makes no sense, −ENOMEM. Else see the chunks' own */
};

static inline bool codec_writes(const struct codec *c)
{
	return c->out != NULL;
}

/* Of the format that is read (record/format.h), or written. */
uint32_t codec_version(const struct codec *c);
/* Whether going on makes sense. */
bool codec_is_well(const struct codec *c);
/* Reading: it makes no sense. */
void codec_refuse(struct codec *c);

void codec_number(struct codec *c, uint64_t *v);   /* small, mostly */
void codec_unsigned(struct codec *c, unsigned *v); /* likewise */
void codec_size(struct codec *c, size_t *v);       /* likewise; what it counts is somewhere else */
void codec_figure(struct codec *c, uint64_t *v);   /* may be UNKNOWN */
void codec_signed(struct codec *c, int64_t *v);
void codec_bool(struct codec *c, bool *v);
void codec_double(struct codec *c, double *v);
/* An enum from 0 to cnt − 1, kept in an unsigned or an int. */
unsigned codec_choice(struct codec *c, unsigned v, unsigned cnt);
/* A struct or array of figures only: size bytes, as its caller has asserted. */
void codec_figures(struct codec *c, void *v, size_t size);

/* What is read lives as long as the dictionary. NULL stays NULL. */
void codec_text(struct codec *c, const char **v);
/* The same of one that is never NULL: reading, "" stands for it. */
void codec_name(struct codec *c, const char **v);
/* The same into a place of its own; cut to its size. */
void codec_chars(struct codec *c, char *v, size_t size);
void codec_stack(struct codec *c, const struct stack **v);
void codec_allocator(struct codec *c, const struct allocator **v); /* never NULL while all is well */

/*
 * A struct, or NULL where there is none, which is remembered. Writing: a copy of part, so that the
 * caller can go on as when reading. Reading: zeroed.
 */
void *codec_part(struct codec *c, const void *part, size_t size);
/* The same of *cnt of them; more than max make no sense. NULL, and *cnt 0, only in failure. */
void *codec_list(struct codec *c, const void *list, size_t *cnt, size_t size, size_t max);

/*
 * Reading a list of ascending numbers from 1 on, each as its distance from the one before, that 0 ends: moves
 * *number on. More than max makes no sense. False: there are no more, or going on makes no sense.
 */
bool codec_next(struct codec *c, uint64_t *number, uint64_t max);

#endif
