#include "report/heaptrack.h"
#include "report/stack_steps.h"

/* whole × part ∕ of, rounded down. */
static uint64_t share(uint64_t whole, uint64_t part, uint64_t of)
{
	return part < of ? (uint64_t)((unsigned __int128)whole * part / of) : whole;
}

/* Calls as lines, to the nearest. */
static uint64_t in_lines(uint64_t calls, uint64_t unit)
{
	return calls / unit + (calls % unit >= unit - unit / 2);
}

static uint64_t beyond(uint64_t value, uint64_t before)
{
	return value > before ? value - before : 0;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Takes the temporary ones out of all lines of the step; bytes: of all, grown: of these that stay live. */
static void book_temporary(struct heaptrack_booking *b, const struct stack_row *row,
			   const struct heaptrack_booked *booked, uint64_t unit, uint64_t grown)
{
	uint64_t all = in_lines(row->temporary.cnt, unit);
	uint64_t due = beyond(share(all, row->allocated.cnt, row->all_allocated.cnt), booked->temporary);
	uint64_t bytes;

	b->temporary = least(due, b->lines - (grown && b->lines));
	if (!b->temporary)
		return;
	bytes = beyond(share(row->temporary.bytes, booked->temporary + b->temporary, all),
		       booked->temporary_bytes);
	b->temporary_bytes = least(least(bytes, beyond(b->bytes, grown)), b->freed);
	b->lines -= b->temporary;
	b->bytes -= b->temporary_bytes;
	b->freed -= b->temporary_bytes;
	if (!b->lines) { /* what is left has no line to stand in */
		b->freed -= least(b->freed, b->bytes);
		b->bytes = 0;
	}
}

struct heaptrack_booking heaptrack_book(const struct stack_row *row, const struct heaptrack_booked *booked,
					uint64_t unit, bool at_peak)
{
	struct heaptrack_booking b = {.live = at_peak ? row->peak.bytes : row->live.bytes};
	uint64_t grown = beyond(b.live, booked->live);

	if (!at_peak) {
		b.lines = beyond(in_lines(row->allocated.cnt, unit), booked->lines);
		b.bytes = b.lines ? beyond(row->allocated.bytes, booked->bytes) : 0;
	}
	if (grown && !b.lines)
		b.lines = 1;
	if (b.bytes < grown)
		b.bytes = grown;
	b.freed = b.bytes - grown + beyond(booked->live, b.live);
	if (!at_peak)
		book_temporary(&b, row, booked, unit, grown);
	return b;
}

void heaptrack_booked_add(struct heaptrack_booked *booked, const struct heaptrack_booking *more)
{
	booked->lines += more->lines + more->temporary;
	booked->temporary += more->temporary;
	booked->bytes += more->bytes + more->temporary_bytes;
	booked->temporary_bytes += more->temporary_bytes;
	booked->live = more->live;
}
