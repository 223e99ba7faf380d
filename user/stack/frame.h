/*
 * Code addresses of a target in words: "function (object)", "object+0x1234" without a symbol,
 * "[unknown]" where nothing is mapped.
 * One frame at a time; names come from the ELF symbols of the mapped objects.
 */
#ifndef ALLOCTRACE_STACK_FRAME_H
#define ALLOCTRACE_STACK_FRAME_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct frames;

struct frames *frames_new(pid_t pid); /* NULL: no memory */
void frames_free(struct frames *f);   /* NULL-safe */
/* The target mapped or unmapped objects (dlopen, exec): look again. */
void frames_stale(struct frames *f);

/* Never NULL; lives until frames_free. addr is a return address: its call lies just before. */
const char *frames_name(struct frames *f, uint64_t addr);
/* Whether addr lies in code at all. */
bool frames_is_code(struct frames *f, uint64_t addr);
/* Whether addr lies in the C library (by the name of its file). */
bool frames_in_libc(struct frames *f, uint64_t addr);

#endif
