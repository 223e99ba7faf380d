/*
 * Code of a target that executes rt_sigreturn(2): what signal handlers return to (__restore_rt in
 * glibc and musl, without a symbol). x86-64.
 */
#ifndef ALLOCTRACE_TARGET_SIGRETURN_H
#define ALLOCTRACE_TARGET_SIGRETURN_H

#include <stdint.h>

#include "target/maps.h"
#include "target/object.h"

#define SIGRETURN_LEN 9 /* bytes of it: mov $15,%rax; syscall */

/* The first one in the object's code, mapped by m (executable): its address in the target, or 0. */
uint64_t sigreturn_find(const struct object *obj, const struct mapping *m);

#endif
