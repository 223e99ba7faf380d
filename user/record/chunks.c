#include "record/chunks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "record/format.h"

/* Fast: it runs beside a target, and what changes compresses well at any level. */
#define LEVEL 2

struct chunk_writer {
	int fd, status;
	size_t used;
	bool open;     /* something was written since the last end of a record */
	uint64_t size; /* of the file, in whole chunks */
	uint8_t raw[CHUNK_RAW_SIZE];
	uint8_t *stored; /* a head, and room for what raw may become */
	size_t bound;
};

static int write_all(int fd, const void *bytes, size_t cnt)
{
	const char *at = bytes;

	while (cnt) {
		ssize_t got = write(fd, at, cnt);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got ? -errno : -EIO;
		at += got;
		cnt -= (size_t)got;
	}
	return 0;
}

int chunk_writer_new(int fd, int64_t lead_ns, struct chunk_writer **writer)
{
	const struct record_head head = {.magic = {'a', 'l', 'l', 'o', 'c', 't', 'r', 'c'},
					 .version = RECORD_VERSION,
					 .lead_ns = lead_ns};
	struct chunk_writer *w = calloc(1, sizeof(*w));
	int rc = w ? 0 : -ENOMEM;

	if (w) {
		w->fd = fd;
		w->bound = compressBound(CHUNK_RAW_SIZE);
		w->stored = malloc(sizeof(struct chunk_head) + w->bound);
		rc = w->stored ? write_all(fd, &head, sizeof(head)) : -ENOMEM;
		w->size = sizeof(head);
	}
	if (rc) {
		chunk_writer_free(w);
		return rc;
	}
	*writer = w;
	return 0;
}

void chunk_writer_free(struct chunk_writer *w)
{
	if (!w)
		return;
	free(w->stored);
	free(w);
}

static uint32_t checksum(const struct chunk_head *head, const uint8_t *stored)
{
	uLong crc = crc32(0, (const Bytef *)&head->flags,
			  sizeof(head->flags) + sizeof(head->stored) + sizeof(head->raw));

	return (uint32_t)crc32(crc, stored, head->stored);
}

static int put_chunk(struct chunk_writer *w, uint32_t flags)
{
	struct chunk_head head = {.magic = CHUNK_MAGIC, .flags = flags, .raw = (uint32_t)w->used};
	uLongf stored = w->bound;
	size_t whole;

	if (compress2(w->stored + sizeof(head), &stored, w->raw, w->used, LEVEL) != Z_OK) {
		w->status = -ENOMEM;
		return w->status;
	}
	head.stored = (uint32_t)stored;
	head.crc = checksum(&head, w->stored + sizeof(head));
	memcpy(w->stored, &head, sizeof(head));
	whole = sizeof(head) + stored;
	w->status = write_all(w->fd, w->stored, whole);
	/* A reader would skip the rest of one; the next writer of the disk may need its room. */
	if (w->status && ftruncate(w->fd, (off_t)w->size) == 0)
		return w->status;
	w->size += w->status ? 0 : whole;
	w->used = 0;
	return w->status;
}

int chunk_end(struct chunk_writer *w, bool final)
{
	if (w->status || !w->open)
		return w->status;
	w->open = false;
	return put_chunk(w, CHUNK_ENDS_RECORD | (final ? CHUNK_ENDS_WATCH : 0));
}

void chunk_write(struct chunk_writer *w, const void *bytes, size_t cnt)
{
	const uint8_t *at = bytes;

	w->open = true;
	while (cnt && !w->status) {
		size_t room = sizeof(w->raw) - w->used, part = cnt < room ? cnt : room;

		memcpy(w->raw + w->used, at, part);
		w->used += part;
		at += part;
		cnt -= part;
		if (w->used == sizeof(w->raw))
			put_chunk(w, 0);
	}
}

void chunk_write_varint(struct chunk_writer *w, uint64_t value)
{
	uint8_t bytes[10];
	size_t cnt = 0;

	do {
		bytes[cnt++] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
		value >>= 7;
	} while (value);
	chunk_write(w, bytes, cnt);
}

size_t chunk_writer_waiting(const struct chunk_writer *w)
{
	return w->used;
}

int chunk_writer_status(const struct chunk_writer *w)
{
	return w->status;
}

uint64_t chunk_writer_size(const struct chunk_writer *w)
{
	return w->size;
}

/* How many of cnt bytes there were, or −errno. */
static ssize_t read_all(struct chunk_reader *r, void *bytes, size_t cnt)
{
	size_t got = 0;

	while (got < cnt) {
		ssize_t part = read(r->fd, (char *)bytes + got, cnt - got);

		if (part < 0 && errno == EINTR)
			continue;
		if (part < 0)
			return -errno;
		if (part == 0)
			break;
		got += (size_t)part;
	}
	r->offset += got;
	return (ssize_t)got;
}

/* The next chunk as it is stored, its checksum not looked at. 1, 0: none that is whole, with *ending; −errno.
 */
static int get_chunk(struct chunk_reader *r, struct chunk_head *head, enum chunk_ending *ending)
{
	ssize_t got = read_all(r, head, sizeof(*head));

	*ending = CHUNKS_CUT;
	if (got < 0 || (size_t)got < sizeof(*head))
		return got < 0 ? (int)got : 0;
	*ending = CHUNKS_DAMAGED;
	if (head->magic != CHUNK_MAGIC || head->raw > CHUNK_RAW_MAX ||
	    head->stored > compressBound(CHUNK_RAW_MAX))
		return 0;
	got = read_all(r, r->stored, head->stored);
	if (got < 0 || (size_t)got < head->stored) {
		*ending = CHUNKS_CUT;
		return got < 0 ? (int)got : 0;
	}
	return 1;
}

/* How far it can be read, and how it ends. 0 or −errno. */
static int survey(struct chunk_reader *r)
{
	uint64_t first = r->offset;
	struct chunk_head head;
	enum chunk_ending ending;
	bool final = false;
	int rc;

	r->limit = r->offset;
	while ((rc = get_chunk(r, &head, &ending)) > 0 && checksum(&head, r->stored) == head.crc) {
		if (head.flags & CHUNK_ENDS_RECORD)
			r->limit = r->offset;
		final = head.flags & CHUNK_ENDS_WATCH;
	}
	if (rc > 0)
		ending = CHUNKS_DAMAGED;
	r->ending = final && ending == CHUNKS_CUT ? CHUNKS_FINAL : ending;
	r->offset = first;
	if (rc < 0)
		return rc;
	return lseek(r->fd, (off_t)first, SEEK_SET) < 0 ? -errno : 0;
}

static int check_head(struct chunk_reader *r, struct error *err)
{
	struct record_head head;
	ssize_t got = read_all(r, &head, sizeof(head));

	if (got < 0)
		return error_set(err, (int)got, "%s", strerror((int)-got));
	if ((size_t)got < sizeof(head) || memcmp(head.magic, RECORD_MAGIC, sizeof(head.magic)) != 0)
		return error_set(err, -EBADMSG, "it is no recording of alloctrace");
	if (head.version < RECORD_VERSION_MIN || head.version > RECORD_VERSION)
		return error_set(err, -EBADMSG,
				 "it is of format %u and this alloctrace reads format %d: read it with %s",
				 head.version, RECORD_VERSION,
				 head.version > RECORD_VERSION ? "a newer one" : "the one that wrote it");
	r->version = head.version;
	r->lead_ns = head.lead_ns;
	return 0;
}

int chunk_reader_open(struct chunk_reader *r, int fd, struct error *err)
{
	int rc;

	*r = (struct chunk_reader){.fd = fd};
	rc = check_head(r, err);
	if (rc)
		return rc;
	r->raw = malloc(CHUNK_RAW_MAX);
	r->stored = malloc(compressBound(CHUNK_RAW_MAX));
	rc = r->raw && r->stored ? survey(r) : -ENOMEM;
	if (!rc)
		return 0;
	chunk_reader_close(r);
	return error_set(err, rc, "%s", strerror(-rc));
}

void chunk_reader_close(struct chunk_reader *r)
{
	free(r->raw);
	free(r->stored);
	r->raw = r->stored = NULL;
	r->at = r->end = NULL;
}

/* Opens the next chunk that is not empty; false: there is none. */
static bool next_chunk(struct chunk_reader *r)
{
	enum chunk_ending ending;
	struct chunk_head head;

	while (!r->status && r->offset < r->limit) {
		uLongf raw = CHUNK_RAW_MAX;
		int rc = get_chunk(r, &head, &ending);

		if (rc > 0 && (uncompress(r->raw, &raw, r->stored, head.stored) != Z_OK || raw != head.raw))
			rc = -EBADMSG;
		if (rc <= 0) {
			r->status = rc ? rc : -EBADMSG; /* it was whole a moment ago */
			return false;
		}
		if (raw) {
			r->at = r->raw;
			r->end = r->raw + raw;
			return true;
		}
	}
	r->status = r->status ? r->status : 1;
	return false;
}

bool chunk_at_end(struct chunk_reader *r)
{
	return r->at == r->end && !next_chunk(r);
}

void chunk_read(struct chunk_reader *r, void *bytes, size_t cnt)
{
	uint8_t *to = bytes;

	while (cnt) {
		size_t left = (size_t)(r->end - r->at), part;

		if (!left) {
			if (next_chunk(r))
				continue;
			memset(to, 0, cnt);
			return;
		}
		part = cnt < left ? cnt : left;
		memcpy(to, r->at, part);
		r->at += part;
		to += part;
		cnt -= part;
	}
}

uint64_t chunk_read_slowly(struct chunk_reader *r)
{
	uint64_t value = 0;
	uint8_t byte = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		chunk_read(r, &byte, 1);
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80) || r->status)
			return r->status ? 0 : value;
	}
	r->status = -EBADMSG;
	r->at = r->end;
	return 0;
}
