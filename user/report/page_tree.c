#include "report/page_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"

/* A stack as numbers of frames, outermost first, in the pool. */
struct path {
	size_t first;
	uint32_t cnt, stack;
};

struct page_tree_work {
	struct map locations; /* → its frames' numbers in the pool: where they begin + 1 */
	struct map by_hash;   /* of a frame → its number + 1 */
	uint32_t *same_hash;  /* by frame: the next one's number + 1 */
	uint32_t frame_cap;
	uint32_t *pool;
	size_t pool_cnt, pool_cap;
	struct path *paths;
	size_t path_cnt, path_cap;
	bool failed;
};

void page_tree_init(struct page_tree *t)
{
	*t = (struct page_tree){.work = calloc(1, sizeof(*t->work))};
}

void page_tree_free(struct page_tree *t)
{
	if (t->work) {
		map_free(&t->work->locations);
		map_free(&t->work->by_hash);
		free(t->work->same_hash);
		free(t->work->pool);
		free(t->work->paths);
	}
	free(t->work);
	free(t->frames);
	free(t->parents);
	free(t->node_frames);
	free(t->leaves);
	*t = (struct page_tree){0};
}

/* Room for one more of size bytes each. False: no memory. */
static bool grow(struct page_tree_work *w, void *v, size_t *cap, size_t cnt, size_t size)
{
	size_t more = *cap ? 2 * *cap : 1024;
	void *wider;

	if (cnt < *cap)
		return true;
	wider = realloc(*(void **)v, more * size);
	if (!wider) {
		w->failed = true;
		return false;
	}
	*(void **)v = wider;
	*cap = more;
	return true;
}

static void put_number(struct page_tree_work *w, uint32_t number)
{
	if (grow(w, &w->pool, &w->pool_cap, w->pool_cnt, sizeof(*w->pool)))
		w->pool[w->pool_cnt++] = number;
}

static uint64_t hash_of(const struct frame_name *f)
{
	uint64_t hash = map_hash(0, f->module ? f->module : "");

	hash = map_hash(hash, f->function ? f->function : "");
	hash = map_hash(hash, f->file ? f->file : "");
	return (hash ^ f->line ^ (f->function ? 0 : f->offset << 20)) * 0x100000001b3ULL;
}

static bool room_for_frame(struct page_tree *t)
{
	struct page_tree_work *w = t->work;
	size_t cap = w->frame_cap, same = w->frame_cap;

	if (!grow(w, &t->frames, &cap, t->frame_cnt, sizeof(*t->frames)) ||
	    !grow(w, &w->same_hash, &same, t->frame_cnt, sizeof(*w->same_hash)))
		return false;
	w->frame_cap = (uint32_t)cap;
	return true;
}

static uint32_t number_frame(struct page_tree *t, const struct frame_name *frame)
{
	struct page_tree_work *w = t->work;
	uint64_t hash = hash_of(frame);
	uint32_t first = (uint32_t)(uintptr_t)map_get(&w->by_hash, hash), next = first;

	while (next && frame_compare(&t->frames[next - 1], frame))
		next = w->same_hash[next - 1];
	if (next)
		return next - 1;
	if (!room_for_frame(t) || map_set(&w->by_hash, hash, (void *)(uintptr_t)(t->frame_cnt + 1))) {
		w->failed = true;
		return 0;
	}
	t->frames[t->frame_cnt] = *frame;
	w->same_hash[t->frame_cnt] = first;
	return t->frame_cnt++;
}

/* Where the numbers of a location's frames stand in the pool, after their count. */
static size_t frames_at(struct page_tree *t, const struct location *location)
{
	struct page_tree_work *w = t->work;
	const struct frame_list *list;
	uintptr_t known = (uintptr_t)map_get(&w->locations, (uintptr_t)location);

	if (known)
		return known - 1;
	known = w->pool_cnt;
	list = names_of(location);
	put_number(w, list->cnt);
	for (uint32_t i = 0; i < list->cnt; i++)
		put_number(w, number_frame(t, &list->v[i]));
	if (map_set(&w->locations, (uintptr_t)location, (void *)(known + 1)))
		w->failed = true;
	return known;
}

static uint32_t end_path(struct page_tree_work *w, size_t first)
{
	uint32_t number = (uint32_t)w->path_cnt;

	if (grow(w, &w->paths, &w->path_cap, w->path_cnt, sizeof(*w->paths)))
		w->paths[w->path_cnt++] = (struct path){first, (uint32_t)(w->pool_cnt - first), number};
	return number;
}

static void put_text(struct page_tree *t, const char *text)
{
	put_number(t->work, number_frame(t, &(struct frame_name){.function = text}));
}

uint32_t page_tree_add_text(struct page_tree *t, const char *text)
{
	size_t first;

	if (!t->work)
		return 0;
	first = t->work->pool_cnt;
	put_text(t, text);
	return end_path(t->work, first);
}

uint32_t page_tree_add(struct page_tree *t, const struct stack *stack)
{
	struct page_tree_work *w = t->work;
	size_t first;

	if (!stack || !stack->cnt || !w)
		return page_tree_add_text(t, "[no stack]");
	for (uint32_t i = 0; i < stack->cnt; i++)
		frames_at(t, stack->locations[i]); /* those that are new come into the pool before the path */
	first = w->pool_cnt;
	if (stack->cut)
		put_text(t, "[truncated]");
	for (uint32_t i = 0; i < stack->cnt; i++) {
		size_t at = frames_at(t, stack->locations[i]);

		if (w->failed)
			break;
		for (uint32_t k = 0, cnt = w->pool[at]; k < cnt; k++)
			put_number(w, w->pool[at + 1 + k]);
	}
	return end_path(w, first);
}

static int by_frames(const void *x, const void *y, void *pool)
{
	const struct path *a = x, *b = y;
	const uint32_t *left = (const uint32_t *)pool + a->first, *right = (const uint32_t *)pool + b->first;
	uint32_t common = a->cnt < b->cnt ? a->cnt : b->cnt, i = 0;

	while (i < common && left[i] == right[i])
		i++;
	if (i < common)
		return left[i] < right[i] ? -1 : 1;
	return a->cnt < b->cnt ? -1 : a->cnt > b->cnt;
}

/* The nodes of a path below what it has in common with the one before: line holds that one's nodes, by depth.
 */
static void add_nodes(struct page_tree *t, const struct path *path, uint32_t common, uint32_t *line)
{
	for (uint32_t depth = common; depth < path->cnt; depth++) {
		t->parents[t->node_cnt] = line[depth];
		t->node_frames[t->node_cnt] = t->work->pool[path->first + depth];
		line[depth + 1] = t->node_cnt++;
	}
	t->leaves[path->stack] = line[path->cnt];
}

int page_tree_build(struct page_tree *t)
{
	struct page_tree_work *w = t->work;
	size_t most = 1, longest = 0;
	uint32_t *line;

	if (!w || w->failed)
		return -ENOMEM;
	for (size_t i = 0; i < w->path_cnt; i++) {
		most += w->paths[i].cnt;
		longest = w->paths[i].cnt > longest ? w->paths[i].cnt : longest;
	}
	t->parents = calloc(most, sizeof(*t->parents));
	t->node_frames = calloc(most, sizeof(*t->node_frames));
	t->leaves = calloc(w->path_cnt + 1, sizeof(*t->leaves));
	line = calloc(longest + 1, sizeof(*line));
	if (t->parents && t->node_frames && t->leaves && line) {
		qsort_r(w->paths, w->path_cnt, sizeof(*w->paths), by_frames, w->pool);
		t->node_cnt = 1;
		for (size_t i = 0; i < w->path_cnt; i++) {
			const struct path *path = &w->paths[i], *before = i ? path - 1 : path;
			uint32_t common = 0;

			while (i && common < path->cnt && common < before->cnt &&
			       w->pool[path->first + common] == w->pool[before->first + common])
				common++;
			add_nodes(t, path, common, line);
		}
	}
	free(line);
	return t->node_cnt ? 0 : -ENOMEM;
}
