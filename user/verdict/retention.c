/* Memory that was freed and stays: by the windows in which a purge was missing, and purges that miss. */
#include <stdio.h>
#include <string.h>

#include "verdict/rule.h"
#include "verdict/words.h"

struct windows {
	const struct window_finding *open, *largest; /* by peak; of those that are anybody's fault */
	size_t cnt, by_purge;
	uint64_t ns, longest_ns;
};

/* What the allocator returned by itself took its time, as it is set to; that is no fault. */
static struct windows look_at_windows(const struct snapshot *s)
{
	struct windows w = {.cnt = 0};

	for (size_t i = 0; i < s->window_cnt; i++) {
		const struct window_finding *f = &s->windows[i];
		uint64_t end = f->end_ns ? f->end_ns : s->time_ns,
			 ns = end > f->start_ns ? end - f->start_ns : 0;

		if (f->closed_by_itself)
			continue;
		w.cnt++;
		w.by_purge += f->closed_by_purge;
		w.ns += ns;
		w.longest_ns = ns > w.longest_ns ? ns : w.longest_ns;
		if (!f->end_ns && (!w.open || f->peak_purgeable > w.open->peak_purgeable))
			w.open = f;
		if (!w.largest || f->peak_purgeable > w.largest->peak_purgeable)
			w.largest = f;
	}
	return w;
}

/* ---- who frees ---- */

#define FREERS_MAX 64

struct freer {
	char place[OWN_LINE_MAX];
	const struct stack *stack; /* the one that freed most */
	uint64_t bytes, most;
	double sure; /* of bytes, at the least */
};

/* What part of what a site freed is sure; 1: all. */
static double sure_part(const struct rule_case *c, uint32_t number)
{
	const struct allocation_view *a = c->s->allocs;
	const struct site_view *v = number < a->number_cnt ? a->by_number[number] : NULL;
	uint64_t freed = v ? v->figures->freed_here.bytes : 0;

	return v && v->bounds && freed ? (double)v->bounds->freed_here.low.bytes / (double)freed : 1;
}

static void add_freer(struct freer *v, size_t *cnt, const struct stack *stack, uint64_t bytes, double sure)
{
	char place[OWN_LINE_MAX];
	size_t i = 0;

	own_line_text(place, stack);
	while (i < *cnt && strcmp(v[i].place, place) != 0)
		i++;
	if (!place[0] || i == FREERS_MAX)
		return;
	if (i == *cnt) {
		v[i] = (struct freer){.stack = stack};
		memcpy(v[i].place, place, sizeof(place));
		(*cnt)++;
	}
	v[i].bytes += bytes;
	v[i].sure += (double)bytes * sure;
	if (bytes > v[i].most) {
		v[i].most = bytes;
		v[i].stack = stack;
	}
}

static void name_freers(const struct rule_case *c)
{
	for (size_t i = 0; i < c->s->window_cnt; i++)
		for (unsigned k = 0; k < c->s->windows[i].freed_cnt; k++)
			stack_want(c->s->names, rule_site_stack(c, c->s->windows[i].freed[k].site));
	names_wait(c->s->names);
}

/* The line that freed most in the windows; NULL: none did by far at the least, or by too few samples. */
static const struct stack *main_freer(const struct rule_case *c)
{
	struct freer freers[FREERS_MAX];
	const struct freer *best = NULL;
	uint64_t sum = 0, sample;
	size_t cnt = 0;

	if (!c->s->allocs)
		return NULL;
	name_freers(c);
	for (size_t i = 0; i < c->s->window_cnt; i++) {
		for (unsigned k = 0; k < c->s->windows[i].freed_cnt; k++) {
			const struct window_freed *f = &c->s->windows[i].freed[k];

			sum += f->bytes;
			add_freer(freers, &cnt, rule_site_stack(c, f->site), f->bytes, sure_part(c, f->site));
		}
	}
	for (size_t i = 0; i < cnt; i++)
		if (!best || freers[i].bytes > best->bytes)
			best = &freers[i];
	sample = c->s->allocs->free_sample_bytes;
	if (!best || best->sure < PLACE_SHARE_MIN * (double)sum ||
	    best->bytes < PLACE_SAMPLES_MIN * sample)
		return NULL;
	return best->stack;
}

/* ---- purges that miss ---- */

struct misses {
	size_t cnt;
	const struct purge_finding *last;
};

/* Where the right one is called as well, just before or after, both are tried: that works. */
static bool is_paired(const struct snapshot *s, size_t i)
{
	uint64_t at = s->purges[i]->time_ns;

	for (size_t k = i; k > 0 && at - s->purges[k - 1]->time_ns <= MISDIRECTED_PAIR_NS; k--)
		if (!s->purges[k - 1]->misdirected)
			return true;
	for (size_t k = i + 1; k < s->purge_cnt && s->purges[k]->time_ns - at <= MISDIRECTED_PAIR_NS; k++)
		if (!s->purges[k]->misdirected)
			return true;
	return false;
}

static struct misses look_at_misses(const struct snapshot *s)
{
	struct misses m = {.cnt = 0};

	for (size_t i = 0; i < s->purge_cnt; i++) {
		if (!s->purges[i]->misdirected || is_paired(s, i))
			continue;
		m.cnt++;
		m.last = s->purges[i];
	}
	return m;
}

/* "; the calls at :31 go to the wrong allocator" */
static void say_misses(const struct rule_case *c, const char *place, char *buf, size_t size)
{
	struct misses m = look_at_misses(c->s);
	char beside[OWN_LINE_MAX];

	buf[0] = '\0';
	if (!m.cnt)
		return;
	stack_want(c->s->names, m.last->stack);
	names_wait(c->s->names);
	own_line_beside(beside, m.last->stack, place);
	snprintf(buf, size, "; the call%s%s%s go%s to the wrong allocator", m.cnt > 1 ? "s" : "",
		 beside[0] ? " at " : "", beside, m.cnt > 1 ? "" : "es");
}

/* ---- retention ---- */

struct retained {
	uint64_t bytes, purgeable;
	char after[OWN_LINE_MAX + 16]; /* " after seeder.py:88" */
	char misses[OWN_LINE_MAX + 64];
};

static void say_open(const struct rule_case *c, const struct retained *r, struct verdict_line *line)
{
	char retained[UNITS_TEXT_MAX], purgeable[UNITS_TEXT_MAX];

	rule_say(line, VERDICT_WARNING, r->purgeable, "%s %s retained, not leaked: %s%s would %s %s%s",
		 units_bytes(retained, r->bytes), c->s->gone ? "was" : "is", c->call, r->after,
		 c->s->gone ? "have returned" : "return", units_bytes(purgeable, r->purgeable), r->misses);
}

static void say_closed(const struct rule_case *c, const struct windows *w, const struct retained *r,
		       struct verdict_line *line)
{
	char retained[UNITS_TEXT_MAX], purgeable[UNITS_TEXT_MAX], longest[UNITS_TEXT_MAX], times[48] = "";
	bool much = (double)w->ns >= RETENTION_SHARE_WARN * (double)c->span_ns;

	if (w->cnt > 1)
		snprintf(times, sizeof(times), ", %zu times", w->cnt);
	rule_say(line, much ? VERDICT_WARNING : VERDICT_NOTE, r->purgeable,
		 "up to %s was retained, not leaked, for %s%s: %s%s would have returned %s%s",
		 units_bytes(retained, r->bytes), units_time(longest, w->longest_ns), times, c->call,
		 r->after, units_bytes(purgeable, r->purgeable), r->misses);
}

static void advise(const struct rule_case *c, bool open, const struct retained *r, struct verdict_line *line)
{
	if (open && c->s->pid && !c->s->gone)
		rule_advise(line, "call %s%s, once a unit of work; now, once: alloctrace purge %d", c->call,
			    r->after, c->s->pid);
	else
		rule_advise(line, "call %s%s, once a unit of work", c->call, r->after);
}

static void say_evidence(const struct windows *w, const struct retained *r, struct verdict_line *line)
{
	rule_bytes(line, "retained", r->bytes);
	rule_bytes(line, "purgeable", r->purgeable);
	rule_count(line, "windows", w->cnt);
	rule_count(line, "closed_by_purge", w->by_purge);
	rule_real(line, "longest", (double)w->longest_ns / 1e9);
	rule_real(line, "seconds", (double)w->ns / 1e9);
}

void rule_retention(const struct rule_case *c, struct verdict_line *line)
{
	struct windows w = look_at_windows(c->s);
	const struct window_finding *shown = w.open ? w.open : c->s->final ? w.largest : NULL;
	struct retained r = {.bytes = 0};
	char place[OWN_LINE_MAX];

	/* What purges come too late for has been said with how often they should come. */
	if (!shown || !c->call || (!w.open && rule_said(c, VERDICT_PURGE_RARE)))
		return;
	r.bytes = shown->peak_retained;
	r.purgeable = shown->peak_purgeable;
	if (w.open && !c->s->window_pids && c->retained != UNKNOWN && c->s->heap->purgeable != UNKNOWN) {
		r.bytes = c->retained;
		r.purgeable = c->s->heap->purgeable;
	}
	if (rule_whom(c, line, main_freer(c), place)[0])
		snprintf(r.after, sizeof(r.after), " after %s", place);
	say_misses(c, place, r.misses, sizeof(r.misses));
	if (w.open)
		say_open(c, &r, line);
	else
		say_closed(c, &w, &r, line);
	advise(c, w.open, &r, line);
	say_evidence(&w, &r, line);
}

void rule_misdirected(const struct rule_case *c, struct verdict_line *line)
{
	struct misses m = look_at_misses(c->s);
	uint64_t purgeable = c->s->heap->taken_ns ? c->s->heap->purgeable : UNKNOWN;
	char name[48] = "another allocator", place[OWN_LINE_MAX], by[OWN_LINE_MAX + 8] = "";

	if (!m.cnt || !c->serving)
		return;
	if (rule_whom(c, line, m.last->stack, place)[0])
		snprintf(by, sizeof(by), " at %s", place);
	rule_say(line, VERDICT_WARNING, purgeable == UNKNOWN ? 0 : purgeable,
		 "%zu call%s of %s%s went to %s, which does not serve this process: %s does", m.cnt,
		 m.cnt > 1 ? "s" : "", m.last->function, by, m.last->allocator,
		 verdict_name(c->serving, name, sizeof(name)));
	if (c->call)
		rule_advise(line, "call %s there instead, or preload %s (LD_PRELOAD) so that it serves",
			    c->call, m.last->allocator);
	rule_count(line, "misdirected", m.cnt);
	rule_count(line, "purges", c->s->purge_cnt);
}
