/* A stream whose bytes reach another one compressed, as gzip has them (RFC 1952). */
#ifndef ALLOCTRACE_BASE_GZIP_H
#define ALLOCTRACE_BASE_GZIP_H

#include <stdio.h>

/*
 * fclose finishes the data and leaves out open and flushed; EOF then, or a write that failed, with
 * errno of out. level: 1 (fast) … 9. NULL: no memory.
 */
FILE *gzip_stream(FILE *out, int level);

#endif
