#include "report/form.h"
#include "report/report.h"

#include "picture/with_objects.h"
#include "report/heaptrack.h"
#include "report/html.h"
#include "report/perfetto.h"
#include "report/pprof.h"
#include "report/speedscope.h"

static int write_text(FILE *out, const struct snapshot *s, const struct form_options *options)
{
	return report_text(out, s, options->colour);
}

static int write_json(FILE *out, const struct snapshot *s, const struct form_options *options)
{
	(void)options;
	return report_json(out, s);
}

static int write_folded(FILE *out, const struct snapshot *s, const struct form_options *options)
{
	struct with_objects with;
	int rc = with_objects_make(&with, &s) ?: report_folded(out, s, options->weight);

	with_objects_free(&with);
	return rc;
}

static int write_html(FILE *out, const struct snapshot *s, const struct form_options *options)
{
	(void)options;
	return report_html(out, s);
}

static int write_pprof(FILE *out, const struct snapshot *s, const struct form_options *options)
{
	(void)options;
	return report_pprof(out, s);
}

static int write_speedscope(FILE *out, const struct snapshot *s, const struct form_options *options)
{
	struct with_objects with;
	int rc = with_objects_make(&with, &s) ?: report_speedscope(out, s);

	(void)options;
	with_objects_free(&with);
	return rc;
}

static int write_perfetto(FILE *out, const struct snapshot *s, const struct form_options *options)
{
	(void)options;
	return report_perfetto(out, s);
}

static int write_heaptrack(FILE *out, const struct snapshot *s, const struct form_options *options)
{
	(void)options;
	return report_heaptrack(out, s);
}

const struct form forms[FORM_CNT] = {
	[FORM_TEXT] = {.name = "text", .write = write_text},
	[FORM_JSON] = {.name = "json", .write = write_json},
	[FORM_FOLDED] = {.name = "folded", .needs_sites = true, .write = write_folded},
	[FORM_HTML] = {.name = "html",
		       .needs_history = true,
		       .lacks = report_html_lacks,
		       .write = write_html},
	[FORM_PPROF] = {.name = "pprof", .is_binary = true, .needs_sites = true, .write = write_pprof},
	[FORM_SPEEDSCOPE] = {.name = "speedscope", .needs_sites = true, .write = write_speedscope},
	[FORM_PERFETTO] = {.name = "perfetto",
			   .is_binary = true,
			   .needs_history = true,
			   .write = write_perfetto},
	[FORM_HEAPTRACK] = {.name = "heaptrack",
			    .is_binary = true,
			    .needs_sites = true,
			    .needs_history = true,
			    .write = write_heaptrack},
};
