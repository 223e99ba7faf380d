/* `alloctrace allocators` for people. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/printable.h"
#include "base/units.h"
#include "report/allocators.h"
#include "report/emit.h"
#include "report/table.h"

#define LIST_MAX 256

static int finish(FILE *mem, char **text, size_t *len, FILE *out, int result)
{
	if (fclose(mem) && !result)
		result = -ENOMEM;
	if (!result)
		result = emit_bytes(out, *text, *len);
	free(*text);
	return result;
}

/* "mallocx, mallctlbymib"; returns buf. */
static const char *list(char buf[LIST_MAX], const char *const *words, const char *separator)
{
	size_t used = 0;

	buf[0] = '\0';
	for (const char *const *word = words; words && *word && used < LIST_MAX; word++)
		if (**word)
			used += (size_t)snprintf(buf + used, LIST_MAX - used, "%s%s", used ? separator : "",
						 *word);
	return buf;
}

static const char *purge_list(char buf[LIST_MAX], const struct allocator *kind)
{
	size_t used = 0;

	snprintf(buf, LIST_MAX, "none");
	for (const struct probe_row *row = kind->rows; row && row->symbol && used < LIST_MAX; row++)
		if (row->shape <= PROBE_CONTROL_MIB && strncmp(row->symbol, "_Z", 2) != 0)
			used += (size_t)snprintf(buf + used, LIST_MAX - used, "%s%s", used ? ", " : "",
						 row->symbol);
	return buf;
}

static void known_row(struct table *t, const struct allocator *kind)
{
	struct row_counts cnt = allocators_count_rows(kind);
	char text[LIST_MAX], more[LIST_MAX];

	table_cell(t, TABLE_BOLD, "%s", kind->name);
	table_cell(t, TABLE_PLAIN, "%u", cnt.allocs);
	table_cell(t, TABLE_PLAIN, "%u", cnt.frees);
	table_cell(t, TABLE_PLAIN, "%s", heap_walks(kind) ? "walked" : "–");
	table_cell(t, TABLE_PLAIN, "%s", kind->layer ? "no call returns it" : purge_list(text, kind));
	list(text, kind->fingerprint, " or ");
	if (kind->prefixes)
		table_cell(t, TABLE_PLAIN, "%s, also with %s", text, list(more, kind->prefixes, ", "));
	else
		table_cell(t, TABLE_PLAIN, "%s", text);
}

int report_known_text(FILE *out)
{
	static const char *const names[] = {
		"allocator", "alloc", "free", "heap", "purges", "an object has it that defines", NULL};
	struct table *t = table_new("lrrlll");
	char *text = NULL;
	size_t len;
	FILE *mem = open_memstream(&text, &len);
	int result;

	if (!mem) {
		table_free(t);
		return -ENOMEM;
	}
	table_heading(t, names);
	for (const struct allocator *const *kind = allocators; *kind; kind++)
		known_row(t, *kind);
	result = table_print(t, mem, "", false);
	fputs("\nAnother one's functions: --symbol-prefix, --object of attach, run and allocators.\n", mem);
	table_free(t);
	return finish(mem, &text, &len, out, result);
}

static void cell_cost(struct table *t, const struct outlook_probe *p)
{
	char time[UNITS_TEXT_MAX];

	if (p->cost < 0)
		table_cell(t, TABLE_PLAIN, "–");
	else
		table_cell(t, TABLE_PLAIN, "%s%s", p->function->shape < PROBE_ALLOC ? "from " : "",
			   units_time(time, (uint64_t)p->cost));
}

static void cell_end(struct table *t, const struct traced_function *fn)
{
	if (fn->return_probe)
		table_cell(t, TABLE_PLAIN, "return probe");
	else if (fn->exit_cnt)
		table_cell(t, TABLE_PLAIN, "%u exit%s%s", fn->exit_cnt, fn->exit_cnt > 1 ? "s" : "",
			   fn->lost_exits ? ", not all" : "");
	else
		table_cell(t, TABLE_PLAIN, "–");
}

static void probe_row(struct table *t, const struct outlook_probe *p)
{
	const struct traced_function *fn = p->function;

	table_cell(t, TABLE_PLAIN, "%s", fn->symbol);
	table_cell(t, TABLE_PLAIN, "%s", allocators_role(fn->shape));
	table_cell(t, TABLE_PLAIN, "%#" PRIx64, fn->file_offset);
	table_cell(t, TABLE_PLAIN, "+%" PRIu32, fn->entry);
	table_cell(t, TABLE_PLAIN, "%s", p->instruction);
	table_cell(t, fn->stepped ? TABLE_BOLD : TABLE_PLAIN, "%s", fn->stepped ? "stepped" : "emulated");
	cell_end(t, fn);
	cell_cost(t, p);
}

/* The probes of one allocator in one object; or, with found NULL, the C library's and the loader's own. */
static int put_probes(FILE *out, const struct outlook *o, const struct serving *found)
{
	static const char *const names[] = {"function", "for",     "file offset",  "",  "instruction",
					    "",         "its end", "a call costs", NULL};
	struct table *t = table_new("llrllllr");
	int result = 0;
	size_t cnt = 0;

	table_heading(t, names);
	for (size_t i = 0; i < o->cnt; i++) {
		if (!allocators_is_of(&o->v[i], found))
			continue;
		probe_row(t, &o->v[i]);
		cnt++;
	}
	if (cnt)
		result = table_print(t, out, "  ", false);
	table_free(t);
	return result;
}

static int put_allocator(FILE *out, const struct allocators_report *r, const struct serving *s)
{
	const char *version = allocators_version(r, s->kind);
	char name[512];

	fprintf(out, "\n%s%s%s %s: %s\n", s->kind->name, *version ? " " : "", version,
		s->kind->layer ? "is a layer"
		: s->reached   ? "serves"
			       : "does not serve",
		s->object ? printable(name, sizeof(name), s->object->name) : "known by its heap alone");
	if (s->kind->layer)
		fprintf(out, "  %s: no probes, no call returns it\n", s->kind->layer);
	else if (s->kind->purge_call)
		fprintf(out, "  purge: %s; heap %s\n", s->kind->purge_call,
			heap_walks(s->kind) ? "walked" : "not walked");
	return put_probes(out, r->outlook, s);
}

static void put_head(FILE *out, const struct allocators_report *r)
{
	char name[64], a[UNITS_TEXT_MAX], b[UNITS_TEXT_MAX], c[UNITS_TEXT_MAX];

	fprintf(out, "%s (%d): %zu allocator%s, %zu functions to probe\n",
		printable(name, sizeof(name), r->process->comm), r->process->pid, r->found_cnt,
		r->found_cnt == 1 ? "" : "s", r->outlook->cnt);
	if (r->cost)
		fprintf(out, "here a free costs %s, an allocation %s, %s more where it must be stepped\n",
			units_time(a, (uint64_t)r->cost->entry), units_time(b, (uint64_t)r->cost->call),
			units_time(c, (uint64_t)r->cost->stepped));
	else
		fprintf(out, "what a call costs is not known: %s\n", r->cost_unknown);
}

int report_allocators_text(FILE *out, const struct allocators_report *r)
{
	char *text = NULL, line[512];
	const char *const *missing;
	size_t len, cnt;
	FILE *mem = open_memstream(&text, &len);
	int result = 0;

	if (!mem)
		return -ENOMEM;
	put_head(mem, r);
	for (size_t i = 0; i < r->found_cnt && !result; i++)
		result = put_allocator(mem, r, &r->found[i]);
	fputs("\nthe C library's and the loader's own\n", mem);
	if (!result)
		result = put_probes(mem, r->outlook, NULL);
	cnt = missing_lines(r->outlook->missing, &missing);
	for (size_t i = 0; i < cnt; i++)
		fprintf(mem, "%snot seen: %s\n", i ? "" : "\n", printable(line, sizeof(line), missing[i]));
	return finish(mem, &text, &len, out, result);
}
