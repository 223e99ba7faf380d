/* For tired people: warnings first, then what is not known, then what is fine; what to do below each warning.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/printable.h"
#include "base/units.h"
#include "report/check.h"
#include "report/emit.h"
#include "report/figure.h"
#include "report/table.h"

static void put_head(FILE *out, const struct check_report *r)
{
	const struct check_facts *f = r->facts;
	char name[64], rss[UNITS_TEXT_MAX];

	fprintf(out, "%s (%d)", printable(name, sizeof(name), f->command), f->pid);
	if (f->has_unit)
		fprintf(out, " of %s", f->unit.name);
	if (r->chosen)
		fprintf(out, ", %s", r->chosen);
	fprintf(out, "  RSS %s: %zu warning%s, %zu unknown, %zu passed\n", units_bytes(rss, check_rss(f)),
		r->findings->of[CHECK_WARN], r->findings->of[CHECK_WARN] == 1 ? "" : "s",
		r->findings->of[CHECK_UNKNOWN], r->findings->of[CHECK_PASS]);
}

static void put_finding(struct table *t, const struct check_finding *f)
{
	enum table_style style = f->status == CHECK_WARN ? TABLE_RED : TABLE_PLAIN;

	table_cell(t, style, "%s", check_status_names[f->status]);
	table_cell(t, style == TABLE_RED ? TABLE_BOLD : style, "%s", f->check);
	table_cell(t, TABLE_PLAIN, "%s", f->evidence);
	if (!f->fix[0])
		return;
	table_cell(t, TABLE_PLAIN, "%s", "");
	table_cell(t, TABLE_PLAIN, "%s", "");
	table_cell(t, TABLE_PLAIN, "→ %s", f->fix);
}

static int put(FILE *out, const struct check_report *r, bool colour)
{
	struct table *t = table_new("lll");
	int result;

	put_head(out, r);
	for (int status = 0; status < CHECK_STATUS_CNT; status++)
		for (size_t i = 0; i < r->findings->cnt; i++)
			if (r->findings->v[i].status == (enum check_status)status)
				put_finding(t, &r->findings->v[i]);
	result = table_print(t, out, "  ", colour);
	table_free(t);
	return result;
}

int report_check_text(FILE *out, const struct check_report *r, bool colour)
{
	char *bytes = NULL;
	size_t len = 0;
	FILE *mem = open_memstream(&bytes, &len);
	int result;

	if (!mem)
		return -ENOMEM;
	result = put(mem, r, colour);
	if (fclose(mem) != 0 && result == 0)
		result = -ENOMEM;
	if (result == 0)
		result = emit_bytes(out, bytes, len);
	free(bytes);
	return result;
}
