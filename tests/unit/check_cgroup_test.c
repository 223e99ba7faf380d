/*
 * The limits of a cgroup, and who kills, with facts made up: one set that makes a check speak, and
 * one next to it that does not.
 */
#include "check_scene.h"

static void limits_of_memory(void **state)
{
	(void)state;
	expect("memory-max", CHECK_PASS, "120 MiB of at most 4.00 GiB are used (3 %)");
	facts.memory.current = 3700 * MIB;
	expect("memory-max", CHECK_WARN, "(90 %)");
	facts.memory.current = 3600 * MIB;
	strcpy(facts.memory.effective_max.path, "/system.slice");
	expect("memory-max", CHECK_PASS, "(set for /system.slice)");
	facts.memory.effective_max = (struct cgroup_limit){.bytes = CGROUP_NO_LIMIT};
	expect("memory-max", CHECK_WARN, "systemctl set-property worker.service MemoryMax=");
	facts.unit.user = 1000;
	expect("memory-max", CHECK_WARN, "systemctl --user set-property");
	strcpy(facts.unit.name, "session-3.scope"); /* of a login: nobody expects a limit */
	expect("memory-max", CHECK_PASS, "no limit but the machine's 8.00 GiB");
	assert_null(run("memory-high"));
	assert_null(run("swap"));
	facts.in_cgroup = false;
	expect("memory-max", CHECK_UNKNOWN, "not to be seen");
}

static void high_against_max(void **state)
{
	static const struct {
		double share;
		enum check_status status;
		const char *text;
	} rows[] = {
		{0.45, CHECK_WARN, "45 %"}, {0.5, CHECK_PASS, "50 %"},          {0.66, CHECK_PASS, "66 %"},
		{0.75, CHECK_WARN, "75 %"}, {1.0, CHECK_WARN, "no MemoryHigh"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		facts.memory.effective_high.bytes = (uint64_t)(rows[i].share * 4 * GIB);
		expect("memory-high", rows[i].status, rows[i].text);
	}
	expect("memory-high", CHECK_WARN, "MemoryHigh=2457M");
	facts.memory.effective_high.bytes = CGROUP_NO_LIMIT;
	expect("memory-high", CHECK_WARN, "kills without slowing it down");
	facts.has_unit = false;
	expect("memory-high", CHECK_WARN, "container");
	facts.memory.effective_high.bytes = CGROUP_UNKNOWN;
	expect("memory-high", CHECK_UNKNOWN, "cannot be read");
	facts.cgroup.v1 = true;
	expect("memory-high", CHECK_UNKNOWN, "version 1");
}

static void swap_lets_it_thrash(void **state)
{
	(void)state;
	expect("swap", CHECK_PASS, "MemorySwapMax is 0");
	facts.memory.effective_swap_max.bytes = CGROUP_NO_LIMIT;
	facts.samples[2].swap = 5 * MIB;
	expect("swap", CHECK_WARN, "5.00 MiB are swapped");
	expect("swap", CHECK_WARN, "MemorySwapMax=0");
	facts.memory.effective_swap_max.bytes = 64 * MIB;
	expect("swap", CHECK_WARN, "MemorySwapMax: 64.0 MiB");
	facts.memory.effective_swap_max.bytes = CGROUP_UNKNOWN;
	expect("swap", CHECK_UNKNOWN, "does not account");
	facts.swap_total = 0;
	expect("swap", CHECK_PASS, "no swap");
}

static void what_has_happened(void **state)
{
	(void)state;
	expect("events", CHECK_PASS, "no OOM kills and no throttling");
	facts.memory.events.max = 7;
	expect("events", CHECK_WARN, "the limit was reached 7 times");
	facts.memory.events.oom_kill = 2;
	expect("events", CHECK_WARN, "struck 2 times");
	expect("events", CHECK_WARN, "journalctl -u worker.service");
	facts.memory.events.oom_kill = facts.memory.events.max = 0;
	facts.memory.events.high = 3;
	expect("events", CHECK_WARN, "MemoryHigh was reached 3 times");
	facts.memory.events.high = 0;
	facts.memory.some.avg10 = 9.9;
	expect("events", CHECK_PASS, "no OOM kills");
	facts.memory.some.avg10 = 10;
	expect("events", CHECK_WARN, "10 % of the last 10 s");
	facts.memory.events.oom_kill = facts.memory.events.high = CGROUP_UNKNOWN;
	expect("events", CHECK_UNKNOWN, "does not tell");
}

static void who_is_killed_first(void **state)
{
	(void)state;
	expect("oom-score", CHECK_PASS, "is 0, the default");
	facts.oom_score_adj = 1;
	expect("oom-score", CHECK_WARN, "is 1");
	facts.oom_score_adj = -200;
	expect("oom-score", CHECK_PASS, "−200");
	facts.oom_score_adj = -1000;
	expect("oom-score", CHECK_WARN, "it hangs");
	facts.memory.effective_max.bytes = CGROUP_NO_LIMIT;
	expect("oom-score", CHECK_PASS, "−1000");
	facts.oom_score_adj = INT_MIN;
	expect("oom-score", CHECK_UNKNOWN, "cannot be read");
}

static void who_kills_besides_the_kernel(void **state)
{
	(void)state;
	expect("managed-oom", CHECK_PASS, "does not run; worker.service leaves it to the kernel");
	strcpy(facts.oomd.setting, "ManagedOOMMemoryPressure");
	strcpy(facts.oomd.setting_unit, "system.slice");
	expect("managed-oom", CHECK_WARN, "ManagedOOMMemoryPressure=kill of system.slice has no effect");
	facts.oomd.running = true;
	expect("managed-oom", CHECK_PASS, "kills it under pressure");
	facts.oomd.avoid = true;
	expect("managed-oom", CHECK_PASS, "others first");
	facts.oomd.omit = true;
	expect("managed-oom", CHECK_PASS, "spares it");
	facts.oomd.setting_unit[0] = '\0';
	facts.oomd.file_found = false;
	expect("managed-oom", CHECK_UNKNOWN, "was not found");
	facts.has_unit = false;
	assert_null(run("managed-oom"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(limits_of_memory),  TEST(high_against_max),    TEST(swap_lets_it_thrash),
		TEST(what_has_happened), TEST(who_is_killed_first), TEST(who_kills_besides_the_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
