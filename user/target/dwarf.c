#include "target/dwarf.h"

#include <string.h>

struct cursor cursor_new(const void *bytes, size_t len, uint64_t addr)
{
	return (struct cursor){.at = bytes, .end = (const uint8_t *)bytes + len, .end_addr = addr + len};
}

static size_t left(const struct cursor *c)
{
	return (size_t)(c->end - c->at);
}

static void fail(struct cursor *c)
{
	c->at = c->end;
	c->failed = true;
}

struct cursor cursor_take(struct cursor *c, uint64_t len)
{
	struct cursor part = *c;

	if (c->failed || len > left(c)) {
		fail(c);
		return *c;
	}
	part.end = part.at + len;
	part.end_addr = c->end_addr - (left(c) - len);
	c->at = part.end;
	return part;
}

/* Bytes need not be aligned: they are copied. */
static bool read_bytes(struct cursor *c, void *value, size_t len)
{
	if (len > left(c)) {
		fail(c);
		return false;
	}
	memcpy(value, c->at, len);
	c->at += len;
	return true;
}

uint8_t cursor_u8(struct cursor *c)
{
	uint8_t value = 0;

	read_bytes(c, &value, sizeof(value));
	return value;
}

uint16_t cursor_u16(struct cursor *c)
{
	uint16_t value = 0;

	read_bytes(c, &value, sizeof(value));
	return value;
}

uint32_t cursor_u32(struct cursor *c)
{
	uint32_t value = 0;

	read_bytes(c, &value, sizeof(value));
	return value;
}

uint64_t cursor_u64(struct cursor *c)
{
	uint64_t value = 0;

	read_bytes(c, &value, sizeof(value));
	return value;
}

/* Returns the last byte, whose bit 6 is the sign. */
static uint8_t read_leb(struct cursor *c, uint64_t *value, unsigned *bits)
{
	uint8_t byte;

	*value = 0;
	*bits = 0;
	do {
		byte = cursor_u8(c);
		if (*bits < 64) {
			*value |= (uint64_t)(byte & 0x7f) << *bits;
			*bits += 7;
		}
	} while (byte & 0x80);
	return byte;
}

uint64_t cursor_uleb(struct cursor *c)
{
	uint64_t value;
	unsigned bits;

	read_leb(c, &value, &bits);
	return c->failed ? 0 : value;
}

int64_t cursor_sleb(struct cursor *c)
{
	uint64_t value;
	unsigned bits;

	if ((read_leb(c, &value, &bits) & 0x40) && bits < 64)
		value |= ~0ULL << bits;
	return c->failed ? 0 : (int64_t)value;
}

const char *cursor_string(struct cursor *c)
{
	const char *string = (const char *)c->at;
	const uint8_t *end = left(c) ? memchr(c->at, '\0', left(c)) : NULL;

	if (!end) {
		fail(c);
		return "";
	}
	c->at = end + 1;
	return string;
}

uint64_t cursor_pointer(struct cursor *c, uint8_t encoding, uint64_t data_base)
{
	uint64_t base = 0, value = 0;

	switch (encoding & (PTR_RELATION | PTR_INDIRECT)) {
	case PTR_ABSOLUTE:
		break;
	case PTR_PC_RELATIVE:
		base = c->end_addr - left(c);
		break;
	case PTR_DATA_RELATIVE:
		base = data_base;
		break;
	default:
		fail(c);
	}
	switch (encoding & PTR_FORMAT) {
	case PTR_ULEB:
		value = cursor_uleb(c);
		break;
	case PTR_U16:
		value = cursor_u16(c);
		break;
	case PTR_U32:
		value = cursor_u32(c);
		break;
	case PTR_ABSOLUTE:
	case PTR_U64:
	case PTR_S64:
		value = cursor_u64(c);
		break;
	case PTR_SLEB:
		value = (uint64_t)cursor_sleb(c);
		break;
	case PTR_S16:
		value = (uint64_t)(int16_t)cursor_u16(c);
		break;
	case PTR_S32:
		value = (uint64_t)(int32_t)cursor_u32(c);
		break;
	default:
		fail(c);
	}
	return c->failed ? 0 : base + value;
}
