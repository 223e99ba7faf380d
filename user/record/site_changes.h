/*
 * The figures of a process's sites as changes since its last snapshot: what did not change takes no
 * room. Both sides keep what they had last, by the site's number (heap/sites.h).
 *
 * A site that changed is: its number less that of the one before it (0 ends the list), a set of bits,
 * one a figure in the order of struct site_state, and for each bit the difference, zigzag, modulo
 * 2^64. Freed is stored as what it differs from allocated less live by, which is mostly nothing. Its
 * stack is stored before the figures, in the first change.
 */
#ifndef ALLOCTRACE_RECORD_SITE_CHANGES_H
#define ALLOCTRACE_RECORD_SITE_CHANGES_H

#include "record/codec.h"
#include "record/site_bounds.h"
#include "picture/snapshot.h"

/* Figures first, in the order of their bits. */
struct site_state {
	struct site_count live, allocated, freed, temporary, freed_here, peak, old;
	uint64_t pinned, alone;
	const struct stack *stack;
	bool known; /* it has been stored */
};

struct site_states { /* all zero: none */
	struct site_state *v; /* by number */
	uint32_t cnt, cap;
	struct bound_states bounds;
};

void site_states_free(struct site_states *states); /* idempotent */

/*
 * Writing: stores how allocs differ from states, and brings these up to date. Reading: brings states
 * up to date; left: bytes that they may still take, in all processes.
 */
void code_site_changes(struct codec *c, struct site_states *states, const struct allocation_view *allocs,
		       size_t *left);
struct site_choice {
	uint32_t most;  /* so many at most, those with most live bytes */
	uint64_t least; /* bytes live; above 0 */
};
/*
 * Reading: of a view only these sites, and none by number. In the order of a view; for a picture that
 * goes by, of which a million need not be sorted.
 */
void site_states_largest(struct codec *c, const struct site_states *states,
			 const struct site_choice *choice, struct allocation_view *allocs);
/* Reading: the sites of a view, as they are now, in the codec's arena. */
void site_states_view(struct codec *c, const struct site_states *states, struct allocation_view *allocs);

#endif
