/* What is pushed: sums since the last profile that was taken, and to which kind of server. */
#include "base/base64.h"
#include "command/push_request.h"
#include "pprof.pb-c.h"
#include "report/pprof.h"
#include "report_fixture.h"

static void an_url_says_its_server(void **state)
{
	(void)state;
	assert_int_equal(push_form_of("http://localhost:4040/ingest"), PUSH_PYROSCOPE);
	assert_int_equal(push_form_of("https://a:b@host/deep/ingest?name=x/y"), PUSH_PYROSCOPE);
	assert_int_equal(push_form_of("http://localhost:7070/api/profiles/writeraw"), PUSH_PARCA);
	assert_int_equal(push_form_of("http://localhost:4040"), PUSH_NONE);
	assert_int_equal(push_form_of("http://localhost/other?to=/ingest"), PUSH_NONE);
	assert_int_equal(push_form_of("http:///ingest"), PUSH_NONE);
	assert_int_equal(push_form_of("file:///ingest"), PUSH_NONE);
	assert_int_equal(push_form_of(""), PUSH_NONE);
}

static void names_are_those_of_services(void **state)
{
	char name[64];

	(void)state;
	push_name(name, "gunicorn: worker [app]{x=1}");
	assert_string_equal(name, "gunicorn__worker__app__x_1_");
	push_name(name, "naïve/a.b-c_d");
	assert_string_equal(name, "na__ve/a.b-c_d");
	push_name(name, "");
	assert_string_equal(name, "process");
	push_name(name, "0123456789012345678901234567890123456789012345678901234567890123456789");
	assert_int_equal(strlen(name), 63);
}

static void passwords_are_not_shown(void **state)
{
	char shown[PUSH_WHY_MAX];

	(void)state;
	assert_string_equal(push_url_shown(shown, "https://me:p@ss@host:1/ingest?key=secret"),
			    "https://host:1/ingest");
	assert_string_equal(push_url_shown(shown, "http://host/a@b/ingest"), "http://host/a@b/ingest");
}

static void bytes_become_text(void **state)
{
	/* RFC 4648, section 10. */
	static const char *const vectors[][2] = {{"", ""},
						 {"f", "Zg=="},
						 {"fo", "Zm8="},
						 {"foo", "Zm9v"},
						 {"foob", "Zm9vYg=="},
						 {"fooba", "Zm9vYmE="},
						 {"foobar", "Zm9vYmFy"},
						 {"\xfb\xff\xfe", "+//+"}};

	(void)state;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		char *text = FORM_TEXT((base64_put(out, vectors[i][0], strlen(vectors[i][0])), 0));

		assert_string_equal(text, vectors[i][1]);
		free(text);
	}
}

/* Of a type, over all samples; −1: the profile has none of it. */
static int64_t pushed(const struct fixture *x, struct since *since, const char *type, int64_t *duration)
{
	char *bytes = NULL;
	size_t len, at;
	FILE *out = open_memstream(&bytes, &len);
	Pprof__Profile *p;
	int64_t sum = 0;

	assert_int_equal(pprof_put(out, &x->s, &(struct pprof_choice){.since = since}), 0);
	fclose(out);
	p = pprof__profile__unpack(NULL, len, (uint8_t *)bytes);
	assert_non_null(p);
	for (at = 0; at < p->n_sample_type; at++)
		if (!strcmp(p->string_table[p->sample_type[at]->type], type))
			break;
	assert_true(at < p->n_sample_type);
	for (size_t i = 0; i < p->n_sample; i++)
		sum += p->sample[i]->value[at];
	*duration = p->duration_nanos;
	pprof__profile__free_unpacked(p, NULL);
	free(bytes);
	return sum;
}

static void check_pushed(const struct fixture *x, struct since *since, uint64_t freed, uint64_t live,
			 uint64_t seconds)
{
	int64_t duration;

	assert_int_equal(pushed(x, since, "live", &duration), live);
	assert_int_equal(pushed(x, since, "freed", &duration), freed);
	assert_int_equal(duration, seconds * SEC);
}

/* What is lost on the way is in the next one, and what is live now is in each. */
static void sums_are_since_the_last_that_was_taken(void **state)
{
	struct since *since = since_new();
	uint64_t freed, live;
	struct fixture x;

	(void)state;
	assert_non_null(since);
	fixture_start(&x);
	fixture_allocs(&x);
	x.allocs.unattributed = UNKNOWN;
	x.s.time_ns = x.s.started_ns + 10 * SEC;
	freed = x.allocs.totals.freed.bytes;
	live = x.allocs.totals.live.bytes;
	check_pushed(&x, since, freed, live, 10);
	since_settle(since, false);
	check_pushed(&x, since, freed, live, 10);
	since_settle(since, true);
	assert_int_equal(since_from_ns(since), x.s.time_ns);
	check_pushed(&x, since, 0, live, 0);
	since_settle(since, true);
	x.sites[5].freed_here.bytes += 1000;
	x.sites[3].freed_here.bytes += 10; /* of no stack */
	x.s.time_ns += 5 * SEC;
	check_pushed(&x, since, 1010, live, 5);
	since_settle(since, false);
	x.sites[5].freed_here.bytes += 7;
	x.s.time_ns += 5 * SEC;
	check_pushed(&x, since, 1017, live, 10);
	since_settle(since, true);
	/* A process has left the sum of many. */
	x.sites[5].freed_here.bytes -= 500;
	check_pushed(&x, since, 0, live, 0);
	since_free(since);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_url_says_its_server),
		cmocka_unit_test(names_are_those_of_services),
		cmocka_unit_test(passwords_are_not_shown),
		cmocka_unit_test(bytes_become_text),
		cmocka_unit_test(sums_are_since_the_last_that_was_taken),
	};

	return cmocka_run_group_tests_name("push", tests, NULL, NULL);
}
