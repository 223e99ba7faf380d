/* Recordings: what is whole comes back, however the file ends and whatever is done to it. */
#include <signal.h>
#include <sys/resource.h>

#include "recording_scene.h"

#include "record/chunks.h"
#include "record/format.h"

#define FILE_MAX (4u << 20)

static size_t read_file(uint8_t *bytes)
{
	FILE *f = fopen(path, "r");
	size_t got;

	assert_non_null(f);
	got = fread(bytes, 1, FILE_MAX, f);
	fclose(f);
	return got;
}

static void write_file(const uint8_t *bytes, size_t cnt)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, cnt, f), cnt);
	fclose(f);
}

/* Records two intervals and the final picture; returns what of each is expected, and the file's bytes. */
static size_t make_three(char *texts[3], uint8_t *bytes)
{
	static struct fixture x;
	const struct snapshot *v[] = {&x.s};
	struct recorder *recorder = record();

	fill(&x);
	for (int i = 0; i < 3; i++) {
		struct picture p = picture_of(i == 2 ? PICTURE_FINAL : PICTURE_INTERVAL, v, 1);

		x.s.final = i == 2;
		x.sites[0].live.cnt += 1000;
		texts[i] = json_of(&p);
		recorder_picture(recorder, &p);
	}
	recorder_close(recorder);
	return read_file(bytes);
}

/* How many pictures of intervals come before the end, all as they were; the last is made up if need be. */
static int count_whole(char *texts[3])
{
	struct replay *r;
	struct error err;
	struct picture p;
	int cnt = 0, rc;

	rc = replay_open(path, REPLAY_MEMORY, &r, &err);
	if (rc)
		return -1;
	while ((rc = replay_next(r, &p, &err)) > 0) {
		char *text;

		assert_int_equal(replay_sites(r, 0), 0);
		if (p.kind == PICTURE_FINAL && replay_remark(r)) {
			assert_true(p.v[0]->final);
			assert_int_equal(p.v[0]->purge_cnt, 2 * cnt);
			assert_int_equal(p.v[0]->allocs->site_cnt, SITES_CNT);
			continue;
		}
		text = json_of(&p);
		assert_string_equal(text, texts[cnt]);
		cnt++;
		free(text);
	}
	assert_true(rc == 0 || (rc == -ENODATA && !cnt));
	replay_close(r);
	return cnt;
}

static void free_three(char *texts[3], uint8_t *bytes)
{
	for (int i = 0; i < 3; i++)
		free(texts[i]);
	free(bytes);
}

static void it_is_read_as_far_as_it_is_whole(void **state)
{
	uint8_t *bytes = malloc(FILE_MAX);
	char *texts[3];
	size_t size = make_three(texts, bytes);
	int before = -1, seen[4] = {0};

	(void)state;
	for (size_t cut = 0; cut <= size; cut++) {
		int cnt;

		if (cut > 200 && cut < size - 200 && cut % 37)
			continue;
		write_file(bytes, cut);
		cnt = count_whole(texts);
		assert_true(cnt >= before && cnt <= 3);
		before = cnt;
		if (cnt >= 0)
			seen[cnt]++;
	}
	assert_true(seen[0] && seen[1] && seen[2] && seen[3]);
	free_three(texts, bytes);
}

static void a_bit_that_fell_over_is_seen(void **state)
{
	uint8_t *bytes = malloc(FILE_MAX);
	char *texts[3];
	size_t size = make_three(texts, bytes);

	(void)state;
	for (size_t at = 0; at < size; at += 61) {
		bytes[at] ^= 0x10;
		write_file(bytes, size);
		/* In the head's unused word and its clock nothing is lost. */
		assert_true(count_whole(texts) < 3 || (at >= 12 && at < 24));
		bytes[at] ^= 0x10;
	}
	free_three(texts, bytes);
}

static void newer_ones_are_refused(void **state)
{
	uint8_t *bytes = malloc(FILE_MAX);
	char *texts[3];
	size_t size = make_three(texts, bytes);
	struct replay *r;
	struct error err;

	(void)state;
	bytes[8]++;
	write_file(bytes, size);
	assert_int_equal(replay_open(path, REPLAY_MEMORY, &r, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "a newer one"));
	bytes[0] = 'A';
	write_file(bytes, size);
	assert_int_equal(replay_open(path, REPLAY_MEMORY, &r, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "no recording of alloctrace"));
	free_three(texts, bytes);
}

/* All chunks' raw bytes. */
static size_t raw_of(uint8_t *raw)
{
	FILE *f = fopen(path, "r");
	struct chunk_reader in;
	struct error err;
	size_t cnt = 0;

	assert_non_null(f);
	assert_int_equal(chunk_reader_open(&in, fileno(f), &err), 0);
	while (!chunk_at_end(&in)) {
		assert_true(cnt < FILE_MAX);
		chunk_read(&in, raw + cnt++, 1);
	}
	chunk_reader_close(&in);
	fclose(f);
	return cnt;
}

static void write_raw(const uint8_t *raw, size_t cnt)
{
	FILE *f = fopen(path, "w");
	struct chunk_writer *out;

	assert_non_null(f);
	assert_int_equal(chunk_writer_new(fileno(f), 0, &out), 0);
	chunk_write(out, raw, cnt);
	assert_int_equal(chunk_end(out, true), 0);
	chunk_writer_free(out);
	fclose(f);
}

/* Somebody who knows the format: every byte made up, the checksums right. */
static void made_up_recordings_do_no_harm(void **state)
{
	uint8_t *bytes = malloc(FILE_MAX), *raw = malloc(FILE_MAX);
	char *texts[3];
	unsigned seed = 1, refused = 0;
	size_t cnt;

	(void)state;
	make_three(texts, bytes);
	cnt = raw_of(raw);
	for (int i = 0; i < 3000; i++) {
		size_t at = (size_t)rand_r(&seed) % cnt;
		uint8_t was = raw[at];
		struct replay *r;
		struct error err;
		struct picture p;
		int rc;

		raw[at] = (uint8_t)rand_r(&seed);
		write_raw(raw, cnt);
		assert_int_equal(replay_open(path, 64 << 20, &r, &err), 0);
		while ((rc = replay_next(r, &p, &err)) > 0 && !replay_sites(r, 0))
			free(json_of(&p));
		refused += rc < 0;
		replay_close(r);
		raw[at] = was;
	}
	assert_true(refused > 100);
	free_three(texts, bytes);
	free(raw);
}

static void a_full_disk_is_said_and_the_rest_is_whole(void **state)
{
	static struct fixture x;
	const struct snapshot *v[] = {&x.s};
	struct picture p;
	struct rlimit limit, small;
	struct recorder *recorder;
	struct replay *r;
	struct error err;
	char line[256] = "";

	(void)state;
	fill(&x);
	p = picture_of(PICTURE_INTERVAL, v, 1);
	signal(SIGXFSZ, SIG_IGN);
	recorder = record();
	recorder_picture(recorder, &p);
	getrlimit(RLIMIT_FSIZE, &limit);
	small = limit;
	small.rlim_cur = size_of_file() + 100;
	setrlimit(RLIMIT_FSIZE, &small);
	for (int i = 0; i < 5; i++)
		recorder_picture(recorder, &p);
	setrlimit(RLIMIT_FSIZE, &limit);
	assert_int_equal(recorder_close(recorder), -EFBIG);
	rewind(said);
	assert_non_null(fgets(line, sizeof(line), said));
	assert_non_null(strstr(line, "the watch goes on without"));
	assert_null(fgets(line, sizeof(line), said)); /* once */
	assert_int_equal(ftruncate(fileno(said), 0), 0);
	rewind(said);

	r = replay();
	assert_int_equal(replay_next(r, &p, &err), 1);
	assert_int_equal(replay_next(r, &p, &err), 1);
	assert_int_equal(p.kind, PICTURE_FINAL);
	assert_non_null(replay_remark(r));
	replay_close(r);
}

static void what_is_no_file_is_refused(void **state)
{
	char line[256] = "";
	struct replay *r;
	struct error err;

	(void)state;
	assert_null(recorder_open("/dev/full", NULL, &quiet));
	assert_null(recorder_open("/nowhere/x", NULL, &quiet));
	rewind(said);
	assert_non_null(fgets(line, sizeof(line), said));
	assert_non_null(strstr(line, "/dev/full: it is no regular file"));
	assert_non_null(fgets(line, sizeof(line), said));
	assert_non_null(strstr(line, "No such file"));
	assert_int_equal(replay_open("/dev/null", 0, &r, &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_read_as_far_as_it_is_whole),
		cmocka_unit_test(a_bit_that_fell_over_is_seen),
		cmocka_unit_test(newer_ones_are_refused),
		cmocka_unit_test(made_up_recordings_do_no_harm),
		cmocka_unit_test(a_full_disk_is_said_and_the_rest_is_whole),
		cmocka_unit_test(what_is_no_file_is_refused),
	};

	return cmocka_run_group_tests_name("recording_damage", tests, begin, end);
}
