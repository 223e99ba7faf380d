/*
 * Time. Inside the program all times are CLOCK_MONOTONIC nanoseconds, the clock that
 * bpf_ktime_get_ns() reads; reports convert to seconds since the epoch.
 */
#ifndef ALLOCTRACE_BASE_CLOCK_H
#define ALLOCTRACE_BASE_CLOCK_H

#include <stdint.h>
#include <sys/types.h>

uint64_t clock_monotonic_ns(void);
/* Of any clock, such as a thread's (pthread_getcpuclockid): ns; 0: there is no such any more. */
uint64_t clock_ns(clockid_t id);
/* CPU time of the calling thread, ns. */
uint64_t clock_thread_cpu_ns(void);
/* … of all threads of a process, 0 for our own: ns; 0 when it has ended. */
uint64_t clock_process_cpu_ns(pid_t pid);
/* What CLOCK_REALTIME is ahead of CLOCK_MONOTONIC by now, ns. */
int64_t clock_lead(void);
/* From now on clock_epoch reckons by that lead: of a picture that was taken then, perhaps elsewhere. */
void clock_set_lead(int64_t lead_ns);
/* The wall-clock time, seconds since the epoch, of a monotonic instant. */
double clock_epoch(uint64_t monotonic_ns);

#endif
