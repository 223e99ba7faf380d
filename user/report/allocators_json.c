/* `alloctrace allocators --json`: one object. */
#include "report/allocators.h"
#include "report/json_tree.h"

#define SCHEMA 1

static void texts(struct json *j, cJSON *parent, const char *name, const char *const *words)
{
	cJSON *array = json_array(j, parent, name);

	for (; words && *words; words++)
		json_text(j, array, NULL, *words);
}

static void known(struct json *j, cJSON *array, const struct allocator *kind)
{
	struct row_counts cnt = allocators_count_rows(kind);
	cJSON *o = json_object(j, array, NULL), *purges;

	json_text(j, o, "name", kind->name);
	json_text(j, o, "layer", kind->layer);
	texts(j, o, "files", kind->file_prefixes);
	texts(j, o, "symbols", kind->fingerprint);
	texts(j, o, "prefixes", kind->prefixes);
	json_integer(j, o, "alloc_functions", cnt.allocs);
	json_integer(j, o, "free_functions", cnt.frees);
	purges = json_array(j, o, "purge_functions");
	for (const struct probe_row *row = kind->rows; row && row->symbol; row++)
		if (row->shape <= PROBE_CONTROL_MIB)
			json_text(j, purges, NULL, row->symbol);
	json_text(j, o, "purge_call", kind->purge_call);
	json_bool(j, o, "heap_walked", heap_walks(kind));
}

int report_known_json(FILE *out)
{
	struct json j;
	cJSON *array;

	json_init(&j);
	json_integer(&j, j.root, "schema", SCHEMA);
	array = json_array(&j, j.root, "known");
	for (const struct allocator *const *kind = allocators; *kind; kind++)
		known(&j, array, *kind);
	return json_write(&j, out);
}

static void cost(struct json *j, cJSON *o, const char *name, double ns)
{
	if (ns < 0)
		json_null(j, o, name);
	else
		json_integer(j, o, name, (uint64_t)ns);
}

static void probe(struct json *j, cJSON *array, const struct outlook_probe *p)
{
	const struct traced_function *fn = p->function;
	cJSON *o = json_object(j, array, NULL);

	json_text(j, o, "function", fn->symbol);
	json_text(j, o, "role", allocators_role(fn->shape));
	json_text(j, o, "object", fn->object);
	json_address(j, o, "file_offset", fn->file_offset);
	json_integer(j, o, "entry", fn->entry);
	json_text(j, o, "instruction", p->instruction);
	json_text(j, o, "why", fn->why);
	json_bool(j, o, "stepped", fn->stepped);
	json_bool(j, o, "return_probe", fn->return_probe);
	json_integer(j, o, "exits", fn->exit_cnt);
	json_integer(j, o, "unseen_exits", fn->lost_exits);
	cost(j, o, "cost_ns", p->cost);
}

static void probes(struct json *j, cJSON *parent, const struct outlook *o, const struct serving *found)
{
	cJSON *array = json_array(j, parent, "probes");

	for (size_t i = 0; i < o->cnt; i++)
		if (allocators_is_of(&o->v[i], found))
			probe(j, array, &o->v[i]);
}

static void allocator(struct json *j, cJSON *array, const struct allocators_report *r,
		      const struct serving *s)
{
	const char *version = allocators_version(r, s->kind);
	cJSON *o = json_object(j, array, NULL);

	json_text(j, o, "name", s->kind->name);
	json_text(j, o, "version", *version ? version : NULL);
	json_text(j, o, "layer", s->kind->layer);
	json_text(j, o, "object", s->object ? s->object->name : NULL);
	json_bool(j, o, "serving", s->reached);
	json_text(j, o, "purge_call", s->kind->purge_call);
	json_bool(j, o, "heap_walked", heap_walks(s->kind));
	probes(j, o, r->outlook, s);
}

static void costs(struct json *j, const struct allocators_report *r)
{
	cJSON *o;

	if (!r->cost) {
		json_null(j, j->root, "costs");
		return;
	}
	o = json_object(j, j->root, "costs");
	cost(j, o, "free_ns", r->cost->entry);
	cost(j, o, "alloc_ns", r->cost->call);
	cost(j, o, "stepped_ns", r->cost->stepped);
}

int report_allocators_json(FILE *out, const struct allocators_report *r)
{
	const char *const *missing;
	size_t cnt = missing_lines(r->outlook->missing, &missing);
	struct json j;
	cJSON *array;

	json_init(&j);
	json_integer(&j, j.root, "schema", SCHEMA);
	json_integer(&j, j.root, "pid", (uint64_t)r->process->pid);
	json_text(&j, j.root, "command", r->process->comm);
	costs(&j, r);
	json_text(&j, j.root, "costs_unknown", r->cost_unknown);
	array = json_array(&j, j.root, "allocators");
	for (size_t i = 0; i < r->found_cnt; i++)
		allocator(&j, array, r, &r->found[i]);
	probes(&j, j.root, r->outlook, NULL);
	array = json_array(&j, j.root, "missing");
	for (size_t i = 0; i < cnt; i++)
		json_text(&j, array, NULL, missing[i]);
	return json_write(&j, out);
}
