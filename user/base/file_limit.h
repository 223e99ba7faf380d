/* How many files this process may have open. */
#ifndef ALLOCTRACE_BASE_FILE_LIMIT_H
#define ALLOCTRACE_BASE_FILE_LIMIT_H

#include <sys/resource.h>

/*
 * As many as the hard limit allows: many processes watched are many files, of each some twenty. Children
 * inherit it, so that somebody else's are to be given the old limit back (select(2) knows 1024), which is returned.
 */
rlim_t file_limit_raise(void);

#endif
