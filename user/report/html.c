/*
 * One page that holds its data, its code and its looks, and needs nothing else: page/ is its source, bundled
 * when the program is built. Texts come from the target and are hostile: all of them are in the data, which
 * is base64.
 */
#include "report/html.h"

#include <errno.h>
#include <string.h>

#include "report/emit.h"
#include "report/page_data.h"
#include "report/page_file.h"

/* Where page/page.html wants the data. */
#define PLACE "@DATA@"

const char *report_html_lacks(void)
{
	if (memmem(page_file, (size_t)(page_file_end - page_file), PLACE, strlen(PLACE)))
		return NULL;
	return "this program was built without its page: install npm and build it again";
}

int report_html(FILE *out, const struct snapshot *s)
{
	size_t len = (size_t)(page_file_end - page_file);
	const char *place = memmem(page_file, len, PLACE, strlen(PLACE)), *rest;
	struct packer *packer;
	int rc, ended;

	if (!place)
		return -ENOTSUP;
	rest = place + strlen(PLACE);
	rc = emit_bytes(out, page_file, (size_t)(place - page_file));
	packer = rc ? NULL : packer_begin(out);
	if (!packer)
		return rc ? rc : -ENOMEM;
	rc = page_data(packer, s);
	ended = packer_end(packer);
	rc = rc ?: ended;
	return rc ?: emit_bytes(out, rest, (size_t)(page_file_end - rest));
}
