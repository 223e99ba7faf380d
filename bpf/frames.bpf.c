/* Sorts before the files that use its maps: see events.bpf.c. */
#include "frames.bpf.h"

struct scratches_map scratches SEC(".maps");
/* LRU: a stack that has been forgotten is submitted again. */
struct seen_map stacks_seen SEC(".maps");
