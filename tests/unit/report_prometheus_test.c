#include "report_fixture.h"

#include "report/prometheus.h"

#define TRACER 999

static struct fixture first, second;

static char *write_of(const struct snapshot *const *v, size_t cnt, const struct cgroup_view *cgroup)
{
	const struct picture picture = {
		.v = v,
		.cnt = cnt,
		.time_ns = 100 * SEC,
		.started_ns = 40 * SEC,
		.cgroup = cgroup,
		.living = cnt,
		.went = 3,
	};
	size_t len = 0;
	char *text = NULL;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	assert_int_equal(report_prometheus(out, &picture, TRACER), 0);
	fclose(out);
	return text;
}

/* What Prometheus's own linter says, where it is installed. */
static void lint(const char *text)
{
	FILE *promtool;

	if (system("command -v promtool >/dev/null") != 0)
		return;
	promtool = popen("promtool check metrics", "w");
	assert_non_null(promtool);
	fputs(text, promtool);
	assert_int_equal(pclose(promtool), 0);
}

static void everything_of(struct fixture *x)
{
	fixture_start(x);
	fixture_heap(x, 2);
	fixture_layer(x);
	fixture_findings(x);
	fixture_allocs(x);
	fixture_collector(x);
	fixture_blind_spots(x);
	x->s.lazy_free = 4096;
	x->s.totals = (struct finding_totals){
		.purges = {.effective = 1, .misdirected = 1, .ns = 26190000},
		.windows = 2,
		.opens = 1412,
		.repeats = 1410,
	};
}

static void everything(void **state)
{
	const struct cgroup_view cgroup = {
		.path = "/system.slice/worker.service",
		.memory = {.current = 2 * GIB,
			   .swap_current = CGROUP_UNKNOWN,
			   .effective_high = {.bytes = 3 * GIB},
			   .effective_max = {.bytes = CGROUP_NO_LIMIT}},
		.high_events = 7,
		.oom_kills = 1,
	};
	const struct snapshot *const v[] = {&first.s, &second.s};
	char *text;

	(void)state;
	everything_of(&first);
	everything_of(&second);
	second.s.pid = 4243;
	second.s.rss = 1;
	text = write_of(v, 2, &cgroup);
	golden_check("metrics.prom", text);
	lint(text);
	free(text);
}

static void what_is_not_known_has_no_sample(void **state)
{
	const struct snapshot *const v[] = {&first.s};
	char *text;

	(void)state;
	fixture_start(&first);
	first.s.swap = UNKNOWN;
	text = write_of(v, 1, NULL);
	assert_non_null(strstr(text, "\nalloctrace_rss_bytes{pid=\"4242\",comm=\"python3\"} 2061584302\n"));
	assert_null(strstr(text, "swap_bytes"));
	assert_null(strstr(text, "lazy_free_bytes"));
	assert_null(strstr(text, "retained_bytes"));
	assert_null(strstr(text, "alloctrace_live"));
	assert_null(strstr(text, "cgroup"));
	assert_null(strstr(text, "window_start"));
	assert_null(strstr(text, "nan"));
	assert_null(strstr(text, "18446744073709551615"));
	lint(text);
	free(text);
	first.s.allocs = &first.allocs;
	first.allocs.budget.probe_share = -1;
	text = write_of(v, 1, NULL);
	assert_null(strstr(text, "probe_cpu_ratio"));
	free(text);
}

static void estimates_say_so(void **state)
{
	const struct snapshot *const v[] = {&first.s};
	char *text;

	(void)state;
	everything_of(&first);
	text = write_of(v, 1, NULL);
	assert_non_null(strstr(text, "alloctrace_figures_estimated{pid=\"4242\",comm=\"python3\"} 0\n"));
	assert_null(strstr(text, "site_error"));
	free(text);
	fixture_estimates(&first);
	text = write_of(v, 1, NULL);
	assert_non_null(strstr(text, "alloctrace_figures_estimated{pid=\"4242\",comm=\"python3\"} 1\n"));
	assert_non_null(strstr(text, "alloctrace_probe_duty_ratio{pid=\"4242\",comm=\"python3\"} 0.050\n"));
	assert_non_null(strstr(text, "alloctrace_probe_cpu_ratio{pid=\"4242\",comm=\"python3\"} 0.093\n"));
	assert_non_null(strstr(text, "alloctrace_probe_cpu_budget_ratio{pid=\"4242\",comm=\"python3\"} 0.100\n"));
	assert_non_null(strstr(text, "alloctrace_site_error_ratio{pid=\"4242\",comm=\"python3\"} 0.043\n"));
	lint(text);
	first.allocs.budget.max_overhead = 0;
	free(text);
	text = write_of(v, 1, NULL);
	assert_null(strstr(text, "budget_ratio"));
	free(text);
}

static void objects_have_figures_of_their_own(void **state)
{
	const struct snapshot *const v[] = {&first.s};
	char *text;

	(void)state;
	everything_of(&first);
	text = write_of(v, 1, NULL);
	assert_null(strstr(text, "python_objects"));
	free(text);
	fixture_objects(&first);
	text = write_of(v, 1, NULL);
	assert_non_null(strstr(text, "alloctrace_python_objects_live_bytes{pid=\"4242\",comm=\"python3\"} 25293824\n"));
	assert_non_null(strstr(text, "alloctrace_python_objects_heap_bytes{pid=\"4242\",comm=\"python3\"} 41943040\n"));
	assert_non_null(strstr(text, "alloctrace_python_objects_seen_born_total{pid=\"4242\",comm=\"python3\"} 12000\n"));
	assert_non_null(strstr(text, "alloctrace_python_objects_duty_ratio{pid=\"4242\",comm=\"python3\"} 0.020\n"));
	lint(text);
	free(text);
}

static void hostile_names_are_escaped(void **state)
{
	const struct snapshot *const v[] = {&first.s};
	char *text;

	(void)state;
	fixture_start(&first);
	first.s.command = "a\"b\\c\n\xff} 1";
	text = write_of(v, 1, NULL);
	assert_non_null(strstr(text, "comm=\"a\\\"b\\\\c??} 1\"} 2061584302\n"));
	lint(text);
	free(text);
}

/* Its last figures would be scraped as if it lived. */
static void one_that_has_ended_has_no_series(void **state)
{
	const struct snapshot *const v[] = {&first.s, &second.s};
	char *text;

	(void)state;
	fixture_start(&first);
	fixture_start(&second);
	second.s.pid = 4243;
	first.s.gone = true;
	text = write_of(v, 2, NULL);
	assert_null(strstr(text, "4242"));
	assert_non_null(strstr(text, "pid=\"4243\""));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything),
		cmocka_unit_test(what_is_not_known_has_no_sample),
		cmocka_unit_test(estimates_say_so),
		cmocka_unit_test(objects_have_figures_of_their_own),
		cmocka_unit_test(hostile_names_are_escaped),
		cmocka_unit_test(one_that_has_ended_has_no_series),
	};

	return cmocka_run_group_tests(tests, use_utc, NULL);
}
