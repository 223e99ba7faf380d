/*
 * Threads that place and remove probes in slices: while they wait for a CPU, a process that has all of them pays
 * for probes that record nothing. They work for a millisecond at a time.
 */
#ifndef ALLOCTRACE_PROBE_URGENT_H
#define ALLOCTRACE_PROBE_URGENT_H

/*
 * The calling thread, and those that it makes from now on, run as soon as they can; where that is not allowed, as
 * usual.
 */
void urgent_thread(void);

#endif
