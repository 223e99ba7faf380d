/*
 * One failure in words. A function that can fail takes a struct error as its last
 * argument, fills it once, where the name of the thing is known, and returns −errno.
 * Commands print it; nothing below a command prints.
 */
#ifndef ALLOCTRACE_BASE_ERROR_H
#define ALLOCTRACE_BASE_ERROR_H

#define ERROR_TEXT_MAX 320

struct error {
	char text[ERROR_TEXT_MAX]; /* what failed, on what, why, what to do; no newline */
};

/* Fills err (may be NULL) and returns code, a negative errno, so that callers can `return error_set(…)`. */
int error_set(struct error *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
