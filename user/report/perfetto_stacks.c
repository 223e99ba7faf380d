#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/printable.h"
#include "report/perfetto.h"

/* What a place stands for, outermost first. */
struct place {
	uint32_t cnt;
	uint32_t frames[];
};

void perfetto_stacks_free(struct perfetto_stacks *t)
{
	for (size_t i = 0; i < t->places.cap; i++)
		free(t->places.slots[i].value);
	map_free(&t->places);
	text_numbering_free(&t->functions);
	text_numbering_free(&t->paths);
	text_numbering_free(&t->sources);
	text_numbering_free(&t->build_ids);
	numbering_free(&t->mappings);
	numbering_free(&t->called);
	numbering_free(&t->halves);
	numbering_free(&t->frames);
	map_free(&t->callstacks);
	free(t->known);
	free(t->frame_ids);
}

static void define(struct perfetto *p, Perfetto__InternedData *data)
{
	Perfetto__TracePacket packet = PERFETTO__TRACE_PACKET__INIT;

	packet.interned_data = data;
	perfetto_put(p, &packet);
}

/* Of which array of InternedData a text is. */
struct text_array {
	size_t cnt, v; /* its fields */
};
#define ARRAY(name)                                                                                          \
	(const struct text_array)                                                                            \
	{                                                                                                    \
		offsetof(Perfetto__InternedData, n_##name), offsetof(Perfetto__InternedData, name)           \
	}

static void define_bytes(struct perfetto *p, struct text_array array, uint32_t number, const void *bytes,
			 size_t len)
{
	Perfetto__InternedData data = PERFETTO__INTERNED_DATA__INIT;
	Perfetto__InternedString text = PERFETTO__INTERNED_STRING__INIT, *texts = &text;

	text.iid = number;
	text.str = (ProtobufCBinaryData){len, (uint8_t *)(uintptr_t)bytes};
	*(size_t *)((char *)&data + array.cnt) = 1;
	*(Perfetto__InternedString ***)((char *)&data + array.v) = &texts;
	define(p, &data);
}

/* 0: no memory, or no text. */
static uint32_t text_of(struct perfetto *p, struct text_numbering *n, struct text_array array,
			const char *text)
{
	char name[FRAME_TEXT_MAX];
	uint32_t number;
	bool is_new;

	if (!text)
		return 0;
	number = text_numbering_get(n, printable(name, sizeof(name), text), &is_new);
	if (is_new)
		define_bytes(p, array, number, name, strlen(name));
	return number;
}

static uint32_t build_id_of(struct perfetto *p, const struct module *module)
{
	char hex[2 * BUILD_ID_MAX + 1] = "";
	uint32_t number;
	bool is_new;

	if (!module || !module->build_id_sz)
		return 0;
	for (size_t i = 0; i < module->build_id_sz; i++)
		snprintf(hex + 2 * i, 3, "%02x", module->build_id[i]);
	number = text_numbering_get(&p->stacks.build_ids, hex, &is_new);
	if (is_new)
		define_bytes(p, ARRAY(build_ids), number, module->build_id, module->build_id_sz);
	return number;
}

/* What a frame lies in: an object, else a file of Python's. */
static const char *path_of(const struct location *at, const struct frame_name *name)
{
	if (name->module)
		return name->module;
	if (name->file)
		return name->file;
	return at && at->module && at->module->name ? at->module->name : "[unknown]";
}

static uint32_t mapping_of(struct perfetto *p, const struct location *at, const struct frame_name *name)
{
	uint32_t path = text_of(p, &p->stacks.paths, ARRAY(mapping_paths), path_of(at, name));
	uint32_t build_id = name->module && at ? build_id_of(p, at->module) : 0;
	Perfetto__InternedData data = PERFETTO__INTERNED_DATA__INIT;
	Perfetto__Mapping mapping = PERFETTO__MAPPING__INIT, *mappings = &mapping;
	uint64_t paths[] = {path};
	bool is_new = false;
	uint32_t number = path ? numbering_child(&p->stacks.mappings, path, build_id, &is_new) : 0;

	if (!is_new)
		return number;
	mapping.iid = number;
	mapping.build_id = build_id;
	mapping.n_path_string_ids = 1;
	mapping.path_string_ids = paths;
	data.n_mappings = 1;
	data.mappings = &mappings;
	define(p, &data);
	return number;
}

/* Where there is no address in an object, the line tells places of one function apart. */
static uint64_t address_of(const struct frame_name *name)
{
	return name->module ? name->offset : name->line;
}

/* Readers take frames of one object, address and function for one and the same. 0: no memory. */
static uint32_t number_frame(struct perfetto_stacks *t, uint32_t mapping, uint32_t function, uint64_t address,
			     bool *is_new)
{
	uint32_t number;

	number = numbering_child(&t->called, mapping, function, is_new);
	number = number ? numbering_child(&t->halves, number, (uint32_t)(address >> 32), is_new) : 0;
	return number ? numbering_child(&t->frames, number, (uint32_t)address, is_new) : 0;
}

/* 0: no memory. */
static uint32_t frame_of(struct perfetto *p, const struct location *at, const struct frame_name *name)
{
	Perfetto__InternedData data = PERFETTO__INTERNED_DATA__INIT;
	Perfetto__Frame frame = PERFETTO__FRAME__INIT, *frames = &frame;
	char text[FRAME_TEXT_MAX];
	bool is_new = false;
	uint32_t number;

	frame_text(text, sizeof(text), name, &(struct frame_form){0});
	frame.function_name_id = text_of(p, &p->stacks.functions, ARRAY(function_names), text);
	frame.mapping_id = mapping_of(p, at, name);
	frame.rel_pc = address_of(name);
	if (!frame.function_name_id || !frame.mapping_id)
		return 0;
	number = number_frame(&p->stacks, (uint32_t)frame.mapping_id, (uint32_t)frame.function_name_id,
			      frame.rel_pc, &is_new);
	if (!is_new)
		return number;
	frame.iid = number;
	frame.source_path_iid = text_of(p, &p->stacks.sources, ARRAY(source_paths), name->file);
	frame.line_number = name->file ? name->line : 0;
	data.n_frames = 1;
	data.frames = &frames;
	define(p, &data);
	return number;
}

/* NULL: no memory. */
static const struct place *place_of(struct perfetto *p, const struct location *at)
{
	struct map *places = &p->stacks.places;
	struct place *place = map_get(places, (uintptr_t)at);
	const struct frame_list *list;

	if (place)
		return place;
	list = names_of(at);
	place = malloc(sizeof(*place) + list->cnt * sizeof(place->frames[0]));
	if (!place || map_set(places, (uintptr_t)at, place)) {
		free(place);
		return NULL;
	}
	place->cnt = list->cnt;
	for (uint32_t i = 0; i < list->cnt; i++)
		place->frames[i] = frame_of(p, at, &list->v[i]);
	return place;
}

/* Room in an array of that many elements for more; NULL: no memory, and it stays as it was. */
static void *room_for(void *v, size_t *cap, size_t cnt, size_t size)
{
	size_t more = *cap ? *cap : 1024;
	void *bigger = v;

	while (more < cnt)
		more *= 2;
	if (cnt > *cap)
		bigger = realloc(v, more * size);
	if (bigger)
		*cap = cnt > *cap ? more : *cap;
	return bigger;
}

static int push(struct perfetto_stacks *t, uint32_t frame)
{
	uint64_t *ids = frame ? room_for(t->frame_ids, &t->frame_cap, t->frame_cnt + 1, sizeof(*ids)) : NULL;

	if (!ids)
		return -ENOMEM;
	t->frame_ids = ids;
	t->frame_ids[t->frame_cnt++] = frame;
	return 0;
}

static int push_words(struct perfetto *p, const char *words)
{
	return push(&p->stacks, frame_of(p, NULL, &(struct frame_name){.function = words}));
}

/* Makes it the stack at hand. */
static int take_frames(struct perfetto *p, const struct stack *stack)
{
	int rc = 0;

	p->stacks.frame_cnt = 0;
	if (!stack || !stack->cnt)
		return push_words(p, "[no stack]");
	if (stack->cut)
		rc = push_words(p, "[truncated]");
	for (uint32_t i = 0; i < stack->cnt && !rc; i++) {
		const struct place *place = place_of(p, stack->locations[i]);

		rc = place ? 0 : -ENOMEM;
		for (uint32_t f = 0; !rc && f < place->cnt; f++)
			rc = push(&p->stacks, place->frames[f]);
	}
	return rc;
}

static bool is_at_hand(const struct perfetto_stacks *t, const uint32_t *known)
{
	size_t i = 0;

	while (i < t->frame_cnt && known[1] == t->frame_cnt && known[2 + i] == t->frame_ids[i])
		i++;
	return i == t->frame_cnt;
}

/* 0: no memory. */
static uint32_t add_known(struct perfetto_stacks *t, uint64_t key)
{
	size_t at = t->known_cnt ? t->known_cnt : 1; /* never 0 */
	uint32_t *v = room_for(t->known, &t->known_cap, at + 2 + t->frame_cnt, sizeof(*v));

	if (!v)
		return 0;
	t->known = v;
	if (map_set(&t->callstacks, key, (void *)(uintptr_t)at))
		return 0;
	v[at] = ++t->callstack_cnt;
	v[at + 1] = (uint32_t)t->frame_cnt;
	for (size_t i = 0; i < t->frame_cnt; i++)
		v[at + 2 + i] = (uint32_t)t->frame_ids[i];
	t->known_cnt = at + 2 + t->frame_cnt;
	return t->callstack_cnt;
}

/* The number of the stack at hand; 0: no memory. Those that share a hash take the next ones. */
static uint32_t number_at_hand(struct perfetto_stacks *t, bool *is_new)
{
	uint64_t key = 0xcbf29ce484222325ULL; /* FNV-1a, by words */
	size_t at;

	for (size_t i = 0; i < t->frame_cnt; i++)
		key = (key ^ t->frame_ids[i]) * 0x100000001b3ULL;
	while ((at = (size_t)(uintptr_t)map_get(&t->callstacks, key)) && !is_at_hand(t, &t->known[at]))
		key++;
	*is_new = !at;
	return at ? t->known[at] : add_known(t, key);
}

int perfetto_stack(struct perfetto *p, const struct stack *stack, uint32_t *number)
{
	Perfetto__InternedData data = PERFETTO__INTERNED_DATA__INIT;
	Perfetto__Callstack callstack = PERFETTO__CALLSTACK__INIT, *callstacks = &callstack;
	bool is_new;
	int rc = take_frames(p, stack);

	if (rc)
		return rc;
	*number = number_at_hand(&p->stacks, &is_new);
	if (!*number)
		return -ENOMEM;
	if (!is_new)
		return 0;
	callstack.iid = *number;
	callstack.n_frame_ids = p->stacks.frame_cnt;
	callstack.frame_ids = p->stacks.frame_ids;
	data.n_callstacks = 1;
	data.callstacks = &callstacks;
	define(p, &data);
	return p->rc;
}
