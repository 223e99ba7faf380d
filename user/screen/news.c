#include "screen/news.h"

#include <inttypes.h>
#include <stdio.h>

#include "report/figure.h"
#include "report/text_findings.h"
#include "verdict/words.h"

#define LATE_NS (2 * NSEC_PER_SEC) /* events come after the snapshot that they belong before */
#define LINE_MAX_BYTES 400

/* Things that may happen at one moment are told apart by what they are. */
enum thing {
	THING_PURGE = 1,
	THING_MARK,
	THING_WINDOW,
	THING_WINDOW_END,
	THING_CHURN,
	THING_END,
};

static bool is_news(struct journal *j, enum thing thing, uint64_t what, uint64_t whose)
{
	uint64_t hash = 0xcbf29ce484222325ULL + thing; /* FNV-1a, by words */

	hash = (hash ^ what) * 0x100000001b3ULL;
	hash = (hash ^ whose) * 0x100000001b3ULL;
	return journal_is_news(j, hash);
}

static bool was_told(const struct snapshot *s, uint64_t time_ns, uint64_t told_ns)
{
	return s->final && time_ns + LATE_NS < told_ns;
}

/* " in 4242" where there are many. */
static const char *in_process(char buf[24], pid_t pid)
{
	buf[0] = '\0';
	if (pid)
		snprintf(buf, 24, " in %d", pid);
	return buf;
}

static const char *judgement(const struct snapshot *s, const struct purge_finding *p, char buf[160])
{
	const struct heap_allocator *serving = verdict_serving(s);
	const char *call = verdict_purge_call(s);

	if (!p->misdirected)
		return p->effective ? "effective" : "ineffective";
	if (!serving)
		return "MISDIRECTED";
	snprintf(buf, 160, "MISDIRECTED: %s serves this process%s%s", serving->kind->name,
		 call ? ", call " : "", call ? call : "");
	return buf;
}

static void tell_purges(struct journal *j, const struct snapshot *s, uint64_t told_ns)
{
	char text[LINE_MAX_BYTES], bytes[UNITS_TEXT_MAX], took[UNITS_TEXT_MAX], in[24], said[160],
		argument[VERDICT_ARGUMENT_MAX];

	for (size_t i = 0; i < s->purge_cnt; i++) {
		const struct purge_finding *p = s->purges[i];
		const char *asked = verdict_purge_argument(p, argument);
		pid_t pid = s->purge_pids ? s->purge_pids[i] : 0;

		if (was_told(s, p->time_ns, told_ns) || !is_news(j, THING_PURGE, p->time_ns, p->duration_ns))
			continue;
		snprintf(text, sizeof(text), "%s%s%s%s returned %s in %s, %s", p->function, asked ? " " : "",
			 asked ? asked : "", in_process(in, pid), units_bytes(bytes, p->returned),
			 units_time(took, p->duration_ns), judgement(s, p, said));
		journal_add_by(j, p->time_ns, p->misdirected, text, p->stack);
	}
}

static void tell_marks(struct journal *j, const struct snapshot *s, uint64_t told_ns)
{
	char text[LINE_MAX_BYTES], rss[UNITS_TEXT_MAX];

	for (size_t i = 0; i < s->mark_cnt; i++) {
		const struct mark_finding *m = s->marks[i];

		if (was_told(s, m->time_ns, told_ns) ||
		    !is_news(j, THING_MARK, m->time_ns, (uintptr_t)m->kind))
			continue;
		snprintf(text, sizeof(text), "%s%s%s, RSS %s", m->kind, m->text[0] ? ": " : "", m->text,
			 figure_text(rss, m->rss));
		journal_add(j, m->time_ns, false, text);
	}
}

static void tell_window(struct journal *j, const struct snapshot *s, const struct window_finding *w,
			pid_t pid)
{
	char text[LINE_MAX_BYTES], retained[UNITS_TEXT_MAX], purgeable[UNITS_TEXT_MAX], span[UNITS_TEXT_MAX],
		at[TEXT_CLOCK_MAX], in[24];
	uint64_t end = w->end_ns ? w->end_ns : s->time_ns;

	units_bytes(retained, w->peak_retained);
	units_bytes(purgeable, w->peak_purgeable);
	in_process(in, pid);
	if (!w->end_ns && is_news(j, THING_WINDOW, w->start_ns, (uint64_t)pid)) {
		snprintf(text, sizeof(text), "a purge is missing%s since %s: %s retained, it would return %s",
			 in, text_clock(at, w->start_ns), retained, purgeable);
		journal_add(j, s->time_ns, true, text);
	}
	if (!w->end_ns || !is_news(j, THING_WINDOW_END, w->start_ns, (uint64_t)pid))
		return;
	snprintf(text, sizeof(text),
		 "a purge was missing%s for %s: %s retained at its peak, %s purgeable; %s", in,
		 units_time(span, end - w->start_ns), retained, purgeable,
		 w->closed_by_purge    ? "closed by a purge"
		 : w->closed_by_itself ? "closed: the allocator returned it by itself"
				       : "closed");
	journal_add(j, end, false, text);
}

static void tell_windows(struct journal *j, const struct snapshot *s, uint64_t told_ns)
{
	for (size_t i = 0; i < s->window_cnt; i++) {
		const struct window_finding *w = &s->windows[i];

		if (!w->end_ns || !was_told(s, w->end_ns, told_ns))
			tell_window(j, s, w, s->window_pids ? s->window_pids[i] : 0);
	}
}

static void tell_churn(struct journal *j, const struct snapshot *s)
{
	char text[LINE_MAX_BYTES];

	for (size_t i = 0; i < s->churn_cnt; i++) {
		const struct churn_finding *c = s->churn[i];

		if (!c->flagged || !is_news(j, THING_CHURN, (uintptr_t)c->stack, (uint64_t)s->pid))
			continue;
		snprintf(text, sizeof(text), "%s was opened %" PRIu64 " times, again and again",
			 c->library ? c->library : "a library", c->opens);
		journal_add_by(j, c->changed_ns, true, text, c->stack);
	}
}

/* One process of several: how the only one ended is in the head. */
static void tell_end(struct journal *j, const struct snapshot *s)
{
	char text[LINE_MAX_BYTES];

	if (!s->gone || s->processes || !is_news(j, THING_END, (uint64_t)s->pid, s->started_ns))
		return;
	snprintf(text, sizeof(text), "%s (%d): %s", s->command, s->pid, s->ended ? s->ended : "ended");
	journal_add(j, s->time_ns, s->killed, text);
}

void news_tell(struct journal *j, const struct snapshot *s, uint64_t told_ns)
{
	tell_purges(j, s, told_ns);
	tell_marks(j, s, told_ns);
	tell_windows(j, s, told_ns);
	tell_churn(j, s);
	tell_end(j, s);
}
