/* Text from a target (names, paths), made safe to print: valid UTF-8 without control characters. */
#ifndef ALLOCTRACE_BASE_PRINTABLE_H
#define ALLOCTRACE_BASE_PRINTABLE_H

#include <stddef.h>

/*
 * Copies text into buf[size], whole characters only; control characters, what reorders text on
 * a terminal, and bytes that are no UTF-8 become '?'. Returns buf. In place (buf == text) is fine.
 */
const char *printable(char *buf, size_t size, const char *text);
/* Terminal columns of valid UTF-8, one a character. */
size_t printable_width(const char *text);

#endif
