#include "report/stack_keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/map.h"
#include "stack/names.h"

#define PLACES_MIN 1024
#define SEVERAL UINT32_MAX /* in place of a number */

/* A frame's text without its line. */
struct text {
	const struct frame_name *name; /* one that says it */
	uint32_t number;
	struct text *same_hash;
};

/* What a frame says, as numbers: equal ones, equal texts. */
struct numbers {
	uint32_t whole, lineless;
};

/* A location's frame; of several (calls that were inlined) whole is SEVERAL, lineless their place in lists.
 */
struct place {
	const struct location *at; /* NULL: the slot is free */
	struct numbers frame;
};

struct list {
	uint32_t cnt;
	struct numbers v[]; /* outermost first */
};

struct stack_keys {
	struct map texts; /* hash → struct text */
	struct map lines; /* number of a text and a line → a number + 1 */
	uint32_t text_cnt, line_cnt;
	struct place
		*places; /* by location; open addressing: a stack has many, and they are looked for often */
	size_t place_cnt, place_cap;
	struct list **lists;
	uint32_t list_cnt, list_cap;
	uint64_t secret[4];
};

struct stack_keys *stack_keys_new(void)
{
	struct stack_keys *k = calloc(1, sizeof(*k));

	if (k)
		k->places = calloc(PLACES_MIN, sizeof(*k->places));
	if (!k || !k->places) {
		free(k);
		return NULL;
	}
	k->place_cap = PLACES_MIN;
	/* Where nothing random can be had, chance alone keeps them apart. */
	if (getrandom(k->secret, sizeof(k->secret), GRND_NONBLOCK) != sizeof(k->secret))
		memset(k->secret, 0x5a, sizeof(k->secret));
	k->secret[2] |= 1; /* factors */
	k->secret[3] |= 1;
	return k;
}

void stack_keys_free(struct stack_keys *k)
{
	if (!k)
		return;
	for (size_t i = 0; i < k->texts.cap; i++)
		for (struct text *text = k->texts.slots[i].value, *next; text; text = next) {
			next = text->same_hash;
			free(text);
		}
	map_free(&k->texts);
	map_free(&k->lines);
	for (uint32_t i = 0; i < k->list_cnt; i++)
		free(k->lists[i]);
	free(k->lists);
	free(k->places);
	free(k);
}

static const char *file_of(const struct frame_name *name)
{
	return name->file ? frame_base_name(name->file) : "";
}

/* Only where there is no function: else it is the function that counts. */
static uint64_t offset_of(const struct frame_name *name)
{
	return name->function ? 0 : name->offset;
}

static bool is_same(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static bool says_the_same(const struct frame_name *a, const struct frame_name *b)
{
	return is_same(a->module, b->module) && is_same(a->function, b->function) &&
	       !strcmp(file_of(a), file_of(b)) && offset_of(a) == offset_of(b);
}

static uint64_t hash_of(const struct frame_name *name)
{
	uint64_t hash = map_hash(0, name->module ? name->module : "\1");

	hash = map_hash(hash ^ 1, name->function ? name->function : "\1");
	return map_hash(hash ^ 2, file_of(name)) ^ (offset_of(name) * 0x9e3779b97f4a7c15ULL);
}

static int number_text(struct stack_keys *k, const struct frame_name *name, uint32_t *number)
{
	uint64_t hash = hash_of(name);
	struct text *first = map_get(&k->texts, hash), *text = first;

	while (text && !says_the_same(text->name, name))
		text = text->same_hash;
	if (!text) {
		text = malloc(sizeof(*text));
		if (!text)
			return -ENOMEM;
		*text = (struct text){.name = name, .number = k->text_cnt, .same_hash = first};
		if (map_set(&k->texts, hash, text)) {
			free(text);
			return -ENOMEM;
		}
		k->text_cnt++;
	}
	*number = text->number;
	return 0;
}

static int number_line(struct stack_keys *k, uint32_t text, unsigned line, uint32_t *number)
{
	uint64_t key = (uint64_t)text << 32 | line;
	uintptr_t known = (uintptr_t)map_get(&k->lines, key);

	if (!known) {
		known = (uintptr_t)k->line_cnt + 1;
		if (map_set(&k->lines, key, (void *)known))
			return -ENOMEM;
		k->line_cnt++;
	}
	*number = (uint32_t)(known - 1);
	return 0;
}

static int number_frame(struct stack_keys *k, const struct frame_name *name, struct numbers *n)
{
	int ret = number_text(k, name, &n->lineless);

	return ret ? ret : number_line(k, n->lineless, name->file ? name->line : 0, &n->whole);
}

/* Numbers several frames, and puts where they are in *n. */
static int number_several(struct stack_keys *k, const struct frame_list *frames, struct numbers *n)
{
	struct list *list = malloc(sizeof(*list) + frames->cnt * sizeof(list->v[0]));
	int ret = list ? 0 : -ENOMEM;

	if (!ret && k->list_cnt == k->list_cap) {
		uint32_t cap = k->list_cap ? 2 * k->list_cap : 64;
		struct list **lists = realloc(k->lists, cap * sizeof(struct list *));

		ret = lists ? 0 : -ENOMEM;
		k->lists = lists ? lists : k->lists;
		k->list_cap = lists ? cap : k->list_cap;
	}
	for (uint32_t i = 0; !ret && i < frames->cnt; i++)
		ret = number_frame(k, &frames->v[i], &list->v[i]);
	if (ret) {
		free(list);
		return ret;
	}
	list->cnt = frames->cnt;
	*n = (struct numbers){.whole = SEVERAL, .lineless = k->list_cnt};
	k->lists[k->list_cnt++] = list;
	return 0;
}

/* The slot of that location, or the free one where it belongs. */
static struct place *slot_of(struct place *places, size_t cap, const struct location *at)
{
	size_t i = ((uintptr_t)at * 0x9e3779b97f4a7c15ULL >> 20) & (cap - 1);

	while (places[i].at && places[i].at != at)
		i = (i + 1) & (cap - 1);
	return &places[i];
}

static int grow(struct stack_keys *k)
{
	size_t cap = 2 * k->place_cap;
	struct place *places = calloc(cap, sizeof(*places));

	if (!places)
		return -ENOMEM;
	for (size_t i = 0; i < k->place_cap; i++)
		if (k->places[i].at)
			*slot_of(places, cap, k->places[i].at) = k->places[i];
	free(k->places);
	k->places = places;
	k->place_cap = cap;
	return 0;
}

/* Numbers a location that is seen for the first time. */
static int add_place(struct stack_keys *k, const struct location *at, struct numbers *n)
{
	const struct frame_list *frames = names_of(at);
	int ret = 0;

	if (2 * k->place_cnt >= k->place_cap)
		ret = grow(k);
	if (!ret)
		ret = frames->cnt == 1 ? number_frame(k, &frames->v[0], n) : number_several(k, frames, n);
	if (ret)
		return ret;
	*slot_of(k->places, k->place_cap, at) = (struct place){at, *n};
	k->place_cnt++;
	return 0;
}

/* Both halves of the product of what was and what comes: a bit of either changes all. */
static uint64_t fold(uint64_t was, uint64_t factor)
{
	unsigned __int128 product = (unsigned __int128)was * factor;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static void mix(const struct stack_keys *k, struct stack_key *key, uint32_t number)
{
	for (int i = 0; i < 2; i++)
		key->v[i] = fold(key->v[i] ^ k->secret[i] ^ number, k->secret[2 + i]) + number;
}

int stack_keys_of(struct stack_keys *k, const struct stack *stack, struct stack_key *whole,
		  struct stack_key *lineless)
{
	uint64_t begin = stack ? 1 + (uint64_t)stack->cut : 0;

	*whole = *lineless = (struct stack_key){{begin, begin}};
	for (uint32_t i = 0; stack && i < stack->cnt; i++) {
		const struct location *at = stack->locations[i];
		const struct place *place = slot_of(k->places, k->place_cap, at);
		struct numbers n = place->frame;
		const struct numbers *frames = &n;
		uint32_t cnt = 1;

		if (!place->at && add_place(k, at, &n))
			return -ENOMEM;
		if (n.whole == SEVERAL) {
			frames = k->lists[n.lineless]->v;
			cnt = k->lists[n.lineless]->cnt;
		}
		for (uint32_t f = 0; f < cnt; f++) {
			mix(k, whole, frames[f].whole);
			mix(k, lineless, frames[f].lineless);
		}
	}
	return 0;
}
