#include "record/event_parts.h"

/* A number as what it differs by from the one before. */
static void code_change(struct codec *c, uint64_t *v, uint64_t *before)
{
	int64_t change = (int64_t)(*v - *before);

	codec_signed(c, &change);
	*v = *before += (uint64_t)change;
}

static void code_id(struct codec *c, pid_t *id, int64_t *before)
{
	uint64_t v = (uint64_t)*id, last = (uint64_t)*before;

	code_change(c, &v, &last);
	*id = (pid_t)v;
	*before = *id;
}

void code_event_row(struct codec *c, struct event_row *row, struct event_before *before)
{
	bool is_block;

	row->kind = codec_choice(c, row->kind, EVENT_KIND_CNT);
	is_block = row->kind >= EVENT_ALLOC && row->kind <= EVENT_REALLOC;
	if (!event_row_kinds[row->kind])
		codec_refuse(c);
	code_change(c, &row->time_ns, &before->time_ns);
	code_id(c, &row->pid, &before->pid);
	code_id(c, &row->tid, &before->tid);
	codec_text(c, &row->function);
	code_change(c, &row->addr, &before->addr);
	codec_number(c, &row->size);
	codec_stack(c, &row->stack);
	if (is_block)
		return;
	codec_signed(c, &row->drop);
	codec_number(c, &row->duration_ns);
	codec_text(c, &row->text);
}
