/*
 * Functions of the kernel (kfuncs) that programs call. Not bound by libbpf, which loads nothing
 * at all once the kernel's prototype is another than ours: Linux 7.0 has given those of sessions
 * an argument. In the programs they are calls of helpers that do not exist (bpf/share.h).
 */
#ifndef ALLOCTRACE_PROBE_KFUNC_H
#define ALLOCTRACE_PROBE_KFUNC_H

#include <stdint.h>

struct bpf_program;

/*
 * Makes calls of the helper of that number calls of the kfunc, between open and load. −ENOENT:
 * the kernel has none of that name.
 */
int kfunc_bind(struct bpf_program *prog, int32_t helper, const char *name);

#endif
