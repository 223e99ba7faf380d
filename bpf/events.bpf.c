/*
 * The maps that every family of probes shares. Objects are linked in the order of their
 * names, and libbpf 1.1's linker wants a map's definition before any extern of it: so what
 * is shared lives in files that sort before their users (calls, events).
 */
#include "events.bpf.h"

struct ring_map ring SEC(".maps");
struct losses_map losses SEC(".maps");
/* Which processes are traced, by tgid. Links filter too, but not on every kernel and not for children. */
struct traced_map traced SEC(".maps");

volatile __u64 young_forked, young_settled;

char LICENSE[] SEC("license") = "GPL";
