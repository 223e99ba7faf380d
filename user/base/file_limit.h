/* How many files this process may have open. */
#ifndef ALLOCTRACE_BASE_FILE_LIMIT_H
#define ALLOCTRACE_BASE_FILE_LIMIT_H

/*
 * As many as the hard limit allows: many processes watched are many files, of each some twenty. Children
 * inherit it, so that nobody else's are to be started afterwards (select(2) knows 1024).
 */
void file_limit_raise(void);

#endif
