/*
 * Where an argument of an SDT probe is at its instruction, from the note's words into the bits of the
 * attach cookie that the BPF programs read it by (bpf/share.h, COOKIE_PLACE_*). x86-64.
 */
#ifndef ALLOCTRACE_PROBE_SDT_ARGUMENT_H
#define ALLOCTRACE_PROBE_SDT_ARGUMENT_H

#include <stdint.h>

/*
 * arguments: as sdt_probe has them, "-4@112(%rsp) 8@%rax"; number counts from 1. 0, −ENOENT (there are
 * fewer), or −ENOTSUP: a form that is not read here: floating point, an index, a symbol's address, or an
 * offset beyond 16 bits.
 */
int sdt_argument(const char *arguments, unsigned number, uint64_t *place);

#endif
