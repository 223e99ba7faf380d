#include "stack/debug_lines.h"

#include <dwarf.h>
#include <stdlib.h>

#include "base/search.h"

#define RANGES_MAX (8u << 20) /* in one index */
#define RANGES_OF_DIE 65536   /* of one unit or function */
#define DEPTH_MAX 64          /* of scopes within a function, and of namespaces and classes around it */
#define INLINED_MAX 32
#define DIES_MAX 1000000 /* visited for one address */

struct range {
	uint64_t start, end;
	Dwarf_Off die;
};

struct index {
	struct range *v; /* by start; functions do not overlap, units hardly ever */
	size_t cnt, cap;
};

/* Functions of the units that were asked about. */
struct unit {
	Dwarf_Off die;
	struct index functions;
	struct unit *next;
};

#define UNIT_BUCKETS 1024

struct debug_lines {
	Dwarf *dwarf;
	struct index units;
	struct unit *known[UNIT_BUCKETS];
};

static void add_range(struct index *index, uint64_t start, uint64_t end, Dwarf_Off die)
{
	if (start >= end || start == 0 || index->cnt == RANGES_MAX) /* 0: code that the linker dropped */
		return;
	if (index->cnt == index->cap) {
		size_t cap = index->cap ? index->cap * 2 : 256;
		struct range *v = realloc(index->v, cap * sizeof(*v));

		if (!v)
			return;
		index->v = v;
		index->cap = cap;
	}
	index->v[index->cnt++] = (struct range){start, end, die};
}

static void add_die(struct index *index, Dwarf_Die *die)
{
	Dwarf_Addr base, start, end;
	ptrdiff_t at = 0;

	for (unsigned i = 0; i < RANGES_OF_DIE; i++) {
		at = dwarf_ranges(die, at, &base, &start, &end);
		if (at <= 0)
			return;
		add_range(index, start, end, dwarf_dieoffset(die));
	}
}

static int by_start(const void *x, const void *y)
{
	const struct range *a = x, *b = y;

	return a->start < b->start ? -1 : a->start > b->start;
}

static void sort(struct index *index)
{
	if (index->cnt)
		qsort(index->v, index->cnt, sizeof(*index->v), by_start);
}

static uint64_t start_of(const void *v, size_t i)
{
	return ((const struct range *)v)[i].start;
}

static const struct range *find(const struct index *index, uint64_t addr)
{
	size_t upto = index->cnt ? search_upto(index->v, index->cnt, start_of, addr) : 0;

	return upto && addr < index->v[upto - 1].end ? &index->v[upto - 1] : NULL;
}

struct debug_lines *debug_lines_new(Dwarf *dwarf)
{
	struct debug_lines *lines = calloc(1, sizeof(*lines));
	Dwarf_CU *cu = NULL;
	Dwarf_Die die;

	if (!lines)
		return NULL;
	lines->dwarf = dwarf;
	while (dwarf_get_units(dwarf, cu, &cu, NULL, NULL, &die, NULL) == 0)
		add_die(&lines->units, &die);
	sort(&lines->units);
	return lines;
}

void debug_lines_free(struct debug_lines *lines)
{
	struct unit *unit, *next;

	if (!lines)
		return;
	for (size_t i = 0; i < UNIT_BUCKETS; i++) {
		for (unit = lines->known[i]; unit; unit = next) {
			next = unit->next;
			free(unit->functions.v);
			free(unit);
		}
	}
	free(lines->units.v);
	free(lines);
}

/* Where functions are found: compilers put methods and nested ones into what encloses them. */
static bool has_functions(int tag)
{
	return tag == DW_TAG_namespace || tag == DW_TAG_class_type || tag == DW_TAG_structure_type ||
	       tag == DW_TAG_union_type || tag == DW_TAG_enumeration_type || tag == DW_TAG_module;
}

static void add_functions(struct index *index, Dwarf_Die *parent, unsigned depth)
{
	Dwarf_Die die;
	int tag;

	if (depth > DEPTH_MAX || dwarf_child(parent, &die) != 0)
		return;
	do {
		tag = dwarf_tag(&die);
		if (tag == DW_TAG_subprogram)
			add_die(index, &die);
		else if (has_functions(tag))
			add_functions(index, &die, depth + 1);
	} while (index->cnt < RANGES_MAX && dwarf_siblingof(&die, &die) == 0);
}

static const struct unit *unit_of(struct debug_lines *lines, Dwarf_Die *die)
{
	Dwarf_Off offset = dwarf_dieoffset(die);
	struct unit **bucket = &lines->known[offset / 16 % UNIT_BUCKETS], *unit;

	for (unit = *bucket; unit; unit = unit->next)
		if (unit->die == offset)
			return unit;
	unit = calloc(1, sizeof(*unit));
	if (!unit)
		return NULL;
	unit->die = offset;
	add_functions(&unit->functions, die, 0);
	sort(&unit->functions);
	unit->next = *bucket;
	return *bucket = unit;
}

static bool is_scope(int tag)
{
	return tag == DW_TAG_inlined_subroutine || tag == DW_TAG_lexical_block || tag == DW_TAG_try_block ||
	       tag == DW_TAG_catch_block;
}

/* The innermost scope below *die that covers addr, one step: false if there is none. */
static bool descend(Dwarf_Die *die, uint64_t addr, unsigned *visited)
{
	Dwarf_Die child;

	if (dwarf_child(die, &child) != 0)
		return false;
	do {
		if (++*visited > DIES_MAX)
			return false;
		if (is_scope(dwarf_tag(&child)) && dwarf_haspc(&child, addr) == 1) {
			*die = child;
			return true;
		}
	} while (dwarf_siblingof(&child, &child) == 0);
	return false;
}

/* The function at addr and the calls that were inlined into it, outermost first. */
static unsigned chain_of(Dwarf_Die chain[INLINED_MAX], Dwarf_Die *function, uint64_t addr)
{
	unsigned cnt = 1, visited = 0;
	Dwarf_Die die = *function;

	chain[0] = die;
	for (unsigned depth = 0; depth < DEPTH_MAX && cnt < INLINED_MAX && descend(&die, addr, &visited);
	     depth++)
		if (dwarf_tag(&die) == DW_TAG_inlined_subroutine)
			chain[cnt++] = die;
	return cnt;
}

/* As it is linked: that says its namespace. */
static const char *name_of(Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	const char *name = NULL;

	if (dwarf_attr_integrate(die, DW_AT_linkage_name, &attr) ||
	    dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attr))
		name = dwarf_formstring(&attr);
	return name ? name : dwarf_diename(die);
}

static void put_line(struct source_frame *frame, Dwarf_Die *unit, uint64_t addr)
{
	Dwarf_Line *line = dwarf_getsrc_die(unit, addr);
	int number;

	if (!line)
		return;
	frame->file = dwarf_linesrc(line, NULL, NULL);
	if (dwarf_lineno(line, &number) == 0 && number > 0)
		frame->line = (unsigned)number;
}

/* Where an inlined function was called. */
static void put_call(struct source_frame *frame, Dwarf_Die *unit, Dwarf_Die *inlined)
{
	Dwarf_Attribute attr;
	Dwarf_Files *files;
	Dwarf_Word number;
	size_t cnt;

	if (dwarf_attr(inlined, DW_AT_call_line, &attr) && dwarf_formudata(&attr, &number) == 0)
		frame->line = (unsigned)number;
	if (dwarf_attr(inlined, DW_AT_call_file, &attr) && dwarf_formudata(&attr, &number) == 0 &&
	    dwarf_getsrcfiles(unit, &files, &cnt) == 0 && number < cnt)
		frame->file = dwarf_filesrc(files, number, NULL, NULL);
}

unsigned debug_lines_calls(struct debug_lines *lines, uint64_t addr, struct source_frame *v, unsigned max)
{
	const struct range *range = find(&lines->units, addr);
	Dwarf_Die unit_die, function, chain[INLINED_MAX];
	const struct unit *unit;
	unsigned cnt = 0;

	if (!range || !max || !dwarf_offdie(lines->dwarf, range->die, &unit_die))
		return 0;
	unit = unit_of(lines, &unit_die);
	range = unit ? find(&unit->functions, addr) : NULL;
	if (range && dwarf_offdie(lines->dwarf, range->die, &function))
		cnt = chain_of(chain, &function, addr);
	for (unsigned i = 0; i < max && (i < cnt || i == 0); i++) {
		v[i] = (struct source_frame){.function = cnt ? name_of(&chain[cnt - 1 - i]) : NULL};
		if (i == 0)
			put_line(&v[0], &unit_die, addr);
		else
			put_call(&v[i], &unit_die, &chain[cnt - i]);
	}
	return cnt ? (cnt < max ? cnt : max) : v[0].file != NULL;
}
