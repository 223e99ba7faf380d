#include "report/text_verdict.h"

#include "base/printable.h"
#include "report/table.h"
#include "verdict/verdict.h"

static void put_line(struct table *t, const struct verdict_line *line)
{
	char text[VERDICT_SENTENCE_MAX];
	enum table_style style = line->severity == VERDICT_CRITICAL  ? TABLE_RED
				 : line->severity == VERDICT_WARNING ? TABLE_BOLD
								     : TABLE_PLAIN;

	table_cell(t, style, "%s", verdict_severity_names[line->severity]);
	table_cell(t, style, "%s", printable(text, sizeof(text), line->sentence));
	if (!line->advice[0])
		return;
	table_cell(t, TABLE_PLAIN, "%s", "");
	table_cell(t, TABLE_PLAIN, "→ %s", printable(text, sizeof(text), line->advice));
}

int text_verdict(FILE *out, const struct snapshot *s, bool colour)
{
	struct verdict verdict;
	struct table *t;
	int result;

	verdict_make(s, &verdict);
	if (!verdict.cnt)
		return 0;
	t = table_new("ll");
	for (size_t i = 0; i < verdict.cnt; i++)
		if (s->final || verdict.lines[i].severity < VERDICT_NOTE)
			put_line(t, &verdict.lines[i]);
	result = table_print(t, out, "  ", colour);
	table_free(t);
	return result;
}
