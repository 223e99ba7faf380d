/*
 * What one ELF object says of its code, through libdwfl: symbols (.symtab, .dynsym,
 * .gnu_debugdata), and from DWARF, its own or a separate file's, lines and inlined calls.
 * Hostile input: whatever is followed is bounded. Not for two threads at once.
 */
#ifndef ALLOCTRACE_STACK_DEBUGINFO_H
#define ALLOCTRACE_STACK_DEBUGINFO_H

#include <stdbool.h>
#include <stdint.h>

struct debuginfo; /* opaque */

struct debuginfo_source {
	const char *access_path; /* opens the file (target/object.h) */
	const char *path;        /* its name in the target: debug files lie beside it */
	int root;      /* of the target: debug files are looked for below it first; negative: none. Borrowed
			  until debuginfo_read */
	bool separate; /* look for separate debug files; debuginfod's, if DEBUGINFOD_URLS is set */
};

/* One call in the source. Strings live as long as the debuginfo. */
struct source_frame {
	const char *function; /* as linkers know it, or as the source does; NULL */
	const char *file;     /* NULL */
	unsigned line;        /* 0 */
};

/* NULL: no memory, or no ELF object. source->path is copied. */
struct debuginfo *debuginfo_open(const struct debuginfo_source *source);
void debuginfo_free(struct debuginfo *info); /* NULL-safe */
/* Finds and opens all files that the look-ups below need, which else the first ones do. */
void debuginfo_read(struct debuginfo *info);
/* The function that covers addr (as linked); NULL: none is known. */
const char *debuginfo_symbol(struct debuginfo *info, uint64_t addr);
/* The calls at addr, innermost (inlined) first; how many, 0: not known. */
unsigned debuginfo_calls(struct debuginfo *info, uint64_t addr, struct source_frame *v, unsigned max);

#endif
