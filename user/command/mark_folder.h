/* The folder where tracers listen for marks: made, cleared of what dead ones left, listened in. */
#ifndef ALLOCTRACE_COMMAND_MARK_FOLDER_H
#define ALLOCTRACE_COMMAND_MARK_FOLDER_H

#include <stdbool.h>

#include "base/error.h"

/*
 * A listening socket FOLDER/PID of our own, non-blocking, that anybody may connect to (who they are, the kernel
 * tells). The folder is made where it is not there, and not used where others than we or root may write in it.
 * −errno.
 */
int mark_folder_listen(const char *folder, struct error *err);
/* Takes our socket away. */
void mark_folder_leave(const char *folder);
/* Calls fn with a connected socket for each tracer that listens, until it returns false; fn closes it. How many there were. */
unsigned mark_folder_each(const char *folder, bool (*fn)(int fd, void *arg), void *arg);

#endif
