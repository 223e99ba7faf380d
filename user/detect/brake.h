/*
 * The brake: probes that take too large a share of the target's CPU time for too long are
 * to be removed. Pure: fed with cumulative times, says when.
 */
#ifndef ALLOCTRACE_DETECT_BRAKE_H
#define ALLOCTRACE_DETECT_BRAKE_H

#include <stdbool.h>
#include <stdint.h>

#define BRAKE_AFTER_NS 2000000000ULL

struct brake {
	double max_share;  /* of the target's CPU time; 0: never brakes */
	double share;      /* over the last samples that span some 2 s; negative: not known yet */
	bool tripped;      /* stays */
	double tripped_at; /* the share then */
	/* The samples kept: brake.c. */
	struct {
		uint64_t time_ns, probe_ns, target_ns;
	} ring[16];
	unsigned cnt, next;
	uint64_t over_since; /* 0: it is not over */
};

void brake_init(struct brake *brake, double max_share);
/* Whether a sample would be kept: they need not be taken more often. */
bool brake_is_due(const struct brake *brake, uint64_t time_ns);
/*
 * probe_ns: what the probes have cost so far; target_ns: the target's CPU time so far (probes
 * included). Several times a second. True once: the share has been above max_share for 2 s.
 */
bool brake_sample(struct brake *brake, uint64_t time_ns, uint64_t probe_ns, uint64_t target_ns);

#endif
