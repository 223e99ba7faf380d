/*
 * What is known of each allocator and of libc's own functions, as rows: which symbols, of
 * which shape, in which object. Rows declare, code interprets: adding an allocator is one
 * file of rows (allocator_NAME.c) and one line in allocators[]. No libbpf here.
 */
#ifndef ALLOCTRACE_PROBE_ALLOCATOR_H
#define ALLOCTRACE_PROBE_ALLOCATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How a function is called and what is recorded of it; each shape has its BPF programs. */
enum probe_shape {
	PROBE_PURGE,   /* (arg) → result: entry and return; never throws, never reads its return address */
	PROBE_CONTROL,     /* jemalloc's mallctl(name, …): a purge if the name says so */
	PROBE_CONTROL_MIB, /* mallctlbymib(numbers, count, …): likewise */
	PROBE_DLOPEN,  /* (path, flags) → handle: reads its return address: entry and exit instructions */
	PROBE_DLMOPEN, /* (namespace, path, flags) → handle: likewise */
	PROBE_DLCLOSE, /* (handle): likewise */
	PROBE_LOADED,  /* _dl_debug_state: entry only */
	PROBE_MARK,    /* one that the user named: entry only */
	PROBE_MMAP,
	PROBE_MUNMAP,
	PROBE_MREMAP,
	PROBE_MADVISE,
	PROBE_BRK,
	PROBE_ALLOC,     /* → block, NULL if it failed. Row: size, perhaps count (the product is asked for) */
	PROBE_ALLOC_OUT, /* → 0 and the block stored through ptr (posix_memalign). Row: ptr, size */
	PROBE_REALLOC,   /* → block, of the old one in ptr. Row: ptr, size, perhaps count, on_null */
	PROBE_FREE,      /* entry only. Row: ptr */
	PROBE_SHAPE_CNT
};

/* What a realloc that returns NULL has done to the old block. */
enum realloc_null {
	REALLOC_KEEPS,      /* nothing */
	REALLOC_FREES_ZERO, /* freed it if the new size is 0 (glibc) */
	REALLOC_FREES,      /* freed it (reallocf) */
};

struct probe_row {
	const char *symbol;
	enum probe_shape shape;
	enum realloc_null on_null;
	bool required;   /* its absence is worth a word; otherwise it is another version's name */
	bool has_result; /* PROBE_PURGE: its return value means something (malloc_trim 1/0) */
	/* Of the allocation shapes: which argument it is, from 1; 0: there is none. */
	unsigned char ptr, size, count;
	bool throws; /* may throw: no return probe, its end is seen at its exits */
};

struct object;

struct allocator {
	const char *name;                 /* "glibc", "mimalloc", …: as reports print it */
	const char *const *file_prefixes; /* of its file names, NULL-ended: "libmimalloc.so." */
	/*
	 * What builds of it may put before the name of every function, NULL-ended; "" among them if
	 * nothing may be. NULL: nothing ever. Fingerprint, entry points and rows are meant with each.
	 */
	const char *const *prefixes;
	const char *const *fingerprint;   /* symbols, any of which identifies an object that defines it; NULL-ended */
	const char *const *excluded;      /* symbols of another's fingerprint: where one is, that one is meant; NULL-ended, or NULL */
	const char *object;               /* only in this one: a path, or a file's name; NULL: in any */
	const char *const *entry_points;  /* functions whose call slots show that it serves; NULL-ended */
	/*
	 * Names of its own functions that give memory back to the kernel, which tell where it is linked
	 * into a program: whole, or how they begin if it ends in "_". NULL-ended; NULL: not known.
	 */
	const char *const *releasers;
	const char *purge_call;           /* as a report tells the user to call it, NULL if it has none */
	const struct probe_row *rows;     /* ended by a row with a NULL symbol; may be NULL */
	/*
	 * What the word before a block says: bytes that the program can use of it; 0 if it makes no
	 * sense. NULL: this allocator keeps no size there.
	 */
	uint64_t (*usable)(uint64_t header);
	/* Bytes that the heap walk counts for a block of that size asked for. NULL: not known. */
	uint64_t (*rounded)(uint64_t size);
	/* The version that its object's file tells: 2·1000+36; 0 if it does not. NULL: nor could it. */
	unsigned (*version)(struct object *obj);
	/*
	 * NULL, or what it serves above the allocator that serves malloc: "Python objects of …". Such a
	 * layer has no probes and no purge; its memory comes from the kernel, beside the other's.
	 */
	const char *layer;
	const char *remedy; /* of a layer: what helps against memory that it keeps */
	bool maps_blocks; /* large blocks have mappings of their own, which go with their free */
	bool frees_twice; /* it passes its own free what it was passed before: own_free.h */
};


#define ALLOCATOR_SYMBOL_MAX 256 /* of a function's name with its prefix, and the NUL */

/* PREFIXname; returns buf. A name that is too long is cut, and will not be found. */
const char *allocator_symbol(char buf[ALLOCATOR_SYMBOL_MAX], const char *prefix, const char *name);
/*
 * The prefix with which the object defines a symbol of kind's fingerprint: the first from number
 * *at on, which is moved behind it. NULL: none (any more).
 */
const char *allocator_prefix_in(const struct allocator *kind, struct object *obj, size_t *at);
/* Whether that is one of kind's prefixes. */
bool allocator_has_prefix(const struct allocator *kind, const char *prefix);
/* Whether the object has it under any prefix. */
bool allocator_is_in(const struct allocator *kind, struct object *obj);
/* Whether the object is a library of its own, by its file's name. */
bool allocator_is_library(const struct allocator *kind, const struct object *obj);
/* Whether a function of that name is one of kind's entry points, under any of its prefixes. */
bool allocator_is_entry_point(const struct allocator *kind, const char *symbol);
/* Whether a function of that name is one of those that give memory back. */
bool allocator_is_releaser(const struct allocator *kind, const char *symbol);

/* NULL-ended; glibc first. */
extern const struct allocator *const allocators[];
/* Number i of these and, behind them, of more (custom.h), which is NULL-ended or NULL. NULL: no such number. */
const struct allocator *allocator_nth(const struct allocator *const *more, size_t i);

/* libc's and the loader's functions that are no allocator's: mmap family, dlopen family. NULL symbol ends. */
extern const struct probe_row libc_rows[];   /* in libc.so.6, and dl* in libdl.so.2 up to glibc 2.33 */
extern const struct probe_row loader_rows[]; /* in ld.so (or a static program): _dl_debug_state */

#endif
