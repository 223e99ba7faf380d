/*
 * The recording: one file, written from its beginning to its end, nothing ever changed in it.
 *
 *   file    := head chunk*
 *   head    := struct record_head
 *   chunk   := struct chunk_head, stored bytes: raw bytes deflated (zlib, RFC 1950)
 *
 * The raw bytes of all chunks are one stream of records, which do not mind where chunks end; a chunk
 * ends behind each picture, so that what is killed leaves all pictures but the one in the making.
 * Numbers are LEB128 varints; UNKNOWN (2^64 − 1) is common, so unsigned figures are stored plus
 * one, modulo 2^64; signed ones zigzag. Byte order is little-endian.
 *
 *   stream  := record*
 *   record  := tag (a varint, enum record_tag) and what the tag says:
 *   PICTURE, ENDS  picture/picture.h, and of each of its snapshots the parts in record/parts.c; sites as
 *            changes since that process's last snapshot (record/site_changes.h), and their bounds
 *   EVENT    event/row.h, as a difference from the event before (--events)
 *   NAMES    better names of locations that are known already; behind the final picture too
 *
 * Texts, locations and stacks are numbered from 1 as they first come, 0 is none; the first time the
 * number is one more than all so far, and what it stands for follows it at once.
 *
 * RECORD_VERSION rises with every change of what a reader must know. A reader refuses newer ones.
 *
 *   1  without a budget: of allocs the probes' share and why they were removed; no bounds of sites
 *   2  the budget of the probes (record/parts.c), and bounds of sites (record/site_bounds.h) behind their changes
 *   3  Python's small objects: behind the survey of allocs; their sites and bounds behind those of allocs
 */
#ifndef ALLOCTRACE_RECORD_FORMAT_H
#define ALLOCTRACE_RECORD_FORMAT_H

#include <stdint.h>

#define RECORD_MAGIC "alloctrc" /* 8 bytes, without the NUL */
#define RECORD_VERSION 3
#define RECORD_VERSION_MIN 1 /* still read */
#define CHUNK_MAGIC 0x4b435441u /* "ATCK" */

#define CHUNK_RAW_MAX (1u << 20)  /* bytes; a chunk that says more is damaged */
#define CHUNK_RAW_SIZE (256u << 10) /* at which the writer ends one */

struct record_head {
	char magic[8];
	uint32_t version;
	uint32_t pad;    /* 0 */
	int64_t lead_ns; /* CLOCK_REALTIME over CLOCK_MONOTONIC when it began */
};

struct chunk_head {
	uint32_t magic;
	uint32_t flags;
	uint32_t stored; /* bytes behind this head */
	uint32_t raw;    /* bytes that they inflate to; may be 0 */
	uint32_t crc;    /* zlib's crc32 of flags, stored, raw (as they are here) and the stored bytes */
};
#define CHUNK_ENDS_RECORD 1u /* the last record in it is whole: so far a reader can go */
#define CHUNK_ENDS_WATCH 2u  /* and that is the final picture, or what belongs to it */

enum record_tag {
	RECORD_PICTURE = 1,
	RECORD_ENDS, /* a picture too, of ends */
	RECORD_NAMES,
	RECORD_EVENT,
};

/* More than a writer ever has (heap/sites.h, stack/location.h); a reader refuses what goes beyond. */
#define RECORD_TEXTS_MAX (8u << 20)
#define RECORD_TEXT_LEN_MAX 4096
#define RECORD_LOCATIONS_MAX (4u << 20)
#define RECORD_STACKS_MAX (8u << 20)
#define RECORD_PROCESSES_MAX 4096 /* at once */

#endif
