/* The same library opened again and again. */
#include <inttypes.h>
#include <stdio.h>

#include "base/printable.h"
#include "stack/frame.h"
#include "verdict/rule.h"

struct churn_sum {
	const struct churn_finding *most;
	uint64_t opens, repeats, failures, ns;
	int64_t grown;
	size_t rows;
};

static struct churn_sum sum_up(const struct snapshot *s)
{
	struct churn_sum sum = {.most = NULL};

	for (size_t i = 0; i < s->churn_cnt; i++) {
		const struct churn_finding *f = s->churn[i];

		if (!f->flagged)
			continue;
		sum.rows++;
		sum.opens += f->opens;
		sum.repeats += f->repeats;
		sum.failures += f->failures;
		sum.ns += f->ns;
		sum.grown += f->maps_grown + f->heap_grown;
		if (!sum.most || f->opens > sum.most->opens)
			sum.most = f;
	}
	return sum;
}

void rule_churn(const struct rule_case *c, struct verdict_line *line)
{
	char place[OWN_LINE_MAX], took[UNITS_TEXT_MAX], size[UNITS_TEXT_MAX], grown[48] = "no memory",
									      others[64] = "", library[128];
	struct churn_sum sum = sum_up(c->s);
	uint64_t bytes = sum.grown > 0 ? (uint64_t)sum.grown : 0;
	double cost;

	if (!sum.rows || !c->span_ns)
		return;
	cost = (double)sum.ns / (double)c->span_ns;
	rule_whom(c, line, sum.most->stack, place);
	if (bytes)
		snprintf(grown, sizeof(grown), "%s of memory", units_bytes(size, bytes));
	if (sum.rows > 1)
		snprintf(others, sizeof(others), ", and %zu more likewise", sum.rows - 1);
	printable(library, sizeof(library),
		  sum.most->library ? frame_base_name(sum.most->library) : "a library");
	rule_say(line, cost >= CHURN_COST_WARN || bytes >= CHURN_GROWN_WARN ? VERDICT_WARNING : VERDICT_NOTE,
		 bytes, "%s was opened %" PRIu64 " times%s%s%s: %s in the loader, %s", library,
		 sum.most->opens, place[0] ? " at " : "", place, others, units_time(took, sum.ns), grown);
	rule_advise(line, "open it once and keep the handle");
	rule_count(line, "opens", sum.opens);
	rule_count(line, "repeats", sum.repeats);
	rule_count(line, "failures", sum.failures);
	rule_real(line, "seconds", (double)sum.ns / 1e9);
	rule_bytes(line, "grown", bytes);
}
