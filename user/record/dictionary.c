#include "record/dictionary.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "record/format.h"
#include "stack/texts.h"

#define FRAMES_MAX 64      /* of one location */
#define LOCATIONS_MAX 1024 /* of one stack */
#define MODULES_MAX 65536
#define ALLOCATORS_MAX 1024

/* What has been numbered. Writing: numbers by key. Reading: values by number. */
struct numbered {
	struct map numbers; /* of writing: key → number */
	void **v;           /* of reading: v[number − 1] */
	size_t cnt, cap, max;
};

/* A location that was stored with less than what it may come to be called. */
struct pending {
	struct location *at;
	uint64_t number;
	enum location_stage stored;
};

struct dictionary {
	struct numbered texts, allocators, modules, locations, stacks;
	struct texts written; /* one pointer a text */
	struct names *names;  /* asks for those of what is written; NULL: all are known */
	struct pending *pending;
	size_t pending_cnt, pending_cap;
	struct arena arena; /* of what is read */
};

struct dictionary *dictionary_new(size_t max_memory)
{
	struct dictionary *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->arena.max = max_memory;
	d->texts.max = RECORD_TEXTS_MAX;
	d->allocators.max = ALLOCATORS_MAX;
	d->modules.max = MODULES_MAX;
	d->locations.max = RECORD_LOCATIONS_MAX;
	d->stacks.max = RECORD_STACKS_MAX;
	return d;
}

static void numbered_free(struct numbered *n)
{
	map_free(&n->numbers);
	free(n->v);
}

void dictionary_free(struct dictionary *d)
{
	if (!d)
		return;
	numbered_free(&d->texts);
	numbered_free(&d->allocators);
	numbered_free(&d->modules);
	numbered_free(&d->locations);
	numbered_free(&d->stacks);
	texts_free(&d->written);
	arena_reset(&d->arena);
	free(d->pending);
	free(d);
}

/* Room in v for one more. */
static int make_room(struct numbered *n)
{
	size_t cap = n->cap ? 2 * n->cap : 256;
	void **v;

	if (n->cnt < n->cap)
		return 0;
	v = realloc(n->v, cap * sizeof(void *));
	if (!v)
		return -ENOMEM;
	n->v = v;
	n->cap = cap;
	return 0;
}

/*
 * The number of a thing. Writing: of what key stands for. *is_new: what it is follows, and has that
 * number now; reading, the caller sets v[number − 1]. 0: none, or failure.
 */
static uint64_t number_of(struct numbered *n, struct codec *c, uint64_t key, bool *is_new)
{
	uint64_t number = 0;

	*is_new = false;
	if (c->out && key) {
		number = (uintptr_t)map_get(&n->numbers, key);
		*is_new = !number && n->cnt < n->max;
		if (*is_new && !map_set(&n->numbers, key, (void *)(uintptr_t)(n->cnt + 1)))
			number = ++n->cnt;
	}
	codec_number(c, &number);
	if (c->out || !codec_is_well(c) || !number)
		return codec_is_well(c) ? number : 0;
	if (number > n->cnt + 1 || number > n->max || (number > n->cnt && make_room(n))) {
		codec_refuse(c);
		return 0;
	}
	*is_new = number > n->cnt;
	if (*is_new)
		n->v[n->cnt++] = NULL;
	return number;
}

/* What is read, for as long as the dictionary. */
static void *keep(struct dictionary *d, struct codec *c, size_t size)
{
	void *room = codec_is_well(c) ? arena_get(&d->arena, size) : NULL;

	if (!room && codec_is_well(c))
		c->status = -ENOMEM;
	return room;
}

static const char *read_text(struct dictionary *d, struct codec *c)
{
	uint64_t len = 0;
	char *text;

	codec_number(c, &len);
	if (len > RECORD_TEXT_LEN_MAX)
		codec_refuse(c);
	text = keep(d, c, len + 1);
	if (text)
		chunk_read(c->in, text, len);
	return text;
}

static void write_text(struct codec *c, const char *text)
{
	uint64_t len = strnlen(text, RECORD_TEXT_LEN_MAX);

	codec_number(c, &len);
	chunk_write(c->out, text, len);
}

const char *dictionary_text(struct dictionary *d, struct codec *c, const char *text)
{
	const char *own = c->out ? texts_get(&d->written, text) : NULL;
	bool is_new;
	uint64_t number = number_of(&d->texts, c, (uintptr_t)own, &is_new);

	if (c->out) {
		if (is_new)
			write_text(c, own);
		return text;
	}
	if (is_new)
		d->texts.v[number - 1] = (void *)read_text(d, c);
	return number ? d->texts.v[number - 1] : NULL;
}

static void code_allocator(struct codec *c, struct allocator *kind)
{
	codec_text(c, &kind->name);
	codec_text(c, &kind->purge_call);
	codec_text(c, &kind->layer);
	codec_text(c, &kind->remedy);
	if (!kind->name)
		codec_refuse(c);
}

const struct allocator *dictionary_allocator(struct dictionary *d, struct codec *c,
					     const struct allocator *kind)
{
	bool is_new;
	uint64_t number = number_of(&d->allocators, c, (uintptr_t)kind, &is_new);
	struct allocator copy;

	if (c->out) {
		if (is_new) {
			copy = *kind;
			code_allocator(c, &copy);
		}
		return kind;
	}
	if (is_new) {
		d->allocators.v[number - 1] = keep(d, c, sizeof(copy));
		if (d->allocators.v[number - 1])
			code_allocator(c, d->allocators.v[number - 1]);
	}
	return number ? d->allocators.v[number - 1] : NULL;
}

static void code_build_id(struct codec *c, struct module *m)
{
	codec_size(c, &m->build_id_sz);
	if (m->build_id_sz > sizeof(m->build_id)) {
		codec_refuse(c);
		m->build_id_sz = 0;
	}
	if (c->out)
		chunk_write(c->out, m->build_id, m->build_id_sz);
	else
		chunk_read(c->in, m->build_id, m->build_id_sz);
}

static void code_module(struct codec *c, struct module *m)
{
	m->kind = codec_choice(c, m->kind, MODULE_JIT + 1);
	codec_text(c, &m->name);
	code_build_id(c, m);
}

static struct module *module_of(struct dictionary *d, struct codec *c, struct module *module)
{
	bool is_new;
	uint64_t number = number_of(&d->modules, c, (uintptr_t)module, &is_new);

	if (c->out) {
		if (is_new) {
			struct module copy = *module;

			code_module(c, &copy);
		}
		return module;
	}
	if (is_new) {
		d->modules.v[number - 1] = keep(d, c, sizeof(struct module));
		if (d->modules.v[number - 1])
			code_module(c, d->modules.v[number - 1]);
	}
	return number ? d->modules.v[number - 1] : NULL;
}

static void code_frame(struct codec *c, struct frame_name *f)
{
	f->kind = codec_choice(c, f->kind, FRAME_PYTHON + 1);
	codec_bool(c, &f->inlined);
	codec_unsigned(c, &f->line);
	codec_text(c, &f->function);
	codec_text(c, &f->module);
	codec_text(c, &f->file);
	codec_number(c, &f->offset);
	/* Forms rely on one of them. */
	if (!f->function && !f->module)
		f->function = "[unknown]";
}

static void write_frames(struct codec *c, const struct location *at)
{
	const struct frame_list *list = names_of(at);
	uint64_t cnt = list->cnt < FRAMES_MAX ? list->cnt : FRAMES_MAX;

	codec_number(c, &cnt);
	for (uint64_t i = 0; i < cnt; i++) {
		struct frame_name copy = list->v[i];

		code_frame(c, &copy);
	}
}

static void read_frames(struct dictionary *d, struct codec *c, struct location *at)
{
	struct frame_list *list;
	uint64_t cnt = 0;

	codec_number(c, &cnt);
	if (!cnt || cnt > FRAMES_MAX)
		codec_refuse(c);
	list = keep(d, c, sizeof(*list) + cnt * sizeof(list->v[0]));
	if (!list)
		return;
	list->cnt = (uint32_t)cnt;
	for (uint64_t i = 0; i < cnt; i++)
		code_frame(c, &list->v[i]);
	if (at)
		at->frames = list;
}

static void remember(struct dictionary *d, struct location *at, uint64_t number)
{
	size_t cap = d->pending_cap ? 2 * d->pending_cap : 256;
	struct pending *v = d->pending;

	if (d->pending_cnt == d->pending_cap) {
		v = realloc(d->pending, cap * sizeof(*v));
		if (!v)
			return; /* it stays as it is called now */
		d->pending = v;
		d->pending_cap = cap;
	}
	v[d->pending_cnt++] = (struct pending){at, number, at->stage};
}

static void write_location(struct dictionary *d, struct codec *c, struct location *at, uint64_t number)
{
	module_of(d, c, at->module);
	codec_number(c, &(uint64_t){at->addr});
	write_frames(c, at);
	if (at->stage != LOCATION_DONE)
		remember(d, at, number);
}

static struct location *read_location(struct dictionary *d, struct codec *c)
{
	struct location *at = keep(d, c, sizeof(*at));

	if (!at)
		return NULL;
	at->module = module_of(d, c, NULL);
	codec_number(c, &at->addr);
	at->stage = LOCATION_DONE;
	read_frames(d, c, at);
	return at;
}

/* Never NULL while all is well. */
static struct location *location_of(struct dictionary *d, struct codec *c, struct location *at)
{
	bool is_new;
	uint64_t number;

	if (c->out)
		names_want(d->names, at);
	number = number_of(&d->locations, c, (uintptr_t)at, &is_new);
	if (c->out) {
		if (is_new)
			write_location(d, c, at, number);
		if (!number)
			c->status = -ENOMEM;
		return at;
	}
	if (is_new)
		d->locations.v[number - 1] = read_location(d, c);
	if (!number || !d->locations.v[number - 1]) {
		codec_refuse(c);
		return NULL;
	}
	return d->locations.v[number - 1];
}

static void write_stack(struct dictionary *d, struct codec *c, const struct stack *stack)
{
	codec_choice(c, stack->cut, STACK_CUT_CNT);
	codec_number(c, &(uint64_t){stack->cnt});
	for (uint32_t i = 0; i < stack->cnt; i++)
		location_of(d, c, stack->locations[i]);
}

static struct stack *read_stack(struct dictionary *d, struct codec *c, uint64_t number)
{
	enum stack_cut cut = codec_choice(c, 0, STACK_CUT_CNT);
	struct stack *stack;
	uint64_t cnt = 0;

	codec_number(c, &cnt);
	if (cnt > LOCATIONS_MAX)
		codec_refuse(c);
	stack = keep(d, c, sizeof(*stack) + cnt * sizeof(stack->locations[0]));
	if (!stack)
		return NULL;
	stack->id = number;
	stack->cut = cut;
	for (uint64_t i = 0; i < cnt && codec_is_well(c); i++) {
		struct location *at = location_of(d, c, NULL);

		if (at)
			stack->locations[stack->cnt++] = at;
	}
	return stack;
}

/* Ids are hashes of the places, the same for all processes; those of tests have none. */
const struct stack *dictionary_stack(struct dictionary *d, struct codec *c, const struct stack *stack)
{
	uint64_t key = !stack ? 0 : stack->id ? stack->id : (uintptr_t)stack;
	bool is_new;
	uint64_t number = number_of(&d->stacks, c, key, &is_new);

	if (c->out) {
		if (is_new)
			write_stack(d, c, stack);
		return stack;
	}
	if (is_new)
		d->stacks.v[number - 1] = read_stack(d, c, number);
	return number ? d->stacks.v[number - 1] : NULL;
}

const struct stack *dictionary_stack_at(const struct dictionary *d, uint64_t number)
{
	return number && number <= d->stacks.cnt ? d->stacks.v[number - 1] : NULL;
}

void dictionary_ask(struct dictionary *d, struct names *names)
{
	d->names = names;
}

void dictionary_want(struct dictionary *d)
{
	for (size_t i = 0; i < d->pending_cnt; i++)
		names_want(d->names, d->pending[i].at);
}

static bool has_more(const struct pending *p)
{
	return p->at->stage != p->stored && p->at->stage >= LOCATION_SYMBOL;
}

size_t dictionary_named(const struct dictionary *d)
{
	size_t cnt = 0;

	for (size_t i = 0; i < d->pending_cnt; i++)
		cnt += has_more(&d->pending[i]);
	return cnt;
}

static void write_names(struct dictionary *d, struct codec *c)
{
	size_t kept = 0;

	for (size_t i = 0; i < d->pending_cnt; i++) {
		struct pending *p = &d->pending[i];

		if (has_more(p)) {
			codec_number(c, &p->number);
			write_frames(c, p->at);
			p->stored = p->at->stage;
		}
		if (p->stored != LOCATION_DONE)
			d->pending[kept++] = *p;
	}
	d->pending_cnt = kept;
	codec_number(c, &(uint64_t){0});
}

void dictionary_rename(struct dictionary *d, struct codec *c)
{
	uint64_t number = 0;

	if (c->out) {
		write_names(d, c);
		return;
	}
	for (codec_number(c, &number); number && codec_is_well(c); codec_number(c, &number)) {
		if (number > d->locations.cnt || !d->locations.v[number - 1]) {
			codec_refuse(c);
			return;
		}
		read_frames(d, c, d->locations.v[number - 1]);
	}
}
