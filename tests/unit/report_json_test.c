#include "report_fixture.h"

#include <cjson/cJSON.h>

static void check(const char *name, const struct fixture *x)
{
	char *text = FORM_TEXT(report_json(out, &x->s));

	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1); /* one line */
	golden_check(name, text);
	free(text);
}

static void everything(void **state)
{
	struct fixture x;

	(void)state;
	fixture_start(&x);
	fixture_heap(&x, 2);
	fixture_findings(&x);
	fixture_blind_spots(&x);
	fixture_collector(&x);
	fixture_marks(&x);
	x.s.lazy_free = 0;
	x.s.final = true;
	x.s.ended = "interrupted";
	x.arenas[1].inconsistent_at = 0x7f0004000ab0;
	x.arenas[1].inconsistent = "a size that is no multiple of 16";
	check("everything.json", &x);
}

static void a_layer(void **state)
{
	struct fixture x;

	(void)state;
	fixture_start(&x);
	fixture_heap(&x, 1);
	fixture_layer(&x);
	check("layer.json", &x);
}

/* Unknown is null, empty is empty. */
static void nothing(void **state)
{
	struct fixture x;

	(void)state;
	fixture_start(&x);
	check("nothing.json", &x);
	fixture_heap(&x, 1);
	x.heap.live_heap = x.heap.retained = x.heap.purgeable = x.heap.pinned = UNKNOWN;
	x.allocators[0] = x.allocators[1];
	x.heap.allocator_cnt = 1;
	check("unwalked.json", &x);
}

static void allocations(void **state)
{
	struct fixture x;

	(void)state;
	fixture_start(&x);
	fixture_findings(&x);
	fixture_allocs(&x);
	x.allocs.older_ns = 30 * SEC;
	check("allocs.json", &x);
	x.allocs.survey = NULL;
	for (unsigned i = 0; i < SITES_CNT; i++)
		x.views[i].survey = NULL;
	x.allocs.totals.untracked = (struct site_count){1234567, 300 * MIB};
	x.allocs.totals.ghosts = (struct site_count){3, 4096};
	x.allocs.totals.live_rounded = x.allocs.unattributed = UNKNOWN;
	x.allocs.top = 2;
	check("allocs_unsurveyed.json", &x);
	x.allocs = (struct allocation_view){.unattributed = UNKNOWN, .budget = {.probe_share = -1, .tracer_share = -1, .duty = 1, .duty_now = 1}};
	x.s.interval_ns = 0;
	check("allocs_none.json", &x);
}

static void hostile_names_stay_valid(void **state)
{
	struct fixture x;
	cJSON *parsed;
	char *text;

	(void)state;
	fixture_start(&x);
	fixture_findings(&x);
	x.s.command = "a\"\\\n\xff\033";
	x.churn[0].library = (char *)"\xed\xa0\x80\xc2\x85";
	x.purges[0].stack = NULL;
	text = FORM_TEXT(report_json(out, &x.s));
	parsed = cJSON_Parse(text);
	assert_non_null(parsed);
	assert_string_equal(cJSON_GetObjectItem(parsed, "command")->valuestring, "a\"\\???");
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(
				 cJSON_GetArrayItem(cJSON_GetObjectItem(parsed, "purges"), 0), "stack")),
			 0);
	for (const unsigned char *c = (const unsigned char *)text; *c; c++)
		assert_true(*c < 0x80 && (*c >= 0x20 || (*c == '\n' && !c[1])));
	cJSON_Delete(parsed);
	free(text);
}

/* A reader that is not ours: Python's, which knows integers of any size. */
static void python_reads_exact_integers(void **state)
{
	FILE *python;
	struct fixture x;

	(void)state;
	if (system("command -v python3 >/dev/null") != 0)
		skip();
	fixture_start(&x);
	fixture_heap(&x, 2);
	x.s.rss = (1ULL << 53) + 1;
	x.s.swap = UINT64_MAX - 1;
	x.s.returned.trim = (1ULL << 60) + 3;
	python = popen(
		"python3 -c 'import json,sys\n"
		"def no(c): raise ValueError(c)\n"
		"o = json.loads(sys.stdin.read(), parse_constant=no)\n"
		"assert o[\"rss\"] == 2**53 + 1 and o[\"swap\"] == 2**64 - 2, o\n"
		"assert o[\"returned\"][\"trim\"] == 2**60 + 3 and o[\"final\"] is False\n"
		"assert o[\"lazy_free\"] is None and o[\"time\"] == 1700000100.2\n"
		"a = o[\"allocators\"][0]\n"
		"assert a[\"retained\"] == a[\"purgeable\"] + sum(a[\"pinned_by\"].values())\n"
		"assert a[\"held\"] == sum(r[\"held\"] for r in a[\"arenas\"]) + a[\"mmapped\"][\"bytes\"]'",
		"w");
	assert_non_null(python);
	assert_int_equal(report_json(python, &x.s), 0);
	assert_int_equal(pclose(python), 0);
}

/* Bounds are there where figures are estimates, and only there. */
static void estimates(void **state)
{
	struct fixture x;

	(void)state;
	fixture_start(&x);
	fixture_allocs(&x);
	fixture_estimates(&x);
	x.bounds[2].live.high = (struct site_count){UNKNOWN, UNKNOWN};
	check("estimates.json", &x);
}

/* Those of Python's small objects beside them. */
static void small_objects(void **state)
{
	struct fixture x;

	(void)state;
	fixture_start(&x);
	fixture_allocs(&x);
	fixture_objects(&x);
	check("objects.json", &x);
}

static void sites_add_up_for_python(void **state)
{
	FILE *python;
	struct fixture x;

	(void)state;
	if (system("command -v python3 >/dev/null") != 0)
		skip();
	fixture_start(&x);
	fixture_findings(&x);
	fixture_allocs(&x);
	x.sites[3].allocated.bytes += 1ULL << 60;
	x.allocs.totals.allocated.bytes += 1ULL << 60;
	python = popen(
		"python3 -c 'import json,sys\n"
		"o = json.loads(sys.stdin.read())\n"
		"a = o[\"allocs\"]\n"
		"for total, site in ((\"live\",) * 2, (\"live_blocks\",) * 2, (\"allocs\",) * 2,\n"
		"                    (\"allocated\",) * 2, (\"freed\", \"freed_here\"),\n"
		"                    (\"frees\", \"frees_here\")):\n"
		"    assert a[total] == sum(s[site] for s in a[\"sites\"]), total\n"
		"assert a[\"allocated\"] > 2**60 and a[\"sites_total\"] == len(a[\"sites\"])\n"
		"v = a[\"survey\"]\n"
		"assert v[\"pinned\"] == v[\"rest\"][\"pinned\"] + sum(s[\"pinned\"] for s in a[\"sites\"])\n"
		"assert v[\"rest\"][\"classes\"][0] == {\"min\": 32, \"blocks\": 1000, \"pinned\": 3 << 20}\n"
		"w = o[\"windows\"]\n"
		"assert w[0][\"freed\"] == [] and w[1][\"freed\"][0][\"stack\"][-1] == \"app:drop_table\"'",
		"w");
	assert_non_null(python);
	assert_int_equal(report_json(python, &x.s), 0);
	assert_int_equal(pclose(python), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything),
		cmocka_unit_test(a_layer),
		cmocka_unit_test(nothing),
		cmocka_unit_test(allocations),
		cmocka_unit_test(estimates),
		cmocka_unit_test(small_objects),
		cmocka_unit_test(sites_add_up_for_python),
		cmocka_unit_test(hostile_names_stay_valid),
		cmocka_unit_test(python_reads_exact_integers),
	};

	return cmocka_run_group_tests_name("report_json", tests, use_utc, NULL);
}
