#include "probe/unwind_tables.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../bpf/unwind.h"
#include "base/clock.h"
#include "base/map.h"
#include "target/cfi.h"
#include "target/maps.h"
#include "target/memory.h"
#include "target/object.h"

#define PARTS_MAX 4096
#define VDSO_MAX (1 << 20) /* bytes: it has two pages or four */

/* A mapping of a file, or of the vdso (inode 0), wherever it lies: where its rows are. page_cnt 0: it has
 * none. */
struct part {
	dev_t dev;
	uint64_t inode, offset;
	uint64_t linked; /* address of its first byte as linked */
	uint64_t text;
	uint32_t page, page_cnt;
};

/* An address space of the kernel side's map. */
struct space {
	uint64_t hash;     /* of what it says; 0: nothing yet */
	uint32_t user_cnt; /* processes that have it */
	uint64_t freed; /* when it was last given back, as a count: the longest unused is taken first, since
			   a stack may be under way in one that was just given back */
};

struct unwind_tables {
	const struct log *log;
	int spaces_fd, processes_fd;
	struct missing *missing;
	struct unwind_row *rows; /* the maps of the kernel side, in our memory too */
	uint64_t *pages;
	uint32_t row_cnt, page_cnt;
	struct part *parts;
	size_t part_cnt, part_cap;
	struct unwind_space next; /* as it is to be published */
	struct space *spaces;
	uint32_t space_cnt;
	uint64_t freed_cnt;
	struct map processes; /* pid → struct space */
};

static void *map_array(int fd, size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

int unwind_tables_new(const struct log *log, const struct unwind_maps *maps, struct missing *missing,
		      struct unwind_tables **result, struct error *err)
{
	struct unwind_tables *t = calloc(1, sizeof(*t));

	if (!t)
		return error_set(err, -ENOMEM, "out of memory");
	t->log = log;
	t->spaces_fd = maps->spaces;
	t->processes_fd = maps->processes;
	t->space_cnt = maps->space_cnt;
	t->spaces = calloc(t->space_cnt, sizeof(*t->spaces));
	t->missing = missing;
	t->rows = map_array(maps->rows, UNWIND_ROWS_MAX * sizeof(*t->rows));
	t->pages = map_array(maps->pages, UNWIND_PAGES_MAX * sizeof(*t->pages));
	if (!t->rows || !t->pages || !t->spaces) {
		unwind_tables_free(t);
		return error_set(err, -errno, "cannot map the unwind tables: %s", strerror(errno));
	}
	*result = t;
	return 0;
}

void unwind_tables_free(struct unwind_tables *t)
{
	if (!t)
		return;
	if (t->rows)
		munmap(t->rows, UNWIND_ROWS_MAX * sizeof(*t->rows));
	if (t->pages)
		munmap(t->pages, UNWIND_PAGES_MAX * sizeof(*t->pages));
	free(t->parts);
	free(t->spaces);
	map_free(&t->processes);
	free(t);
}

/* Appends a table; the index is made to count from the first row of all. */
static int append(struct unwind_tables *t, const struct cfi_table *table, struct part *part)
{
	uint64_t shift = t->row_cnt | (uint64_t)t->row_cnt << 32;

	if (table->row_cnt > UNWIND_ROWS_MAX - t->row_cnt || table->page_cnt > UNWIND_PAGES_MAX - t->page_cnt)
		return -ENOSPC;
	memcpy(t->rows + t->row_cnt, table->rows, table->row_cnt * sizeof(*t->rows));
	for (size_t i = 0; i < table->page_cnt; i++)
		t->pages[t->page_cnt + i] = table->pages[i] + shift;
	part->text = table->text;
	part->page = t->page_cnt;
	part->page_cnt = (uint32_t)table->page_cnt;
	t->row_cnt += (uint32_t)table->row_cnt;
	t->page_cnt += (uint32_t)table->page_cnt;
	return 0;
}

static bool is_of_file(const struct part *part, const struct mapping *m)
{
	return part->inode == m->inode && part->dev == m->dev;
}

static const struct part *part_of(const struct unwind_tables *t, const struct mapping *m)
{
	for (size_t i = 0; i < t->part_cnt; i++)
		if (is_of_file(&t->parts[i], m) && t->parts[i].offset == m->offset)
			return &t->parts[i];
	return NULL;
}

/* With the table of the file's other parts, if there are any yet. */
static struct part *part_add(struct unwind_tables *t, const struct mapping *m, bool *has_table)
{
	struct part part = {.dev = m->dev};

	if (t->part_cnt == PARTS_MAX)
		return NULL;
	if (t->part_cnt == t->part_cap) {
		size_t cap = t->part_cap ? 2 * t->part_cap : 64;
		struct part *parts = realloc(t->parts, cap * sizeof(*parts));

		if (!parts)
			return NULL;
		t->parts = parts;
		t->part_cap = cap;
	}
	*has_table = false;
	for (size_t i = 0; i < t->part_cnt && !*has_table; i++) {
		*has_table = is_of_file(&t->parts[i], m);
		if (*has_table)
			part = t->parts[i];
	}
	part.inode = m->inode;
	part.offset = m->offset;
	part.linked = 0;
	t->parts[t->part_cnt] = part;
	return &t->parts[t->part_cnt++];
}

static bool is_vdso(const struct mapping *m)
{
	return !strcmp(m->name, "[vdso]");
}

static int read_vdso(pid_t pid, const struct mapping *m, struct cfi_table *table, struct error *err)
{
	size_t size = m->end - m->start;
	void *image = size <= VDSO_MAX ? malloc(size) : NULL;
	struct memory *mem = NULL;
	int ret = image ? memory_open_process(pid, &mem, err) : -ENOMEM;

	if (!ret)
		ret = memory_read(mem, m->start, image, size) == (ssize_t)size
			      ? cfi_read_image(image, size, m->name, table, err)
			      : -EIO;
	memory_free(mem);
	free(image);
	return ret;
}

static void read_table(struct unwind_tables *t, pid_t pid, const struct mapping *m, struct object *obj,
		       struct part *part)
{
	struct cfi_table table = {.rows = NULL};
	struct error err = {.text = ""};
	int ret = obj ? cfi_read(obj, &table, &err) : read_vdso(pid, m, &table, &err);

	if (ret)
		log_note(t->log, "stacks through %s are followed by frame pointers: %s", m->name, err.text);
	else if (append(t, &table, part))
		missing_add(t->missing, "stacks through %s are cut: the unwind tables are full", m->name);
	cfi_free(&table);
}

/* NULL: nothing is known of it, and will not be. */
static const struct part *take_part(struct unwind_tables *t, pid_t pid, const struct mapping *m)
{
	struct object *obj = NULL;
	struct part *part;
	bool has_table;

	part = part_add(t, m, &has_table);
	if (!part)
		return NULL;
	if (m->inode && object_open_mapped(pid, m, &obj, NULL))
		return part;
	if (obj)
		part->linked = m->start - object_bias(obj, m);
	if (!has_table)
		read_table(t, pid, m, obj, part);
	object_free(obj);
	return part;
}

static void take_mapping(struct unwind_tables *t, pid_t pid, const struct mapping *m)
{
	/* The vdso is of no file either; memory that a JIT writes code to has no table. */
	bool has_none = !m->inode && !is_vdso(m);
	const struct part *part = has_none ? NULL : part_of(t, m) ?: take_part(t, pid, m);

	t->next.v[t->next.cnt++] = (struct unwind_mapping){
		.start = m->start,
		.end = m->end,
		.bias = part ? m->start - part->linked : 0,
		.text = part ? part->text : 0,
		.page = part ? part->page : 0,
		.page_cnt = part ? part->page_cnt : 0,
	};
}

static void give_space(struct unwind_tables *t, pid_t pid)
{
	struct space *space = map_remove(&t->processes, (uint64_t)pid);

	if (space && --space->user_cnt == 0)
		space->freed = ++t->freed_cnt;
}

static int take_space(struct unwind_tables *t, pid_t pid, struct space *space)
{
	space->user_cnt++;
	give_space(t, pid);
	if (!map_set(&t->processes, (uint64_t)pid, space))
		return 0;
	space->user_cnt--;
	return -ENOMEM;
}

static uint64_t hash_next(const struct unwind_space *next)
{
	const uint64_t *words = (const uint64_t *)next->v;
	size_t cnt = next->cnt * sizeof(next->v[0]) / sizeof(*words);
	uint64_t hash = 0xcbf29ce484222325ULL; /* FNV-1a, by words */

	for (size_t i = 0; i < cnt; i++)
		hash = (hash ^ words[i]) * 0x100000001b3ULL;
	return hash ? hash : 1;
}

/* One that says just this, or the one that has been nobody's for the longest; NULL: all are somebody's. */
static struct space *find_space(const struct unwind_tables *t, uint64_t hash)
{
	struct space *best = NULL;

	for (uint32_t i = 0; i < t->space_cnt; i++) {
		struct space *space = &t->spaces[i];

		if (space->hash == hash)
			return space;
		if (!space->user_cnt && (!best || space->freed < best->freed))
			best = space;
	}
	return best;
}

static int publish(struct unwind_tables *t, pid_t pid, struct error *err)
{
	uint64_t hash = hash_next(&t->next);
	struct space *space = find_space(t, hash);
	uint32_t tgid = (uint32_t)pid, number;

	if (!space)
		return error_set(err, -ENOSPC,
				 "cannot publish the unwind tables: more than %u processes differ in what "
				 "they have mapped",
				 t->space_cnt);
	number = (uint32_t)(space - t->spaces);
	if ((space->hash != hash && bpf_map_update_elem(t->spaces_fd, &number, &t->next, BPF_ANY)) ||
	    bpf_map_update_elem(t->processes_fd, &tgid, &number, BPF_ANY))
		return error_set(err, -errno, "cannot publish the unwind tables: %s", strerror(errno));
	space->hash = hash;
	return take_space(t, pid, space) ? error_set(err, -ENOMEM, "out of memory") : 0;
}

int unwind_tables_update(struct unwind_tables *t, pid_t pid, struct error *err)
{
	uint64_t began = clock_monotonic_ns();
	struct maps maps;
	int ret = maps_read(pid, &maps, err);

	if (ret)
		return ret;
	t->next.cnt = 0;
	for (size_t i = 0; i < maps.cnt && t->next.cnt < UNWIND_MAPPINGS_MAX; i++)
		if (maps.v[i].exec)
			take_mapping(t, pid, &maps.v[i]);
	if (t->next.cnt == UNWIND_MAPPINGS_MAX)
		missing_add(t->missing,
			    "stacks through the last of its mappings are cut: it has more than %u with code",
			    UNWIND_MAPPINGS_MAX);
	maps_free(&maps);
	log_note(t->log, "unwind tables: %u mappings, %u rows, read in %.1f ms", t->next.cnt, t->row_cnt,
		 (double)(clock_monotonic_ns() - began) / 1e6);
	return publish(t, pid, err);
}

void unwind_tables_forget(struct unwind_tables *t, pid_t pid)
{
	uint32_t tgid = (uint32_t)pid;

	bpf_map_delete_elem(t->processes_fd, &tgid);
	give_space(t, pid);
}
