#include "probe/custom.h"

#include <stdio.h>
#include <string.h>

#include "probe/rows.h"

extern const struct allocator allocator_jemalloc;

static const char *const names[] = {
	"malloc",        "calloc", "realloc", "free",    "memalign",   "posix_memalign",
	"aligned_alloc", "valloc", "pvalloc", "cfree",   "_Znwm",      "_Znam",
	"_ZdlPv",        "_ZdaPv", "_ZdlPvm", "_ZdaPvm", "free_sized", NULL,
};
static const char *const fingerprint[] = {"malloc",        "calloc", "realloc", "memalign",
					  "aligned_alloc", "_Znwm",  NULL};
static const char *const jemalloc_only[] = {"mallocx", "mallctlbymib", NULL};
static const char *const no_files[] = {NULL};

static const struct probe_row rows[] = {
	C_ROWS,
	FREE("cfree"),
	CPP_ROWS,
	{.symbol = NULL},
};

static void make_name(struct custom *c, const char *prefix, const char *object)
{
	const char *slash = object ? strrchr(object, '/') : NULL;
	const char *base = slash ? slash + 1 : object ? object : "";

	snprintf(c->name, sizeof(c->name), "%s%s%s%s", base, object && prefix ? " " : "",
		 prefix ? prefix : "", prefix ? "malloc" : "");
}

void custom_init(struct custom *c, const char *prefix, const char *object)
{
	size_t cnt = 0;

	*c = (struct custom){.prefixes = {prefix ? prefix : "", NULL}};
	if (!prefix && !object)
		return;
	make_name(c, prefix, object);
	if (prefix && !allocator_has_prefix(&allocator_jemalloc, prefix)) {
		c->jemalloc = allocator_jemalloc;
		c->jemalloc.prefixes = c->prefixes;
		c->jemalloc.object = object;
		c->kinds[cnt++] = &c->jemalloc;
	}
	c->plain = (struct allocator){
		.name = c->name,
		.file_prefixes = no_files,
		.prefixes = c->prefixes,
		.fingerprint = fingerprint,
		.excluded = jemalloc_only,
		.object = object,
		.entry_points = names,
		.rows = rows,
	};
	c->kinds[cnt++] = &c->plain;
}
