#include "detect/marks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "heap/state.h"

struct kept {
	struct mark_finding finding; /* first: views hand out its address */
	enum mark_reads reads;
	char text[];
};

/* The newest MARKS_KEPT lie at kept[first…]; when the array is full they move to its front. */
struct marks {
	struct mark_finding *kept[2 * MARKS_KEPT];
	size_t first, cnt;
	uint64_t total, settled;
	struct mark_reading newest; /* taken_ns 0: none yet */
	struct mark_tally tallies[MARK_KINDS_MAX];
	size_t tally_cnt;
};

struct marks *marks_new(void)
{
	return calloc(1, sizeof(struct marks));
}

void marks_free(struct marks *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->cnt; i++)
		free(m->kept[m->first + i]);
	for (size_t i = 0; i < m->tally_cnt; i++)
		free((char *)m->tallies[i].kind);
	free(m);
}

struct mark_finding mark_unread(const struct mark *mark)
{
	return (struct mark_finding){
		.time_ns = mark->time_ns,
		.kind = mark->kind,
		.text = mark->text,
		.rss = mark->rss,
		.live = mark->live,
		.live_heap = UNKNOWN,
		.retained = UNKNOWN,
		.purgeable = UNKNOWN,
	};
}

static bool has_reading(const struct mark_finding *f)
{
	return f->live_heap != UNKNOWN || f->retained != UNKNOWN || f->purgeable != UNKNOWN;
}

static uint64_t magnitude(int64_t ns)
{
	return ns < 0 ? -(uint64_t)ns : (uint64_t)ns;
}

/* One that is under way at the mark is of neither side: who waits gets the next. */
static bool is_better(const struct mark_finding *f, enum mark_reads reads, const struct mark_reading *r)
{
	int64_t apart = (int64_t)(r->taken_ns - f->time_ns);
	bool later = r->began_ns >= f->time_ns;

	if (reads == MARK_READS_LATER)
		return later;
	if (reads == MARK_READS_AWAITED && later && apart <= (int64_t)MARK_WAIT_NS)
		return true;
	return !has_reading(f) || magnitude(apart) < magnitude(f->state_ns);
}

bool mark_read(struct mark_finding *f, enum mark_reads reads, const struct mark_reading *r)
{
	if (r->taken_ns && is_better(f, reads, r)) {
		f->live_heap = r->live_heap;
		f->retained = r->retained;
		f->purgeable = r->purgeable;
		f->state_ns = (int64_t)(r->taken_ns - f->time_ns);
	}
	return r->began_ns >= f->time_ns;
}

static struct mark_tally *tally_of(struct marks *m, const char *kind)
{
	struct mark_tally *tally;

	for (size_t i = 0; i < m->tally_cnt; i++)
		if (!strcmp(m->tallies[i].kind, kind))
			return &m->tallies[i];
	if (m->tally_cnt == MARK_KINDS_MAX)
		return NULL;
	tally = &m->tallies[m->tally_cnt];
	*tally = (struct mark_tally){.kind = strdup(kind)};
	if (!tally->kind)
		return NULL;
	m->tally_cnt++;
	return tally;
}

static void forget_oldest(struct marks *m)
{
	free(m->kept[m->first++]);
	m->cnt--;
	if (m->first == MARKS_KEPT) {
		memcpy(m->kept, m->kept + m->first, m->cnt * sizeof(m->kept[0]));
		m->first = 0;
	}
}

static struct kept *make_kept(const struct mark *mark, const char *kind)
{
	size_t size = strlen(mark->text) + 1;
	struct kept *kept = malloc(sizeof(*kept) + size);

	if (!kept)
		return NULL;
	memcpy(kept->text, mark->text, size);
	kept->finding = mark_unread(mark);
	kept->finding.kind = kind;
	kept->finding.text = kept->text;
	kept->reads = mark->reads;
	return kept;
}

uint64_t marks_add(struct marks *m, const struct mark *mark)
{
	struct mark_tally *tally = tally_of(m, mark->kind);
	struct kept *kept = tally ? make_kept(mark, tally->kind) : NULL;

	if (!kept)
		return 0;
	mark_read(&kept->finding, kept->reads, &m->newest);
	if (m->cnt == MARKS_KEPT)
		forget_oldest(m);
	m->kept[m->first + m->cnt++] = &kept->finding;
	tally->cnt++;
	return ++m->total;
}

static struct kept *kept_by_number(const struct marks *m, uint64_t number)
{
	return (struct kept *)m->kept[m->first + m->cnt - 1 - (m->total - number)];
}

void marks_reading(struct marks *m, const struct mark_reading *r)
{
	uint64_t forgotten = m->total - m->cnt;

	if (m->settled < forgotten)
		m->settled = forgotten;
	for (uint64_t number = m->settled + 1; number <= m->total; number++) {
		struct kept *kept = kept_by_number(m, number);

		if (mark_read(&kept->finding, kept->reads, r) && m->settled == number - 1)
			m->settled = number;
	}
	if (r->taken_ns)
		m->newest = *r;
}

uint64_t marks_settled(const struct marks *m)
{
	return m->settled;
}

uint64_t marks_total(const struct marks *m)
{
	return m->total;
}

size_t marks_view(const struct marks *m, const struct mark_finding *const **view)
{
	*view = (const struct mark_finding *const *)(m->kept + m->first);
	return m->cnt;
}

size_t marks_tallies(struct marks *m, struct mark_tally **tallies)
{
	*tallies = m->tallies;
	return m->tally_cnt;
}

int marks_expect(struct marks *m, const char *kind)
{
	return tally_of(m, kind) ? 0 : -ENOSPC;
}
