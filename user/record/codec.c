#include "record/codec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "record/dictionary.h"
#include "record/format.h"

uint32_t codec_version(const struct codec *c)
{
	return c->in ? c->in->version : RECORD_VERSION;
}

bool codec_is_well(const struct codec *c)
{
	return !c->status && !(c->out ? chunk_writer_status(c->out) : c->in->status);
}

void codec_refuse(struct codec *c)
{
	if (!c->status && c->in)
		c->status = -EBADMSG;
}

void codec_number(struct codec *c, uint64_t *v)
{
	if (c->out)
		chunk_write_varint(c->out, *v);
	else
		*v = c->status ? 0 : chunk_read_varint(c->in);
}

void codec_unsigned(struct codec *c, unsigned *v)
{
	uint64_t number = *v;

	codec_number(c, &number);
	if (number > UINT32_MAX)
		codec_refuse(c);
	*v = (unsigned)number;
}

void codec_size(struct codec *c, size_t *v)
{
	uint64_t number = *v;

	codec_number(c, &number);
	*v = (size_t)number;
}

void codec_figure(struct codec *c, uint64_t *v)
{
	uint64_t stored = *v + 1;

	codec_number(c, &stored);
	*v = codec_is_well(c) ? stored - 1 : 0;
}

void codec_signed(struct codec *c, int64_t *v)
{
	uint64_t stored = (uint64_t)*v << 1 ^ (uint64_t)(*v >> 63);

	codec_number(c, &stored);
	*v = (int64_t)(stored >> 1 ^ -(stored & 1));
}

void codec_bool(struct codec *c, bool *v)
{
	uint64_t stored = *v;

	codec_number(c, &stored);
	*v = stored != 0;
}

void codec_double(struct codec *c, double *v)
{
	if (c->out)
		chunk_write(c->out, v, sizeof(*v));
	else if (c->status)
		*v = 0;
	else
		chunk_read(c->in, v, sizeof(*v));
}

unsigned codec_choice(struct codec *c, unsigned v, unsigned cnt)
{
	codec_unsigned(c, &v);
	if (v < cnt)
		return v;
	codec_refuse(c);
	return 0;
}

void codec_figures(struct codec *c, void *v, size_t size)
{
	uint64_t *figures = v;

	for (size_t i = 0; i < size / sizeof(*figures); i++)
		codec_figure(c, &figures[i]);
}

void codec_text(struct codec *c, const char **v)
{
	*v = dictionary_text(c->dictionary, c, *v);
}

void codec_name(struct codec *c, const char **v)
{
	codec_text(c, v);
	if (!*v)
		*v = "";
}

void codec_chars(struct codec *c, char *v, size_t size)
{
	const char *text = v;

	codec_text(c, &text);
	if (c->in)
		snprintf(v, size, "%s", text ? text : "");
}

void codec_stack(struct codec *c, const struct stack **v)
{
	*v = dictionary_stack(c->dictionary, c, *v);
}

void codec_allocator(struct codec *c, const struct allocator **v)
{
	*v = dictionary_allocator(c->dictionary, c, *v);
	if (!*v)
		codec_refuse(c);
}

/* Zeroed, or a copy. */
static void *room_for(struct codec *c, const void *from, size_t size)
{
	void *room = arena_get(c->arena, size);

	if (!room)
		c->status = -ENOMEM;
	else if (c->out && from)
		memcpy(room, from, size);
	return room;
}

void *codec_part(struct codec *c, const void *part, size_t size)
{
	bool there = part;

	codec_bool(c, &there);
	return there && codec_is_well(c) ? room_for(c, part, size) : NULL;
}

void *codec_list(struct codec *c, const void *list, size_t *cnt, size_t size, size_t max)
{
	void *room;

	codec_size(c, cnt);
	if (*cnt > max)
		codec_refuse(c);
	room = codec_is_well(c) ? room_for(c, list, *cnt * size) : NULL;
	if (!room)
		*cnt = 0;
	return room;
}

bool codec_next(struct codec *c, uint64_t *number, uint64_t max)
{
	uint64_t distance = codec_is_well(c) ? chunk_read_varint(c->in) : 0;

	if (distance > max || *number + distance > max) {
		codec_refuse(c);
		return false;
	}
	*number += distance;
	return distance != 0;
}
