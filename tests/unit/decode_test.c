/* Records from the ring: the right size and kind, strings that end, or nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "event/source.h"

static void right_records_are_taken(void **state)
{
	struct event_purge purge = {.head.kind = EVENT_PURGE, .id = 7};
	struct event_head loaded = {.kind = EVENT_LOADED};
	struct event_collection collection = {.head.kind = EVENT_COLLECTION, .collected = 12};
	struct event_mark mark = {.head.kind = EVENT_MARK, .rss = 4096};
	struct event ev;

	(void)state;
	assert_int_equal(event_decode(&purge, sizeof(purge), &ev), 0);
	assert_ptr_equal(ev.head, &purge.head);
	assert_int_equal(ev.purge->id, 7);
	assert_int_equal(event_decode(&loaded, sizeof(loaded), &ev), 0);
	assert_int_equal(event_decode(&collection, sizeof(collection), &ev), 0);
	assert_int_equal(ev.collection->collected, 12);
	assert_int_equal(event_decode(&collection, sizeof(collection) - 8, &ev), -EBADMSG);
	assert_int_equal(event_decode(&mark, sizeof(mark), &ev), 0);
	assert_int_equal(ev.mark->rss, 4096);
	assert_int_equal(event_decode(&mark, sizeof(mark) + 8, &ev), -EBADMSG);
}

static void wrong_sizes_and_kinds_are_not(void **state)
{
	struct event_purge purge = {.head.kind = EVENT_PURGE};
	struct event ev;

	(void)state;
	for (size_t len = 0; len < sizeof(purge); len++)
		assert_int_equal(event_decode(&purge, len, &ev), -EBADMSG);
	assert_int_equal(event_decode(&purge, sizeof(purge) + 8, &ev), -EBADMSG);
	purge.head.kind = 0;
	assert_int_equal(event_decode(&purge, sizeof(purge), &ev), -EBADMSG);
	purge.head.kind = EVENT_KIND_CNT;
	assert_int_equal(event_decode(&purge, sizeof(purge), &ev), -EBADMSG);
	purge.head.kind = UINT32_MAX;
	assert_int_equal(event_decode(&purge, sizeof(purge), &ev), -EBADMSG);
}

static void unended_strings_are_not(void **state)
{
	struct event_dlopen open = {.head.kind = EVENT_DLOPEN};
	struct event_dlclose close = {.head.kind = EVENT_DLCLOSE};
	struct event_exec exec = {.head.kind = EVENT_EXEC, .comm = "python3"};
	struct event ev;

	(void)state;
	assert_int_equal(event_decode(&open, sizeof(open), &ev), 0);
	memset(open.path, 'x', sizeof(open.path));
	assert_int_equal(event_decode(&open, sizeof(open), &ev), -EBADMSG);
	open.path[3] = '\0';
	memset(open.name, 'x', sizeof(open.name));
	assert_int_equal(event_decode(&open, sizeof(open), &ev), -EBADMSG);
	memset(close.name, 'x', sizeof(close.name));
	assert_int_equal(event_decode(&close, sizeof(close), &ev), -EBADMSG);
	assert_int_equal(event_decode(&exec, sizeof(exec), &ev), 0);
	assert_string_equal(ev.exec->comm, "python3");
	memset(exec.comm, 'x', sizeof(exec.comm));
	assert_int_equal(event_decode(&exec, sizeof(exec), &ev), -EBADMSG);
}

static void a_block_record_is_exact(void **state)
{
	static const uint32_t kinds[] = {EVENT_ALLOC, EVENT_FREE, EVENT_REALLOC_BEGIN, EVENT_REALLOC};
	struct event_block block[2] = {{.addr = 0x1000}};
	struct event ev;

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		block[0].head.kind = kinds[i];
		assert_int_equal(event_decode(block, sizeof(block[0]), &ev), 0);
		assert_int_equal(ev.block->addr, 0x1000);
		for (size_t len = 0; len < sizeof(block); len++)
			if (len != sizeof(block[0]))
				assert_int_equal(event_decode(block, len, &ev), -EBADMSG);
	}
}

static size_t stack_len(uint64_t cnt)
{
	return offsetof(struct event_stack, frames) + cnt * sizeof(uint64_t);
}

static void a_stack_ends_behind_its_frames(void **state)
{
	struct event_stack stack = {.head.kind = EVENT_STACK, .id = 7};
	struct event ev;

	(void)state;
	for (uint32_t cnt = 1; cnt <= EVENT_FRAMES_MAX; cnt++) {
		stack.cnt = cnt;
		assert_int_equal(event_decode(&stack, stack_len(cnt), &ev), 0);
		assert_int_equal(ev.stack->cnt, cnt);
		for (size_t len = 0; len <= sizeof(stack); len++)
			if (len != stack_len(cnt))
				assert_int_equal(event_decode(&stack, len, &ev), -EBADMSG);
	}
}

static void a_stack_has_some_frames_and_not_too_many(void **state)
{
	static const uint32_t wrong[] = {0, EVENT_FRAMES_MAX + 1, 1u << 29, 1u << 31, UINT32_MAX};
	struct {
		struct event_stack stack;
		uint64_t more;
	} rec = {.stack.head.kind = EVENT_STACK};
	struct event ev;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		rec.stack.cnt = wrong[i];
		for (size_t len = 0; len <= sizeof(rec); len++)
			assert_int_equal(event_decode(&rec, len, &ev), -EBADMSG);
	}
}

static size_t code_len(uint64_t lines)
{
	return (offsetof(struct event_code, lines) + lines + 7) & ~(size_t)7;
}

static void a_code_object_ends_behind_its_lines(void **state)
{
	static const uint32_t cnts[] = {0, 1, 8, 1001, EVENT_LINES_MAX};
	static struct event_code code = {.head.kind = EVENT_CODE, .id = 7, .name.width = 1, .file.width = 2};
	struct event ev;

	(void)state;
	for (size_t i = 0; i < sizeof(cnts) / sizeof(cnts[0]); i++) {
		code.lines_len = cnts[i];
		assert_int_equal(event_decode(&code, code_len(cnts[i]), &ev), 0);
		assert_ptr_equal(ev.code, &code);
		for (size_t len = 0; len <= sizeof(code); len++)
			if (len != code_len(cnts[i]))
				assert_int_equal(event_decode(&code, len, &ev), -EBADMSG);
	}
}

static void a_code_object_that_lies_is_not_taken(void **state)
{
	static struct event_code code = {.head.kind = EVENT_CODE};
	struct event ev;

	(void)state;
	assert_int_equal(event_decode(&code, code_len(0), &ev), 0);
	code.name.len = EVENT_TEXT_MAX + 1;
	assert_int_equal(event_decode(&code, code_len(0), &ev), -EBADMSG);
	code.name.len = 0;
	code.file.width = 3;
	assert_int_equal(event_decode(&code, code_len(0), &ev), -EBADMSG);
	code.file.width = 0;
	code.lines_len = EVENT_LINES_MAX + 1;
	for (size_t len = 0; len <= sizeof(code); len++)
		assert_int_equal(event_decode(&code, len, &ev), -EBADMSG);
}

static void every_loss_has_a_name(void **state)
{
	(void)state;
	for (int i = 0; i < SOURCE_LOSS_CNT; i++)
		assert_non_null(source_loss_names[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(right_records_are_taken),
		cmocka_unit_test(wrong_sizes_and_kinds_are_not),
		cmocka_unit_test(unended_strings_are_not),
		cmocka_unit_test(a_block_record_is_exact),
		cmocka_unit_test(a_stack_ends_behind_its_frames),
		cmocka_unit_test(a_stack_has_some_frames_and_not_too_many),
		cmocka_unit_test(a_code_object_ends_behind_its_lines),
		cmocka_unit_test(a_code_object_that_lies_is_not_taken),
		cmocka_unit_test(every_loss_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
