/* What tests of recordings share: a file of a recording, what is recorded, and what is read back as JSON. */
#ifndef ALLOCTRACE_TESTS_RECORDING_SCENE_H
#define ALLOCTRACE_TESTS_RECORDING_SCENE_H

#include <unistd.h>

#include "report_fixture.h"

#include "record/recorder.h"
#include "record/replay.h"
#include "report/report.h"

static char path[64];
static FILE *said; /* what the recorder says */
static struct log quiet;

static void fill(struct fixture *x)
{
	fixture_start(x);
	fixture_heap(x, 2);
	fixture_findings(x);
	fixture_allocs(x);
	fixture_collector(x);
	fixture_blind_spots(x);
	fixture_marks(x);
	x->purges[1].after = x->marks[1];
	x->s.heap = &x->heap;
}

static struct picture picture_of(enum picture_kind kind, const struct snapshot *const *v, size_t cnt)
{
	return (struct picture){
		.kind = kind,
		.v = v,
		.cnt = cnt,
		.time_ns = v[0]->time_ns,
		.started_ns = v[0]->started_ns,
		.epoch_ns = -17,
		.title = "all together",
		.ended = kind == PICTURE_FINAL ? "interrupted" : NULL,
		.first = cnt,
		.ever = cnt,
		.living = cnt,
	};
}

static char *json_of(const struct picture *p)
{
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	for (size_t i = 0; i < p->cnt; i++)
		assert_int_equal(report_json(out, p->v[i]), 0);
	fclose(out);
	return text;
}

static struct recorder *record(void)
{
	struct recorder *r = recorder_open(path, NULL, &quiet);

	assert_non_null(r);
	return r;
}

static struct replay *replay(void)
{
	struct replay *r;
	struct error err;

	assert_int_equal(replay_open(path, REPLAY_MEMORY, &r, &err), 0);
	return r;
}

static uint64_t size_of_file(void)
{
	FILE *f = fopen(path, "r");
	long size;

	assert_non_null(f);
	fseek(f, 0, SEEK_END);
	size = ftell(f);
	fclose(f);
	return (uint64_t)size;
}

static int begin(void **state)
{
	int fd;

	use_utc(state);
	strcpy(path, "/tmp/alloctrace-recording-XXXXXX");
	fd = mkstemp(path);
	close(fd);
	said = tmpfile();
	quiet.out = said;
	return said ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	fclose(said);
	return unlink(path);
}

#endif
