/*
 * Whether memory grows towards a limit, and when it would get there: a straight line through the
 * samples of the last minutes, told only where it is one.
 *
 * Clear: at least LIMIT_SPAN_MIN_NS and LIMIT_SAMPLES_MIN samples, growth of at least LIMIT_GROWN_MIN and
 * of 1 % of the limit over the span, a slope of ten times its standard error, and in both halves of the span
 * at least half of it: a step or the slope of a saw's tooth is no trend.
 */
#ifndef ALLOCTRACE_DETECT_LIMIT_H
#define ALLOCTRACE_DETECT_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIMIT_SAMPLES 300 /* the newest; one a second is five minutes */
#define LIMIT_SAMPLES_MIN 20
#define LIMIT_SPAN_MIN_NS 30000000000ULL
#define LIMIT_GROWN_MIN (4ULL << 20)

struct limit_watch { /* all zero: empty */
	struct limit_sample {
		uint64_t time_ns, bytes;
	} samples[LIMIT_SAMPLES];
	size_t first, cnt;
};

struct limit_forecast {
	bool clear;
	double growth;     /* bytes a second, above 0 */
	double seconds;    /* to the limit at that pace; negative: there is none, or it is over a day away */
};

/* In order of time. */
void limit_sample(struct limit_watch *watch, uint64_t time_ns, uint64_t bytes);
/* limit: bytes; UINT64_MAX: none. */
struct limit_forecast limit_forecast(const struct limit_watch *watch, uint64_t limit);

#endif
