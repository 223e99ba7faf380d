/*
 * Numbers and texts as one stream, deflated (zlib) and in base64: what a page carries within
 * itself. Numbers are LEB128, signed ones zigzag; a text is its length and its bytes.
 */
#ifndef ALLOCTRACE_REPORT_PACKER_H
#define ALLOCTRACE_REPORT_PACKER_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct packer;

/* NULL: no memory. What goes wrong later is said by packer_end. */
struct packer *packer_begin(FILE *out);
void packer_number(struct packer *p, uint64_t value);
void packer_signed(struct packer *p, int64_t value);
void packer_text(struct packer *p, const char *bytes, size_t len);
/* Writes the rest and frees p. 0, or −errno of the stream, −ENOMEM. */
int packer_end(struct packer *p);

#endif
