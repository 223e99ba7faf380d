/* What a call of jemalloc's mallctl asks for (control.bpf.c). */
#ifndef ALLOCTRACE_CONTROL_BPF_H
#define ALLOCTRACE_CONTROL_BPF_H

#include "events.bpf.h"

/*
 * An enum purge_control in the upper half and the arena's number in the lower; 0: it is no purge.
 * cookie: of the function; name and len: its first two arguments (mallctlbymib: the numbers
 * and how many).
 */
u64 control_asked(u64 cookie, u64 name, u64 len);

#endif
