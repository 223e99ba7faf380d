#include "report/json_verdict.h"

#include "report/json_frame.h"
#include "verdict/verdict.h"

static void evidence(struct json *j, cJSON *o, const struct verdict_line *line)
{
	for (size_t i = 0; i < line->evidence_cnt; i++) {
		const struct verdict_figure *f = &line->evidence[i];

		if (f->unit == VERDICT_REAL)
			json_number(j, o, f->name, f->real);
		else
			json_figure(j, o, f->name, f->integer);
	}
	json_stack(j, o, line->stack);
}

void json_verdict(struct json *j, cJSON *parent, const struct snapshot *s)
{
	cJSON *list = json_array(j, parent, "verdict");
	struct verdict verdict;

	verdict_make(s, &verdict);
	for (size_t i = 0; i < verdict.cnt; i++) {
		const struct verdict_line *line = &verdict.lines[i];
		cJSON *o = json_object(j, list, NULL);

		json_text(j, o, "rule", line->name);
		json_text(j, o, "severity", verdict_severity_names[line->severity]);
		json_text(j, o, "sentence", line->sentence);
		json_text(j, o, "advice", line->advice[0] ? line->advice : NULL);
		evidence(j, json_object(j, o, "evidence"), line);
	}
}
