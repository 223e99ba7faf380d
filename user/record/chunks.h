/*
 * The stream of a recording in chunks (record/format.h): bytes go in and come out; compressed,
 * checksummed, and readable up to the last whole chunk however the file came to end.
 */
#ifndef ALLOCTRACE_RECORD_CHUNKS_H
#define ALLOCTRACE_RECORD_CHUNKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct chunk_writer;

/* Writes the file's head, with lead_ns in it. fd is a regular file's, at its beginning, and stays the caller's. 0 or −errno. */
int chunk_writer_new(int fd, int64_t lead_ns, struct chunk_writer **writer);
void chunk_writer_free(struct chunk_writer *w); /* NULL-safe; what was not ended is not in the file */
void chunk_write(struct chunk_writer *w, const void *bytes, size_t cnt);
void chunk_write_varint(struct chunk_writer *w, uint64_t value);
/*
 * A record has ended, and a chunk with it: what was written is in the file. final: that was the last one.
 * 0, or the first −errno: the file ends behind its last whole chunk.
 */
int chunk_end(struct chunk_writer *w, bool final);
size_t chunk_writer_waiting(const struct chunk_writer *w); /* bytes written since the last chunk */
/* The first −errno so far, or 0. */
int chunk_writer_status(const struct chunk_writer *w);
uint64_t chunk_writer_size(const struct chunk_writer *w); /* bytes in the file */

enum chunk_ending {
	CHUNKS_FINAL,   /* as its writer ended it */
	CHUNKS_CUT,     /* without: its writer was killed, or the disk full */
	CHUNKS_DAMAGED, /* at a chunk that is not what its checksum says */
};

struct chunk_reader {
	const uint8_t *at, *end; /* what is left of the chunk that is open */
	int status;              /* 0; 1: the stream is over; −EBADMSG: a number of more than 64 bits; −errno of the file */
	enum chunk_ending ending;
	int fd;
	uint32_t version;        /* of the head */
	int64_t lead_ns;         /* likewise */
	uint64_t offset, limit;  /* bytes of the file: read so far, and up to the last whole record */
	uint8_t *raw, *stored;
};

/*
 * Reads all chunks once to see how far they are whole. 0; −EBADMSG with err: no recording, or of another
 * version. fd is a file's, at its beginning, and stays the caller's.
 */
int chunk_reader_open(struct chunk_reader *r, int fd, struct error *err);
void chunk_reader_close(struct chunk_reader *r); /* idempotent */
/* As many bytes as there are; when the stream ends before, the rest is zero and status says it. */
void chunk_read(struct chunk_reader *r, void *bytes, size_t cnt);
uint64_t chunk_read_slowly(struct chunk_reader *r); /* a varint, over the end of a chunk */
/* Whether the stream is over. */
bool chunk_at_end(struct chunk_reader *r);

static inline uint64_t chunk_read_varint(struct chunk_reader *r)
{
	const uint8_t *p = r->at;
	uint64_t value;

	if (r->end - p < 10)
		return chunk_read_slowly(r);
	value = *p & 0x7f;
	for (unsigned shift = 7; *p++ & 0x80; shift += 7) {
		if (shift > 63)
			return chunk_read_slowly(r);
		value |= (uint64_t)(*p & 0x7f) << shift;
	}
	r->at = p;
	return value;
}

#endif
