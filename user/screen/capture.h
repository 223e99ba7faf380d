/*
 * Standard error, caught: whatever writes there (the log, libraries, the kernel's verifier by way of
 * them) would garble a screen. What is written waits in a pipe of a megabyte; beyond that it is lost,
 * since nobody may wait for a reader that is the writer.
 */
#ifndef ALLOCTRACE_SCREEN_CAPTURE_H
#define ALLOCTRACE_SCREEN_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>

struct capture;

/* NULL: it could not be had; standard error is as it was. */
struct capture *capture_begin(void);
/* Standard error is as it was, and is given what nobody has taken. NULL-safe. */
void capture_end(struct capture *c);
int capture_fd(const struct capture *c);     /* readable: there is something; −1 if c is NULL */
int capture_before_fd(const struct capture *c); /* the standard error of before; −1 likewise */
/* The next whole line, without its end, cut to size; false: none. */
bool capture_line(struct capture *c, char *buf, size_t size);

#endif
