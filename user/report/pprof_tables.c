#include "report/pprof_tables.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/printable.h"
#include "stack/names.h"
#include "stack/texts.h"

#define PAGE 4096ULL
#define LINES_MAX 64

/* Things by their numbers, from 1. */
struct list {
	const void **v;
	size_t cnt, cap;
};

struct mapping_row {
	const struct module *module; /* NULL: known by its name alone */
	int64_t filename;
	uint64_t end; /* behind its last address */
	bool has_functions, has_files, has_lines, has_inlined;
};

struct pprof_tables {
	const char *program;
	bool failed;
	struct texts texts;
	struct map text_of; /* a text's one copy → its number */
	struct list texts_listed;
	struct map location_of; /* struct location, or a name → its number */
	struct list locations;  /* NULL: the name at that place of names */
	struct list names;
	struct map function_of; /* texts of name and file → its number */
	struct list functions;  /* … as keys */
	struct map mapping_of;  /* struct module, or a name's one copy → its number */
	struct mapping_row *mappings;
	size_t mapping_cnt, mapping_cap;
};

static void *number(uint64_t n)
{
	return (void *)(uintptr_t)n;
}

static uint64_t number_in(const struct map *map, uint64_t key)
{
	return (uint64_t)(uintptr_t)map_get(map, key);
}

static uint64_t key_of(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

/* Its number, or 0 without memory. */
static uint64_t append(struct pprof_tables *t, struct list *list, const void *thing)
{
	if (list->cnt == list->cap) {
		size_t cap = list->cap ? 2 * list->cap : 256;
		const void **v = realloc(list->v, cap * sizeof(*v));

		if (!v) {
			t->failed = true;
			return 0;
		}
		list->v = v;
		list->cap = cap;
	}
	list->v[list->cnt++] = thing;
	return list->cnt;
}

static uint64_t set(struct pprof_tables *t, struct map *map, uint64_t key, uint64_t n)
{
	if (n && !map_set(map, key, number(n)))
		return n;
	t->failed = true;
	return 0;
}

/* The program's object has the first place, kept for it: tools call the profile by its name. */
struct pprof_tables *pprof_tables_new(const char *program)
{
	struct pprof_tables *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->program = program ? program : "";
	t->mappings = calloc(16, sizeof(*t->mappings));
	t->mapping_cap = 16;
	if (!t->mappings) {
		free(t);
		return NULL;
	}
	append(t, &t->texts_listed, "");
	t->mappings[0].filename = pprof_text(t, t->program);
	t->mapping_cnt = 1;
	return t;
}

void pprof_tables_free(struct pprof_tables *t)
{
	if (!t)
		return;
	map_free(&t->text_of);
	texts_free(&t->texts);
	free(t->texts_listed.v);
	map_free(&t->location_of);
	free(t->locations.v);
	free(t->names.v);
	map_free(&t->function_of);
	free(t->functions.v);
	map_free(&t->mapping_of);
	free(t->mappings);
	free(t);
}

int64_t pprof_text(struct pprof_tables *t, const char *text)
{
	char shown[FRAME_TEXT_MAX];
	const char *copy;
	uint64_t n;

	if (!text || !*text)
		return 0;
	copy = texts_get(&t->texts, printable(shown, sizeof(shown), text));
	if (!copy) {
		t->failed = true;
		return 0;
	}
	n = number_in(&t->text_of, key_of(copy));
	if (!n)
		n = set(t, &t->text_of, key_of(copy), append(t, &t->texts_listed, copy));
	return n ? (int64_t)n - 1 : 0;
}

static uint64_t add_location(struct pprof_tables *t, const void *key, const struct location *at,
			     const char *name)
{
	uint64_t n = number_in(&t->location_of, key_of(key));

	if (n)
		return n;
	if (!append(t, &t->names, name))
		return 0;
	return set(t, &t->location_of, key_of(key), append(t, &t->locations, at));
}

uint64_t pprof_location(struct pprof_tables *t, const struct location *at)
{
	return add_location(t, at, at, NULL);
}

uint64_t pprof_named(struct pprof_tables *t, const char *name)
{
	return add_location(t, name, NULL, name);
}

static bool is_program(const struct pprof_tables *t, const char *name)
{
	size_t len = strlen(t->program);

	return len && !strncmp(frame_base_name(name), t->program, len);
}

static size_t new_mapping(struct pprof_tables *t, const struct module *module, const char *name)
{
	size_t i = t->mapping_cnt;

	if (!t->mappings[0].module && is_program(t, name)) {
		i = 0;
	} else if (i == t->mapping_cap) {
		struct mapping_row *v = realloc(t->mappings, 2 * i * sizeof(*v));

		if (!v) {
			t->failed = true;
			return 0;
		}
		t->mappings = v;
		t->mapping_cap = 2 * i;
	}
	t->mappings[i] = (struct mapping_row){.module = module, .filename = pprof_text(t, name)};
	if (i == t->mapping_cnt)
		t->mapping_cnt++;
	return i;
}

/* A place that a recording has brought along has no module, but its name. NULL: it lies in none. */
static struct mapping_row *mapping_of(struct pprof_tables *t, const struct location *at,
				      const struct frame_name *frame)
{
	const struct module *module = at->module;
	const char *name = frame->module;
	uint64_t key, n;
	size_t i;

	if (module)
		name = module->object ? object_name(module->object) : module->name;
	if (!name)
		return NULL;
	key = module ? key_of(module) : key_of(texts_get(&t->texts, name));
	n = number_in(&t->mapping_of, key);
	if (n)
		return &t->mappings[n - 1];
	i = new_mapping(t, module, name);
	set(t, &t->mapping_of, key, i + 1);
	return &t->mappings[i];
}

static uint64_t function_of(struct pprof_tables *t, const char *name, const char *file)
{
	uint64_t key = (uint64_t)pprof_text(t, name) << 32 | (uint64_t)pprof_text(t, file);
	uint64_t n = number_in(&t->function_of, key);

	return n ? n : set(t, &t->function_of, key, append(t, &t->functions, number(key)));
}

struct location_piece {
	Pprof__Location location;
	Pprof__Line lines[LINES_MAX], *line_list[LINES_MAX];
};

static void add_line(struct location_piece *p, uint64_t function, unsigned line)
{
	size_t i = p->location.n_line++;

	p->lines[i] = (Pprof__Line)PPROF__LINE__INIT;
	p->lines[i].function_id = function;
	p->lines[i].line = line;
	p->line_list[i] = &p->lines[i];
	p->location.line = p->line_list;
}

/* Without a symbol there is no line: the address says it, and tools with debug files may know more. */
static void fill_lines(struct pprof_tables *t, struct location_piece *p, const struct frame_list *list,
		       struct mapping_row *mapping)
{
	for (uint32_t i = list->cnt; i-- && p->location.n_line < LINES_MAX;) {
		const struct frame_name *frame = &list->v[i];

		if (!frame->function)
			continue;
		add_line(p, function_of(t, frame->function, frame->file), frame->line);
		if (!mapping)
			continue;
		mapping->has_functions = true;
		mapping->has_files |= frame->file != NULL;
		mapping->has_lines |= frame->line != 0;
		mapping->has_inlined |= frame->inlined;
	}
}

/* Addresses are those of returns: the call lies before. As linked, so that a mapping begins at 0. */
static void fill_location(struct pprof_tables *t, struct location_piece *p, const struct location *at)
{
	const struct frame_list *list = names_of(at);
	struct mapping_row *mapping = mapping_of(t, at, &list->v[0]);
	uint64_t addr = at->module ? at->addr : list->v[0].offset;

	if (mapping && addr) {
		p->location.address = addr - 1;
		if (mapping->end < addr)
			mapping->end = addr;
	}
	if (mapping)
		p->location.mapping_id = (uint64_t)(mapping - t->mappings) + 1;
	fill_lines(t, p, list, mapping);
}

typedef void put_piece(const Pprof__Profile *piece, void *arg);

static void put_locations(struct pprof_tables *t, put_piece *put, void *arg)
{
	for (size_t i = 0; i < t->locations.cnt; i++) {
		Pprof__Profile piece = PPROF__PROFILE__INIT;
		struct location_piece p = {.location = PPROF__LOCATION__INIT};
		Pprof__Location *location = &p.location;

		p.location.id = i + 1;
		if (t->names.v[i])
			add_line(&p, function_of(t, t->names.v[i], NULL), 0);
		else
			fill_location(t, &p, t->locations.v[i]);
		piece.n_location = 1;
		piece.location = &location;
		put(&piece, arg);
	}
}

static void put_functions(struct pprof_tables *t, put_piece *put, void *arg)
{
	for (size_t i = 0; i < t->functions.cnt; i++) {
		Pprof__Profile piece = PPROF__PROFILE__INIT;
		Pprof__Function f = PPROF__FUNCTION__INIT, *function = &f;
		uint64_t key = key_of(t->functions.v[i]);

		f.id = i + 1;
		f.name = (int64_t)(key >> 32);
		f.filename = (int64_t)(key & UINT32_MAX);
		piece.n_function = 1;
		piece.function = &function;
		put(&piece, arg);
	}
}

static int64_t build_id(struct pprof_tables *t, const struct module *module)
{
	char text[2 * BUILD_ID_MAX + 1] = "";

	for (size_t i = 0; module && i < module->build_id_sz && i < BUILD_ID_MAX; i++)
		snprintf(text + 2 * i, 3, "%02x", module->build_id[i]);
	return pprof_text(t, text);
}

static void put_mappings(struct pprof_tables *t, put_piece *put, void *arg)
{
	for (size_t i = 0; i < t->mapping_cnt; i++) {
		const struct mapping_row *row = &t->mappings[i];
		Pprof__Profile piece = PPROF__PROFILE__INIT;
		Pprof__Mapping m = PPROF__MAPPING__INIT, *mapping = &m;

		m.id = i + 1;
		m.memory_limit = (row->end + PAGE - 1) / PAGE * PAGE;
		m.filename = row->filename;
		m.build_id = build_id(t, row->module);
		m.has_functions = row->has_functions;
		m.has_filenames = row->has_files;
		m.has_line_numbers = row->has_lines;
		m.has_inline_frames = row->has_inlined;
		piece.n_mapping = 1;
		piece.mapping = &mapping;
		put(&piece, arg);
	}
}

/* Each of these brings forth what the next one puts. */
int pprof_tables_put(struct pprof_tables *t, put_piece *put, void *arg)
{
	Pprof__Profile piece = PPROF__PROFILE__INIT;

	put_locations(t, put, arg);
	put_functions(t, put, arg);
	put_mappings(t, put, arg);
	piece.n_string_table = t->texts_listed.cnt;
	piece.string_table = (char **)(uintptr_t)t->texts_listed.v;
	put(&piece, arg);
	return t->failed ? -ENOMEM : 0;
}
