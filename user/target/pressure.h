/* Memory pressure where a process lives: its cgroup's, else the machine's (Documentation/accounting/psi.rst). */
#ifndef ALLOCTRACE_TARGET_PRESSURE_H
#define ALLOCTRACE_TARGET_PRESSURE_H

#include <sys/types.h>

/* The share of the last 10 s in which some task waited for memory, percent; negative if the kernel does not tell. */
double pressure_read(pid_t pid);

#endif
