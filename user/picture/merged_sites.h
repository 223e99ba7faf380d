/*
 * Sites of many processes: two are one where their frames are the same locations. Keeps a site for
 * every stack that was ever added, with what ended processes did there.
 */
#ifndef ALLOCTRACE_PICTURE_MERGED_SITES_H
#define ALLOCTRACE_PICTURE_MERGED_SITES_H

#include "picture/snapshot.h"

struct merged_sites;

struct merged_sites *merged_sites_new(void);         /* NULL: no memory */
void merged_sites_free(struct merged_sites *sites);  /* NULL-safe */

/* For good: of a process that has ended. What there is no memory for counts at the site of no stack. */
void merged_sites_keep(struct merged_sites *sites, const struct allocation_view *ended);
/* Begins a sum with what was kept; with_live: and with what was live at the processes' ends. */
void merged_sites_begin(struct merged_sites *sites, bool with_live);
/* Adds a process to the sum, likewise. */
void merged_sites_add(struct merged_sites *sites, const struct allocation_view *view);
/*
 * The sum as outputs want it, into view->sites, site_cnt, by_number and number_cnt, by live bytes. Valid until
 * the next merged_sites_begin. 0 or −ENOMEM.
 */
int merged_sites_view(struct merged_sites *sites, struct allocation_view *view);
/* The number here of a site of a process that was added; 0: not known. */
uint32_t merged_sites_number(const struct merged_sites *sites, const struct site_view *site);

#endif
