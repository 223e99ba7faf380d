/* Small files read whole: those of /proc and /sys, and the like of them that tests make up. */
#ifndef ALLOCTRACE_BASE_FILE_H
#define ALLOCTRACE_BASE_FILE_H

#include <stddef.h>
#include <sys/types.h>

/*
 * The first size − 1 bytes of a regular file, NUL-ended, into text[size]; dir is a folder's descriptor
 * or AT_FDCWD. Bytes read or −errno, and text is "" then. A FIFO or device is −EINVAL and never waited for.
 */
ssize_t file_read(int dir, const char *path, char *text, size_t size);
/* The same of FOLDER/NAME; −ENAMETOOLONG beyond PATH_MAX. */
ssize_t file_read_in(const char *folder, const char *name, char *text, size_t size);

#endif
