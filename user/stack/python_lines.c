#include "stack/python_lines.h"

#include <stdbool.h>

#define NO_LINE (-128) /* 3.10: instructions that belong to no line */

/* A table that is read from its beginning to its end, never beyond. */
struct reader {
	const uint8_t *at, *end;
};

static bool more(const struct reader *r)
{
	return r->at < r->end;
}

static uint8_t next_byte(struct reader *r)
{
	return more(r) ? *r->at++ : 0;
}

static uint32_t to_line(int64_t line)
{
	return line > 0 && line <= INT32_MAX ? (uint32_t)line : 0;
}

/* Up to 3.9: pairs of how far instruction and line go on; the last line holds to the code's end. */
static uint32_t line_of_lnotab(struct reader r, int64_t line, uint32_t at)
{
	uint64_t addr = 0;

	while (r.end - r.at >= 2) {
		addr += next_byte(&r);
		if (addr > at)
			break;
		line += (int8_t)next_byte(&r);
	}
	return to_line(line);
}

/* 3.10: pairs of how far a range reaches and its line from the last one's. */
static uint32_t line_of_ranges(struct reader r, int64_t line, uint32_t at)
{
	uint64_t end = 0;

	while (r.end - r.at >= 2) {
		int8_t delta;

		end += next_byte(&r);
		delta = (int8_t)next_byte(&r);
		if (delta != NO_LINE)
			line += delta;
		if (at < end)
			return delta != NO_LINE ? to_line(line) : 0;
	}
	return 0;
}

/* From 3.11 on: entries of a first byte, 1 CCCC LLL (kind, length − 1 in code units), and what the kind says.
 */
enum location_kind {
	LOCATION_SHORT_MAX = 9, /* up to here: same line, one byte of columns */
	LOCATION_ONE_LINE0 = 10,
	LOCATION_ONE_LINE2 = 12, /* line + kind − 10, two bytes of columns */
	LOCATION_NO_COLUMNS = 13,
	LOCATION_LONG = 14,
	LOCATION_NONE = 15,
};

/* Six bits a byte, the lowest first; bit 6: there are more. */
static uint32_t next_varint(struct reader *r)
{
	uint32_t value = 0;

	for (unsigned shift = 0; more(r); shift += 6) {
		uint8_t byte = next_byte(r);

		if (shift < 32)
			value |= (uint32_t)(byte & 63) << shift;
		if (!(byte & 64))
			break;
	}
	return value;
}

static int64_t next_signed(struct reader *r)
{
	uint32_t value = next_varint(r);

	return value & 1 ? -(int64_t)(value >> 1) : (int64_t)(value >> 1);
}

static uint32_t line_of_locations(struct reader r, int64_t line, uint32_t at)
{
	uint64_t end = 0;

	while (more(&r)) {
		uint8_t first = next_byte(&r), kind = first >> 3 & 15;

		if (kind == LOCATION_LONG) {
			line += next_signed(&r);
			for (int i = 0; i < 3; i++)
				next_varint(&r); /* last line, columns */
		} else if (kind == LOCATION_NO_COLUMNS) {
			line += next_signed(&r);
		} else if (kind >= LOCATION_ONE_LINE0 && kind <= LOCATION_ONE_LINE2) {
			line += kind - LOCATION_ONE_LINE0;
			next_byte(&r);
			next_byte(&r);
		} else if (kind <= LOCATION_SHORT_MAX) {
			next_byte(&r);
		}
		end += ((first & 7) + 1) * 2u;
		if (at < end)
			return kind == LOCATION_NONE ? 0 : to_line(line);
	}
	return 0;
}

uint32_t python_line(uint32_t version, const uint8_t *table, size_t len, uint32_t first_line, uint32_t at)
{
	struct reader r = {table, table + len};

	if (version < 0x30a)
		return line_of_lnotab(r, first_line, at);
	if (version == 0x30a)
		return line_of_ranges(r, first_line, at);
	return line_of_locations(r, first_line, at);
}
