/*
 * Files written whole or not at all: a temporary one beside, renamed over the name at the end. What is
 * there and is no regular file (a device, a pipe) cannot be replaced, and is written to as it is.
 */
#ifndef ALLOCTRACE_BASE_REPLACE_H
#define ALLOCTRACE_BASE_REPLACE_H

#include <stdio.h>

struct replace {
	FILE *file; /* to be written; NULL: not open */
	char *name, *temporary; /* temporary NULL: written to as it is */
};

/* Makes the temporary file. 0 or −errno; an unwritable folder is known at once. */
int replace_begin(struct replace *replace, const char *name);
/* Puts it in place. 0, or −errno and the old file stays as it was; idempotent. */
int replace_commit(struct replace *replace);
/* The same of what is written anew all the time: does not wait for the disk. */
int replace_refresh(struct replace *replace);
/* Removes what was not committed; idempotent. */
void replace_abandon(struct replace *replace);

#endif
