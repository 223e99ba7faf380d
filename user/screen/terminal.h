/*
 * The terminal, by ncurses: the only file of the program that knows it. Canvases go out, keys come in.
 * One at a time; used by one thread.
 */
#ifndef ALLOCTRACE_SCREEN_TERMINAL_H
#define ALLOCTRACE_SCREEN_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "screen/canvas.h"

/* Whether standard input and output are a terminal that can be drawn on. −ENOTTY, −ENOTSUP; nothing has changed yet. */
int terminal_check(struct error *err);
/* Takes the terminal over; the modes of before come back with terminal_close. −EIO. */
int terminal_open(struct error *err);
void terminal_close(void); /* idempotent */
/* The sequences that leave it as it was, for rescue.h; valid until the next call. */
const char *terminal_leave_text(void);
/* Its size now. */
void terminal_size(unsigned *rows, unsigned *cols);
/* The size has changed. */
void terminal_resized(void);
void terminal_show(const struct canvas *c);
/* What is on it is not to be relied on: the next terminal_show writes it all. */
void terminal_forget(void);
/* The next key (view.h); false: none waits. */
bool terminal_key(uint32_t *key);
/* Leaves the terminal and stops the program until it is continued, as Ctrl-Z does. */
void terminal_suspend(void);

#endif
