/* Where our own functions are in /proc/self/exe: what experiments on children of ours probe. */
#ifndef ALLOCTRACE_PROBE_OWN_CODE_H
#define ALLOCTRACE_PROBE_OWN_CODE_H

#include <stdint.h>

/* 0, or −ENOENT: not in the program's file. */
int own_code_offset(const void *code, uint64_t *file_offset);

#endif
