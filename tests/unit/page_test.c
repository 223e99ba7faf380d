/* What a page carries, read back: the stream, the tree of stacks, and what a long history comes down to. */
#include "report_fixture.h"

#include <zlib.h>

#include "picture/history.h"
#include "report/packer.h"
#include "report/page_steps.h"
#include "report/page_tree.h"

/* A stream unpacked again, and how far it has been read. */
struct stream {
	unsigned char *bytes;
	size_t len, at;
};

static unsigned value_of(char digit)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *found = strchr(digits, digit);

	assert_true(digit && found);
	return (unsigned)(found - digits);
}

static struct stream unpack(const char *base64)
{
	size_t len = strlen(base64), cnt = 0;
	unsigned char *packed = malloc(len + 3);
	uLongf room = 16 << 20;
	struct stream s = {malloc(room), 0, 0};

	assert_true(packed && s.bytes && len % 4 == 0);
	for (size_t i = 0; i < len; i += 4) {
		unsigned pads = (base64[i + 2] == '=') + (base64[i + 3] == '='), four = 0;

		assert_true(!pads || i + 4 == len);
		for (size_t k = 0; k < 4; k++)
			four = four << 6 | (k + pads < 4 ? value_of(base64[i + k]) : 0);
		for (unsigned k = 0; k < 3 - pads; k++)
			packed[cnt++] = (unsigned char)(four >> (16 - 8 * k));
	}
	assert_int_equal(uncompress(s.bytes, &room, packed, cnt), Z_OK);
	s.len = room;
	free(packed);
	return s;
}

static uint64_t number(struct stream *s)
{
	uint64_t value = 0;
	unsigned shift = 0;

	do {
		assert_true(s->at < s->len);
		value |= (uint64_t)(s->bytes[s->at] & 127) << shift;
		shift += 7;
	} while (s->bytes[s->at++] & 128);
	return value;
}

static int64_t signed_number(struct stream *s)
{
	uint64_t value = number(s);

	return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

struct writing {
	char *text;
	size_t len;
	FILE *out;
	struct packer *packer;
};

static void start(struct writing *w)
{
	w->out = open_memstream(&w->text, &w->len);
	assert_non_null(w->out);
	w->packer = packer_begin(w->out);
	assert_non_null(w->packer);
}

static struct stream finish(struct writing *w)
{
	struct stream s;

	assert_int_equal(packer_end(w->packer), 0);
	fclose(w->out);
	s = unpack(w->text);
	free(w->text);
	return s;
}

static void numbers_and_texts_come_back(void **state)
{
	static const uint64_t numbers[] = {0, 1, 127, 128, 1ULL << 35, UINT64_MAX};
	static const int64_t both[] = {0, -1, 1, INT64_MIN, INT64_MAX, -300};

	(void)state;
	/* Of all lengths that a last group may have, and beyond what is packed at a time. */
	for (size_t more = 0; more < 4; more++) {
		struct writing w;
		struct stream s;

		start(&w);
		for (size_t i = 0; i < 6; i++) {
			packer_number(w.packer, numbers[i]);
			packer_signed(w.packer, both[i]);
		}
		packer_text(w.packer, "</script>", 9);
		for (size_t i = 0; i < 300000 + more; i++)
			packer_number(w.packer, i * 2654435761u);
		s = finish(&w);
		for (size_t i = 0; i < 6; i++) {
			assert_true(number(&s) == numbers[i]);
			assert_true(signed_number(&s) == both[i]);
		}
		assert_int_equal(number(&s), 9);
		assert_memory_equal(s.bytes + s.at, "</script>", 9);
		s.at += 9;
		for (size_t i = 0; i < 300000 + more; i++)
			assert_true(number(&s) == i * 2654435761u);
		assert_int_equal(s.at, s.len);
		free(s.bytes);
	}
}

static void a_full_disk_is_said(void **state)
{
	FILE *full = fopen("/dev/full", "w");
	struct packer *packer;

	(void)state;
	assert_non_null(full);
	setvbuf(full, NULL, _IONBF, 0);
	packer = packer_begin(full);
	for (uint64_t i = 0; i < 100000; i++)
		packer_number(packer, i * i);
	assert_int_equal(packer_end(packer), -ENOSPC);
	fclose(full);
}

/* "outermost;…;innermost" of a node. */
static const char *path_of(const struct page_tree *t, uint32_t node, char *buf, size_t size)
{
	char above[256] = "";

	if (!node)
		return "";
	path_of(t, t->parents[node], above, sizeof(above));
	snprintf(buf, size, "%s%s%s", above, above[0] ? ";" : "", t->frames[t->node_frames[node]].function);
	return buf;
}

static void stacks_share_their_callers(void **state)
{
	static const char *const stacks[][4] = {
		{"main", "serve", "parse", NULL},   {"main", "serve", NULL},
		{"main", "serve", "parse", NULL},   {"main", "parse", NULL, NULL},
		{"thread", "serve", "parse", NULL},
	};
	static const char *const expected[] = {"main;serve;parse", "main;serve", "main;serve;parse",
					       "main;parse", "[truncated];thread;serve;parse"};
	struct page_tree t;
	char buf[256];

	(void)state;
	page_tree_init(&t);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(page_tree_add(&t, fixture_stack(i, i == 4, stacks[i])), i);
	assert_int_equal(page_tree_add(&t, NULL), 5);
	assert_int_equal(page_tree_build(&t), 0);
	for (unsigned i = 0; i < 5; i++)
		assert_string_equal(path_of(&t, t.leaves[i], buf, sizeof(buf)), expected[i]);
	assert_string_equal(path_of(&t, t.leaves[5], buf, sizeof(buf)), "[no stack]");
	assert_int_equal(t.leaves[0], t.leaves[2]);
	assert_int_equal(t.node_cnt,
			 1 + 4 + 4 + 1); /* root; main, serve, parse, parse; truncated …; no stack */
	for (uint32_t i = 1; i < t.node_cnt; i++)
		assert_true(t.parents[i] < i);
	page_tree_free(&t);
}

#define LEAVES 3000
#define MANY_STEPS 300

/* Two callers with so many callees each, and changes of all of them in every step. */
static void small_changes_are_their_callers(void **state)
{
	static uint32_t parents[2 * LEAVES + 3], nodes[2 * LEAVES];
	struct page_tree t = {.parents = parents, .node_cnt = 2 * LEAVES + 3};
	struct history_view h = {.site_cnt = 2 * LEAVES, .step_cnt = MANY_STEPS};
	uint64_t *ends = calloc(MANY_STEPS, sizeof(*ends));
	struct history_change *changes = calloc(MANY_STEPS * 2 * LEAVES, sizeof(*changes));
	uint64_t sums[2] = {0}, steps, shown = 0;
	struct writing w;
	struct stream s;

	(void)state;
	assert_true(ends && changes);
	for (uint32_t i = 0; i < 2 * LEAVES; i++) {
		nodes[i] = i + 2 + i / LEAVES;
		parents[nodes[i]] = i < LEAVES ? 1 : LEAVES + 2;
	}
	for (uint32_t step = 0; step < MANY_STEPS; step++) {
		ends[step] = (step + 1) * SEC;
		for (uint32_t i = 0; i < 2 * LEAVES; i++)
			changes[h.change_cnt++] =
				(struct history_change){.step = step,
							.site = i,
							.live = 10,
							.allocated = i % LEAVES == 7 ? 1000000 : 30,
							.allocs = 1};
	}
	h.changes = changes;
	h.step_ends = ends;
	start(&w);
	assert_int_equal(page_steps(w.packer, &h, 0, &t, nodes), 0);
	s = finish(&w);
	steps = number(&s);
	assert_true(steps > 50 && steps <= 128);
	for (uint64_t step = 0; step < steps; step++) {
		uint64_t cnt, at[8] = {0}, allocated[8];

		number(&s);
		cnt = number(&s);
		assert_int_equal(cnt, 4); /* the large ones, and their callers with all the rest */
		for (uint64_t i = 0; i < cnt; i++)
			at[i] = (i ? at[i - 1] : 0) + number(&s);
		for (uint64_t i = 0; i < cnt; i++) {
			allocated[i] = number(&s);
			sums[at[i] >= LEAVES + 2] += allocated[i];
		}
		for (uint64_t i = 0; i < cnt; i++)
			shown += allocated[i] - (uint64_t)signed_number(&s);
		for (uint64_t i = 0; i < 2 * cnt; i++)
			number(&s);
		assert_int_equal(at[0], 1);
		assert_int_equal(at[1], nodes[7]);
	}
	assert_int_equal(s.at, s.len);
	assert_int_equal(sums[0], MANY_STEPS * (1000000 + 30 * (LEAVES - 1)));
	assert_int_equal(sums[1], sums[0]);
	assert_int_equal(shown, MANY_STEPS * 2 * LEAVES * 10); /* of live bytes */
	free(s.bytes);
	free(ends);
	free(changes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_and_texts_come_back),
		cmocka_unit_test(a_full_disk_is_said),
		cmocka_unit_test(stacks_share_their_callers),
		cmocka_unit_test(small_changes_are_their_callers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
