/* Inside of the ledger: heap/ledger.c (books events) and heap/ledger_cells.c (cells, and what they make figures be). */
#ifndef ALLOCTRACE_HEAP_LEDGER_BOOK_H
#define ALLOCTRACE_HEAP_LEDGER_BOOK_H

#include "base/map.h"
#include "heap/cells.h"
#include "heap/ledger.h"

#define AHEAD 8 /* events that wait until the lines of the table that they need have come: a power of two */

/* What a thread did last. */
struct thread {
	uint64_t last;      /* address that its last event allocated, or 0 */
	uint64_t own;       /* block that the allocator itself is about to free, or 0 */
	bool reallocating;  /* a realloc has begun: its old block is here */
	bool known;         /* … and was in the table */
	struct block block; /* … as it was; of an unknown one only the address */
	uint64_t usable;    /* … bytes of an unknown one by its header */
	struct event_block begin;
};

/* An event with what ledger_event was told of it. */
struct waiting {
	struct event_block block;
	const struct allocator *allocator;
	enum realloc_null on_null;
};

struct ledger {
	struct ledger_options options;
	struct ledger_totals totals;
	struct blocks *blocks;
	struct sites *sites;
	struct before *before;
	struct cells *cells; /* NULL: no budget has cut anything so far */
	uint64_t mean, free_mean; /* of sampled stacks now */
	struct map threads; /* tid → struct thread */
	uint32_t last_tid;
	struct thread *last_thread;         /* of last_tid, or NULL */
	uint64_t peak_number;               /* how often the peak has risen */
	uint64_t (*rounded)(uint64_t size); /* of the allocator seen last; NULL: none yet */
	struct waiting waiting[AHEAD];      /* a ring */
	uint64_t arrived;                   /* in it since it was empty */
};

/* Who looks at the figures sees every event that came before. */
void ledger_book_all(struct ledger *ledger);
uint32_t ledger_tick(const struct ledger *ledger, uint64_t time);
/* Of what was seen, what was live when it was most. */
struct site_count ledger_seen_at_peak(const struct ledger *ledger, const struct site *site);

#endif
