/*
 * The elementary encodings of DWARF and of .eh_frame, read from hostile bytes: a cursor that
 * never leaves them. A read past the end returns 0 and fails the cursor for good, so that a
 * run of reads is checked once. Little-endian, 64-bit addresses.
 */
#ifndef ALLOCTRACE_TARGET_DWARF_H
#define ALLOCTRACE_TARGET_DWARF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cursor {
	const uint8_t *at, *end;
	uint64_t end_addr; /* where end lies as linked, for pointers relative to themselves */
	bool failed;
};

/* Of len bytes that lie at addr as linked. */
struct cursor cursor_new(const void *bytes, size_t len, uint64_t addr);
/* The next len bytes as a cursor of their own; skipped in c. A failed one if there are fewer. */
struct cursor cursor_take(struct cursor *c, uint64_t len);

uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16(struct cursor *c);
uint32_t cursor_u32(struct cursor *c);
uint64_t cursor_u64(struct cursor *c);
/* LEB128 (DWARF 5, 7.6); bits above the 64th are dropped. */
uint64_t cursor_uleb(struct cursor *c);
int64_t cursor_sleb(struct cursor *c);
/* A string that ends within the bytes; "" and failed otherwise. */
const char *cursor_string(struct cursor *c);

/* Encodings of pointers in .eh_frame (LSB Core 5.0, 10.5.1): a format and what it is relative to. */
enum pointer_encoding {
	PTR_ABSOLUTE = 0x00, /* format: 8 bytes; relation: to nothing */
	PTR_ULEB = 0x01,
	PTR_U16 = 0x02,
	PTR_U32 = 0x03,
	PTR_U64 = 0x04,
	PTR_SLEB = 0x09,
	PTR_S16 = 0x0a,
	PTR_S32 = 0x0b,
	PTR_S64 = 0x0c,
	PTR_FORMAT = 0x0f, /* mask */
	PTR_SIGNED = 0x08, /* the bit of a format by which it differs from the unsigned one */

	PTR_PC_RELATIVE = 0x10, /* to its own address */
	PTR_DATA_RELATIVE = 0x30,
	PTR_RELATION = 0x70, /* mask */
	PTR_INDIRECT = 0x80, /* the address of the value: known at run time only */
	PTR_OMITTED = 0xff,
};

/* Another encoding than absolute, pc- or data-relative fails the cursor. */
uint64_t cursor_pointer(struct cursor *c, uint8_t encoding, uint64_t data_base);

#endif
