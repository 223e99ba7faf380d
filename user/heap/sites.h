/*
 * Figures by site: the call stack that allocated (or, for freed_here, that freed). Sites are
 * numbered from 0 and never go away; site 0 is "no stack": stacks that were not taken, lost,
 * or beyond the limit. Bytes are as asked for, unless a name says otherwise.
 */
#ifndef ALLOCTRACE_HEAP_SITES_H
#define ALLOCTRACE_HEAP_SITES_H

#include <stddef.h>
#include <stdint.h>

#define SITES_MAX (1u << 20)

struct site_count {
	uint64_t cnt, bytes;
};

static inline void site_count_add(struct site_count *sum, struct site_count more)
{
	sum->cnt += more.cnt;
	sum->bytes += more.bytes;
}

struct site {
	uint64_t stack; /* its id; 0: site 0 */
	/* Of blocks allocated here, since the attach. */
	struct site_count live;
	struct site_count allocated, freed;
	struct site_count temporary; /* freed by the same thread's next event */
	/*
	 * By this stack, whoever allocated: blocks from before the attach with what the allocator says of their
	 * size.
	 */
	struct site_count freed_here;
	/* Live when the whole process's live bytes were highest: sites_at_peak. */
	struct site_count seen_at_peak;
	uint64_t peak_number;
};

/* What a survey (heap/survey.h) finds out of the live blocks of a site; other sites' blocks do not count. */
struct site_survey {
	struct site_count old; /* live blocks older than was asked for */
	uint64_t pinned;       /* bytes: its share of the free bytes that its live blocks keep from going back */
	/*
	 * bytes: whole resident pages with free bytes that no other block or header keeps; UINT64_MAX: not known
	 * (sampled)
	 */
	uint64_t alone;
};

struct sites;

struct sites *sites_new(void);         /* NULL: no memory */
void sites_free(struct sites *sites);  /* NULL-safe */
/* The number of that stack's site, which is new if need be; 0 if stack is 0 or there is no room. */
uint32_t sites_get(struct sites *sites, uint64_t stack);
uint32_t sites_cnt(const struct sites *sites); /* at least 1 */
struct site *sites_at(struct sites *sites, uint32_t number); /* valid until the next sites_get */

#endif
