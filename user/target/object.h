/*
 * An ELF object as a target has it mapped: found through /proc/PID (map_files, else
 * root + path with the inode checked), so that a container's, deleted or upgraded file is
 * the one that runs. Parsed with libelf; hostile input.
 */
#ifndef ALLOCTRACE_TARGET_OBJECT_H
#define ALLOCTRACE_TARGET_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "target/maps.h"

struct object; /* opaque; owns an open file and its libelf handle */

struct object_symbol {
	const char *name;   /* owned by the object */
	uint64_t value;     /* virtual address as linked */
	uint64_t file_offset;
	uint64_t size;      /* bytes; 0 if the file does not say */
};

/* The file behind mapping m of pid. −ENOENT if it cannot be reached, −ENOEXEC if it is no ELF file. */
int object_open_mapped(pid_t pid, const struct mapping *m, struct object **obj, struct error *err);
/* The file that m really maps where overlayfs has copied up the one at its path since (target/overlay.h). −ENOENT, −ENOEXEC. */
int object_open_lower(pid_t pid, const struct mapping *m, struct object **obj);
/* A file by the target's own path, not mapped (yet): resolved below /proc/PID/root. */
int object_open_path(pid_t pid, const char *path, struct object **obj, struct error *err);
void object_free(struct object *obj); /* NULL-safe */

/* A path that opens the object's very file in our own mount namespace (for uprobes): /proc/self/fd/N. */
const char *object_access_path(const struct object *obj);
/* The open file, for reading with a handle of one's own; stays the object's. */
int object_fd(const struct object *obj);
/* The name in the target. */
const char *object_name(const struct object *obj);
dev_t object_dev(const struct object *obj);
uint64_t object_inode(const struct object *obj);
bool object_is_static(const struct object *obj);
/* Can be executed (some libraries can, libc.so.6 among them). */
bool object_is_program(const struct object *obj);
/* Its GNU build-id into id[size]: bytes, 0 if it has none or a longer one. */
size_t object_build_id(struct object *obj, uint8_t *id, size_t size);

/*
 * A defined function symbol, default version first, from .dynsym, then .symtab. 0, or −ENOENT.
 * IFUNCs are not functions here: −ENOENT.
 */
int object_find_symbol(struct object *obj, const char *name, struct object_symbol *sym);
/*
 * A defined variable, from .dynsym, then .symtab; file_offset is 0 where it lies behind what the
 * file holds. Costs a pass over the symbols. 0, or −ENOENT.
 */
int object_find_data(struct object *obj, const char *name, struct object_symbol *sym);
/* The function that covers a file offset: the symbol with the greatest value not above it. −ENOENT. */
int object_symbol_at(struct object *obj, uint64_t file_offset, struct object_symbol *sym);
/* Where the file holds what is linked at an address; false: nowhere. */
bool object_file_offset(const struct object *obj, uint64_t vaddr, uint64_t *file_offset);
/*
 * Calls fn for every defined function, of .dynsym and of .symtab: some come twice, in no order.
 * sym->file_offset is not filled.
 */
void object_each_function(struct object *obj, void (*fn)(const struct object_symbol *sym, void *arg), void *arg);
/* Up to len bytes of the file at file_offset; bytes read or −errno. */
ssize_t object_read(const struct object *obj, uint64_t file_offset, void *buf, size_t len);
/* "release version 2.36" of a C library, as 2·1000+36; 0 if it has none. */
unsigned object_glibc_version(struct object *obj);

/* One dynamic relocation slot that the loader fills with a function's address. */
struct object_slot {
	const char *symbol;
	uint64_t value; /* virtual address of the slot as linked; + load bias = address in the target */
};
/* Calls fn for every JUMP_SLOT and GLOB_DAT relocation; stops when fn returns nonzero, and returns that. */
int object_each_slot(struct object *obj, int (*fn)(const struct object_slot *slot, void *arg), void *arg);
/* Load bias of the object given one of its mappings. */
uint64_t object_bias(const struct object *obj, const struct mapping *m);

#endif
