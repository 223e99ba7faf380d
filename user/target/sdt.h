/*
 * SDT probes of an ELF object: the places that <sys/sdt.h> marks in a program, as the notes of its
 * section .note.stapsdt tell them. Hostile input.
 * Source: "UserSpaceProbeImplementation" of SystemTap's wiki: notes of type 3.
 */
#ifndef ALLOCTRACE_TARGET_SDT_H
#define ALLOCTRACE_TARGET_SDT_H

#include <stddef.h>
#include <stdint.h>

#include "target/object.h"

#define SDT_ARGUMENTS_MAX 128

struct sdt_probe {
	uint64_t offset;    /* in the file: the probed instruction, a nop */
	uint64_t semaphore; /* in the file: a 16-bit counter, and only while it is not 0 the place is reached; 0: none */
	char arguments[SDT_ARGUMENTS_MAX]; /* "-4@112(%rsp) 8@%rax"; "": none, or too long */
};

/* The places of provider:name, several where its function was inlined; at most max. How many: 0 if it has none. */
size_t sdt_find(struct object *obj, const char *provider, const char *name, struct sdt_probe *v, size_t max);

#endif
