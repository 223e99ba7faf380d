/* Bytes as text (RFC 4648, section 4). */
#ifndef ALLOCTRACE_BASE_BASE64_H
#define ALLOCTRACE_BASE_BASE64_H

#include <stddef.h>
#include <stdio.h>

/* Writes them to out, padded, without line ends. */
void base64_put(FILE *out, const void *bytes, size_t len);

#endif
