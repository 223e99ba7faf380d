/*
 * The live screen: fed with snapshots, it answers keys between them. What it draws is layout.h's,
 * what it keeps model.h's; here is what ties them to the terminal. Drawing never waits for names:
 * those that come late are drawn when they come.
 */
#ifndef ALLOCTRACE_SCREEN_SCREEN_H
#define ALLOCTRACE_SCREEN_SCREEN_H

#include "base/error.h"
#include "picture/snapshot.h"

struct screen;

enum screen_wish {
	SCREEN_STAY,
	SCREEN_PICTURE, /* a snapshot would be welcome now */
	SCREEN_LEAVE,
};

/*
 * Blocks the signals that it wants as records (SIGWINCH, SIGTSTP): to be called before there are threads.
 * The descriptor to pass on, which screen_free closes, or −errno.
 */
int screen_block_signals(void);
/* interval_ns: between snapshots. From now on standard error goes to the log pane. NULL: no memory. */
struct screen *screen_new(int signal_fd, uint64_t interval_ns);
/* NULL-safe. Leaves the terminal as it was, and then says on standard error what went to the log pane. */
void screen_free(struct screen *s);

/* Takes the terminal over (terminal_check has said that it can be). */
int screen_begin(struct screen *s, struct error *err);
/* A snapshot; the last one is final. 0 or −ENOMEM. */
int screen_take(struct screen *s, const struct snapshot *snapshot);
/* The last snapshot of a process that has ended, while others go on; afterwards its stacks may go. */
void screen_take_end(struct screen *s, const struct snapshot *snapshot);
/* Readable: screen_act has something to do. */
int screen_fd(const struct screen *s);
enum screen_wish screen_act(struct screen *s);
/* What there was to see, in a line: to be said when it is left; "" without a snapshot. */
const char *screen_line(struct screen *s);

#endif
