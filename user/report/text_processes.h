/* Of many processes: a row each, the largest first, and how many came and went. */
#ifndef ALLOCTRACE_REPORT_TEXT_PROCESSES_H
#define ALLOCTRACE_REPORT_TEXT_PROCESSES_H

#include <stdbool.h>
#include <stdio.h>

#include "picture/snapshot.h"

/* ", 24 processes, 2 came, 1 went": what follows the title. */
void text_process_counts(FILE *out, const struct snapshot *s);
/* The table. Nothing for a snapshot of one process. 0 or −ENOMEM. */
int text_processes(FILE *out, const struct snapshot *s, bool colour);

#endif
