/*
 * A process of our own that holds the links: it attaches and detaches for the tracer, and
 * lives until every probe is out, also when the tracer is killed.
 *
 * Why: a process killed by SIGKILL inside the system call that attaches, or in the close that
 * detaches, takes its breakpoints out with the signal pending, and then the kernel may not
 * read the target's page any more ("uprobe: … failed to unregister, leaking uprobe"; Linux
 * 6.18, mm/gup.c: __get_user_pages ends on fatal_signal_pending). The breakpoint would stay.
 * Whoever kills both processes in that moment (a cgroup's kill, the OOM killer) still has it so.
 *
 * The tracer's end of a socket keeps the other alive; requests go over it, with the program's
 * descriptor. Functions may be called from several threads.
 */
#ifndef ALLOCTRACE_PROBE_KEEPER_H
#define ALLOCTRACE_PROBE_KEEPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "probe/link.h"

struct keeper;
typedef uint64_t kept_link; /* never 0 */

/* Forks: to be called before there are threads, and with little memory. −errno. */
int keeper_start(struct keeper **keeper);
/* Removes what is left and waits for it (grace periods: 25–150 ms). NULL-safe. */
void keeper_stop(struct keeper *keeper);
pid_t keeper_pid(const struct keeper *keeper);
/* It was killed, and all probes are gone with it. */
bool keeper_is_dead(struct keeper *keeper);

/*
 * As link_open; the path is opened here. −EPIPE: the keeper is dead; −E2BIG: more than
 * KEEPER_SPOTS_MAX spots.
 */
#define KEEPER_SPOTS_MAX 4096
int keeper_open(struct keeper *keeper, const struct link_request *request, kept_link *link);
/* Removes the links together, and returns when they are out. */
void keeper_close(struct keeper *keeper, const kept_link *links, size_t cnt);
/* The same, not waited for. */
void keeper_drop(struct keeper *keeper, const kept_link *links, size_t cnt);
/* Likewise; the descriptor, of the caller, is for keeper_wait. −1: there is none, and it cannot be waited for. */
int keeper_drop_told(struct keeper *keeper, const kept_link *links, size_t cnt);
/* Returns when they are out; closes it. */
void keeper_wait(int told);

#endif
