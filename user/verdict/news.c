#include "verdict/news.h"

bool verdict_news_add(struct verdict_news *news, const struct verdict *verdict)
{
	bool any = false;

	for (size_t i = 0; i < verdict->cnt; i++) {
		const struct verdict_line *line = &verdict->lines[i];
		__typeof__(&news->rules[0]) before = &news->rules[line->rule];

		if (line->severity >= VERDICT_NOTE)
			continue;
		if (before->said && line->severity >= before->severity && line->bytes / 2 <= before->bytes)
			continue;
		any = true;
		before->said = true;
		before->severity = line->severity;
		before->bytes = line->bytes;
	}
	return any;
}
