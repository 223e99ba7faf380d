/* What this kernel can do, found by doing it to a child of ours. */
#ifndef ALLOCTRACE_PROBE_FEATURE_H
#define ALLOCTRACE_PROBE_FEATURE_H

#include <stdbool.h>

#include "base/error.h"
#include "base/log.h"
#include "probe/keeper.h"

struct feature {
	enum link_backend backend;
	bool return_probes; /* harmless, also under a seccomp filter */
};

/* Some 30 ms. −EPERM without privilege, −ENOTSUP where uprobes or BPF are missing. */
int feature_probe(const struct log *log, struct keeper *keeper, struct feature *feature, struct error *err);

#endif
