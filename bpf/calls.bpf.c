/* Sorts before the files that use its map: see events.bpf.c. */
#include "calls.bpf.h"

/* LRU: calls that ended by longjmp or throw, or whose thread died, go when room is needed. */
struct calls_map calls SEC(".maps");

const volatile bool uses_return_probes = true;
