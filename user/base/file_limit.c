#include "base/file_limit.h"

/* Where it cannot be asked for, what select(2) knows. */
#define USUAL 1024

rlim_t file_limit_raise(void)
{
	struct rlimit limit;
	rlim_t before;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return USUAL;
	before = limit.rlim_cur;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit); /* else the old one holds, and what has no room says so */
	return before;
}
