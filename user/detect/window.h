/*
 * Missing-purge windows: intervals with retained and purgeable above the threshold and no
 * effective purge. Fed with heap states (samples) and purges in time order.
 *
 * A window opens at a sample where both exceed the threshold; it ends when either falls
 * below 80 % of it (hysteresis), or at an effective purge, be it the allocator's own doing; it
 * counts once it has lasted min_ns. byte_seconds integrates retained over the window (trapezoids between samples).
 *
 * A sample may have seen a purge's work before the purge has ended: meanwhile none ends a window, and a
 * purge that turns out to have met the one that did is what ended it.
 */
#ifndef ALLOCTRACE_DETECT_WINDOW_H
#define ALLOCTRACE_DETECT_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/units.h"

#define WINDOW_KEPT 1000
#define WINDOW_FREED_MAX 5
#define WINDOW_PURGE_NS (10 * NSEC_PER_SEC) /* a purge that goes on for longer has lost its end */

struct window_options {
	uint64_t retained_min; /* bytes; 0: the larger of 32 MiB and 20 % of RSS at each sample */
	uint64_t min_ns;
};

struct window_finding {
	uint64_t start_ns;
	uint64_t end_ns;         /* 0: still open */
	uint64_t seen_ns;        /* last sample in it */
	uint64_t peak_retained;
	uint64_t peak_purgeable; /* what a purge at the peak would have returned */
	double byte_seconds;
	unsigned ineffective_purges; /* purges in it that did not close it */
	bool closed_by_purge;
	bool closed_by_itself; /* the allocator returned it, unasked (own_returns.h) */
	/* The sites that freed most in it (heap/sites.h, freed_here), largest first; none without allocation events. */
	struct window_freed {
		uint32_t site;
		uint64_t bytes;
	} freed[WINDOW_FREED_MAX];
	unsigned freed_cnt;
};

struct window_sample {
	uint64_t time_ns;  /* when the reading ended */
	uint64_t began_ns; /* when it began; one that a purge ran into opens nothing. 0: unknown, as time_ns */
	uint64_t rss, retained, purgeable; /* retained, purgeable may be UNKNOWN: the sample is skipped */
};

/* What counts as much at that RSS: bytes. */
uint64_t window_threshold(const struct window_options *options, uint64_t rss);

struct window_detector;

struct window_detector *window_detector_new(const struct window_options *options);
void window_detector_free(struct window_detector *d); /* NULL-safe */
void window_detector_sample(struct window_detector *d, const struct window_sample *sample);

/* When memory went back. */
struct window_return {
	uint64_t began_ns, ended_ns;
};

/* A thread is in one purge at a time. */
void window_detector_purge_begins(struct window_detector *d, uint32_t tid, uint64_t time_ns);
/* Whatever comes of it. */
void window_detector_purge_is_over(struct window_detector *d, uint32_t tid);
/* Whether a purge may have done some of its work by then, and has not ended. */
bool window_detector_is_purged_at(const struct window_detector *d, uint64_t time_ns);
void window_detector_purge(struct window_detector *d, const struct window_return *purge, bool effective);
/* An allocator has by itself returned what an effective purge returns. */
void window_detector_own_return(struct window_detector *d, const struct window_return *own);

/* Whether a window is open, however short yet. */
bool window_detector_is_open(const struct window_detector *d);
/* Sets what was freed in the open window so far: at most WINDOW_FREED_MAX, largest first. */
void window_detector_freed(struct window_detector *d, const struct window_freed *freed, unsigned cnt);
/* Windows that lasted min_ns (an open one last, judged at now_ns), oldest first. */
size_t window_detector_view(struct window_detector *d, uint64_t now_ns, const struct window_finding **view);

/* Windows one after the other, as somebody is told who wants to know of each at once. */
enum window_news {
	WINDOW_NO_NEWS,
	WINDOW_OPENED, /* it counts from now on; it may have ended already */
	WINDOW_CLOSED,
};
/*
 * What has not been told yet, and that window: an opening is always followed by its end. over: nothing comes
 * any more, and what was told to be open ends now. Of windows that were forgotten meanwhile nothing is told.
 * Ask until there are no news.
 */
enum window_news window_detector_news(struct window_detector *d, uint64_t now_ns, bool over,
				      struct window_finding *w);
/* Counted windows forgotten because of WINDOW_KEPT. */
uint64_t window_detector_forgotten(const struct window_detector *d);

#endif
