/* Tables of sites, for report/text_allocs.c: who holds, who freed, who pins. */
#ifndef ALLOCTRACE_REPORT_TEXT_SITES_H
#define ALLOCTRACE_REPORT_TEXT_SITES_H

#include <stdbool.h>
#include <stdio.h>

#include "picture/snapshot.h"

/* s has allocation events. 0 or −ENOMEM. */
int text_sites(FILE *out, const struct snapshot *s, bool colour);

#endif
