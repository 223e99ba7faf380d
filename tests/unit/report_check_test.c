#include "report_fixture.h"
#include "report/check.h"

#include <limits.h>

static struct check_facts facts;
static struct check_findings found;
static struct heap_allocator allocator;
static struct heap_arena arenas[2];
static struct thread threads[2] = {{.tid = 4242, .name = "worker"}, {.tid = 4243, .name = "rea\033der"}};
static uint64_t thread_arenas[2] = {0x7f0000000030, 0};

static void add(enum check_status status, const char *check, const char *evidence, const char *fix)
{
	found.check = check;
	check_add(&found, status, "%s", evidence);
	if (fix)
		check_fix(&found, "%s", fix);
}

static struct check_report script(void)
{
	facts = (struct check_facts){
		.pid = 4242,
		.command = "worker",
		.sample_cnt = 3,
		.in_cgroup = true,
		.has_unit = true,
		.oom_score_adj = -200,
	};
	for (size_t i = 0; i < 3; i++)
		facts.samples[i] = (struct check_sample){
			.time_ns = i * SEC,
			.rss = 261 * MIB,
			.cgroup_current = CGROUP_UNKNOWN,
			.descriptor_cnt = i == 2 ? UNKNOWN : 9,
			.descriptors = {9},
			.fresh = {i},
		};
	strcpy(facts.unit.name, "worker.service");
	strcpy(facts.cgroup.path, "/system.slice/worker.service");
	facts.memory = (struct cgroup_memory){
		.current = 300 * MIB,
		.effective_high = {CGROUP_NO_LIMIT, ""},
		.effective_max = {(1ULL << 53) + 1, "/system.slice"},
		.effective_swap_max = {CGROUP_UNKNOWN, ""},
		.events = {.high = CGROUP_UNKNOWN, .oom_kill = 2},
	};
	arenas[0].addr = 0x1000;
	arenas[1].addr = 0x7f0000000030;
	strcpy(arenas[1].name, "arena 0x7f0000000030");
	allocator.walk.arenas = arenas;
	allocator.walk.arena_cnt = 2;
	facts.heap = (struct heap_state){.taken_ns = 1, .allocators = &allocator, .allocator_cnt = 1};
	facts.heap.pinned = UNKNOWN;
	facts.threads = (struct threads){threads, 2};
	facts.thread_arenas = thread_arenas;
	found = (struct check_findings){.cnt = 0};
	add(CHECK_PASS, "events", "no OOM kills", NULL);
	add(CHECK_WARN, "retained", "226 MiB are free and still resident", "call malloc_trim(0)");
	add(CHECK_UNKNOWN, "memory-high", "version 1 has none", NULL);
	add(CHECK_WARN, "variables", "A=\xff\xfe is ignored", "remove it");
	return (struct check_report){.facts = &facts, .findings = &found, .time_ns = 2 * SEC};
}

static void text_is_sorted_and_aligned(void **state)
{
	struct check_report r = script();
	char *text = FORM_TEXT(report_check_text(out, &r, false));

	(void)state;
	golden_check("check.txt", text);
	free(text);
	r.chosen = "the largest of 24 processes";
	text = FORM_TEXT(report_check_text(out, &r, true));
	golden_check("check_colour.txt", text);
	free(text);
}

static void json_has_it_all(void **state)
{
	struct check_report r = script();
	char *text = FORM_TEXT(report_check_json(out, &r));

	(void)state;
	golden_check("check.json", text);
	free(text);
}

static void json_of_what_is_not_known(void **state)
{
	struct check_report r = script();
	char *text;

	(void)state;
	facts.in_cgroup = facts.has_unit = false;
	facts.oom_score_adj = INT_MIN;
	facts.heap = (struct heap_state){0};
	facts.threads.cnt = facts.sample_cnt = found.cnt = 0;
	facts.thread_arenas = NULL;
	memset(found.of, 0, sizeof(found.of));
	text = FORM_TEXT(report_check_json(out, &r));
	golden_check("check_unknown.json", text);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_sorted_and_aligned),
		cmocka_unit_test(json_has_it_all),
		cmocka_unit_test(json_of_what_is_not_known),
	};

	return cmocka_run_group_tests_name("report_check", tests, use_utc, NULL);
}
