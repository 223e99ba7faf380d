/*
 * Recordings of whatever bytes: as a file (the first byte odd), and as a stream in chunks whose
 * checksums are right. What is read is printed in every form that shows all of it; memory is bounded.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "record/chunks.h"
#include "record/replay.h"
#include "report/form.h"
#include "picture/whole.h"

static void make_chunks(int fd, const uint8_t *data, size_t size)
{
	struct chunk_writer *out;

	if (chunk_writer_new(fd, 0, &out))
		abort();
	chunk_write(out, data, size);
	if (chunk_end(out, data[0] & 2))
		abort();
	chunk_writer_free(out);
}

static void show(struct whole *whole, const struct picture *picture, FILE *out)
{
	static const enum form_number shown[] = {FORM_TEXT, FORM_JSON, FORM_FOLDED};
	const struct form_options options = {.weight = WEIGHT_LIVE};
	const struct snapshot *s;

	if (picture->kind != PICTURE_ENDS && !whole_of(whole, picture, &s))
		for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
			forms[shown[i]].write(out, s, &options);
	whole_passed(whole, picture);
}

static void read_back(const char *name)
{
	struct whole *whole = whole_new();
	FILE *out = fopen("/dev/null", "w");
	struct picture picture;
	struct replay *replay;

	if (!whole || !out)
		abort();
	if (!replay_open(name, 64 << 20, &replay, NULL)) {
		while (replay_next(replay, &picture, NULL) > 0 && !replay_sites(replay, 0))
			show(whole, &picture, out);
		replay_close(replay);
	}
	whole_free(whole);
	fclose(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char name[64];
	int fd;

	if (size < 2)
		return 0;
	fd = memfd_create("recording", MFD_CLOEXEC);
	if (fd < 0)
		abort();
	if (!(data[0] & 1))
		make_chunks(fd, data + 1, size - 1);
	else if (write(fd, data + 1, size - 1) < 0)
		abort();
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	read_back(name);
	close(fd);
	return 0;
}
