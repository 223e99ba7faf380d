/*
 * Whether a report in the midst of a watch has something to say that was not said before: a rule
 * that has not spoken yet, or worse than it did, or about twice as much. What was said once is not
 * said again when it comes back: a window opens and closes all day.
 */
#ifndef ALLOCTRACE_VERDICT_NEWS_H
#define ALLOCTRACE_VERDICT_NEWS_H

#include <stdbool.h>

#include "verdict/verdict.h"

struct verdict_news { /* all zero: nothing was said yet */
	struct {
		bool said;
		enum verdict_severity severity;
		uint64_t bytes;
	} rules[VERDICT_RULE_CNT];
};

/* Notes are for the final report; true: something else is new, and counts as said from now on. */
bool verdict_news_add(struct verdict_news *news, const struct verdict *verdict);

#endif
