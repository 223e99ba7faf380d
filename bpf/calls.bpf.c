/* Sorts before the files that use its map: see events.bpf.c. */
#include "calls.bpf.h"

/* LRU: calls that ended by longjmp or throw, or whose thread died, go when room is needed. */
struct calls_map calls SEC(".maps");

struct watches_map watches SEC(".maps");
__u64 watch_generation, watched_since;

const volatile bool uses_return_probes = true;
