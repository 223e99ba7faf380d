#include "screen/journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/printable.h"
#include "report/site_text.h"
#include "report/text_findings.h"

#define LINES_MAX 1000
#define KNOWN_MAX 4096
#define TEXT_MAX 400

struct line {
	uint64_t time_ns;
	bool alarm;
	char *text; /* NULL: no memory for it */
	const struct stack *stack;
};

struct journal {
	struct line lines[LINES_MAX]; /* a ring */
	size_t cnt;                   /* ever */
	size_t settled;               /* lines before that have no stack */
	uint64_t known[KNOWN_MAX];    /* a ring of what was told */
	size_t known_cnt;
};

struct journal *journal_new(void)
{
	return calloc(1, sizeof(struct journal));
}

void journal_free(struct journal *j)
{
	if (!j)
		return;
	for (size_t i = 0; i < LINES_MAX; i++)
		free(j->lines[i].text);
	free(j);
}

void journal_add_by(struct journal *j, uint64_t time_ns, bool alarm, const char *text,
		    const struct stack *stack)
{
	struct line *line = &j->lines[j->cnt++ % LINES_MAX];
	char safe[TEXT_MAX];

	free(line->text);
	*line = (struct line){time_ns, alarm, strdup(printable(safe, sizeof(safe), text)), stack};
}

void journal_add(struct journal *j, uint64_t time_ns, bool alarm, const char *text)
{
	journal_add_by(j, time_ns, alarm, text, NULL);
}

static void settle(struct line *line)
{
	char by[SITE_TEXT_MAX], *text = NULL;

	if (line->stack && line->text &&
	    asprintf(&text, "%s by %s", line->text, site_text(by, line->stack)) >= 0) {
		free(line->text);
		line->text = text;
	}
	line->stack = NULL;
}

static size_t first_unsettled(const struct journal *j)
{
	size_t oldest = j->cnt > LINES_MAX ? j->cnt - LINES_MAX : 0;

	return j->settled > oldest ? j->settled : oldest;
}

void journal_settle(struct journal *j)
{
	for (size_t i = first_unsettled(j); i < j->cnt; i++)
		settle(&j->lines[i % LINES_MAX]);
	j->settled = j->cnt;
}

bool journal_is_news(struct journal *j, uint64_t thing)
{
	for (size_t i = 0; i < j->known_cnt && i < KNOWN_MAX; i++)
		if (j->known[i] == thing)
			return false;
	j->known[j->known_cnt++ % KNOWN_MAX] = thing;
	return true;
}

size_t journal_cnt(const struct journal *j)
{
	return j->cnt < LINES_MAX ? j->cnt : LINES_MAX;
}

const char *journal_line(struct journal *j, struct names *names, size_t i, char buf[JOURNAL_LINE_MAX],
			 bool *alarm)
{
	const struct line *line = &j->lines[(j->cnt - journal_cnt(j) + i) % LINES_MAX];
	char at[TEXT_CLOCK_MAX], by[SITE_TEXT_MAX];

	*alarm = line->alarm;
	stack_want(names, line->stack);
	snprintf(buf, JOURNAL_LINE_MAX, "%s  %s%s%s", text_clock(at, line->time_ns),
		 line->text ? line->text : "", line->stack ? " by " : "",
		 line->stack ? site_text(by, line->stack) : "");
	return buf;
}

void journal_want(const struct journal *j, struct names *names)
{
	for (size_t i = first_unsettled(j); i < j->cnt; i++)
		stack_want(names, j->lines[i % LINES_MAX].stack);
}

bool journal_waits(const struct journal *j)
{
	for (size_t i = first_unsettled(j); i < j->cnt; i++)
		if (stack_is_waited_for(j->lines[i % LINES_MAX].stack))
			return true;
	return false;
}
