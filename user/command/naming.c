#include "command/naming.h"

#include <errno.h>

#include "base/units.h"

/* How long a report waits for lines. Events wait meanwhile, except for the last one. */
#define NAMES_NS (NSEC_PER_SEC / 4)
#define NAMES_LAST_NS (5 * NSEC_PER_SEC)

int naming_start(struct naming *naming, const struct log *log)
{
	naming->locations = locations_new();
	naming->names = naming->locations ? names_new(naming->locations, log) : NULL;
	if (naming->names)
		return 0;
	locations_free(naming->locations);
	*naming = (struct naming){0};
	return -ENOMEM;
}

void naming_end(struct naming *naming)
{
	/* What the thread still reads is left to the end of the program. */
	if (names_free(naming->names))
		locations_free(naming->locations);
	*naming = (struct naming){0};
}

void naming_report_begins(const struct naming *naming, bool final)
{
	names_begin(naming->names, final ? NAMES_LAST_NS : NAMES_NS);
}

void naming_report_ends(const struct naming *naming)
{
	names_end(naming->names);
}
