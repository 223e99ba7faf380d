/*
 * Functions of the C library and the loader that are no allocator's. glibc defines several
 * names at one address (mmap, mmap64, __mmap): the planner places one probe an address.
 * The names with underscores are those that a static program may keep when the plain one is gone.
 */
#include "probe/allocator.h"

const struct probe_row libc_rows[] = {
	/* not required: up to glibc 2.33 they are in libdl.so.2 */
	{.symbol = "dlopen", .shape = PROBE_DLOPEN},
	{.symbol = "dlmopen", .shape = PROBE_DLMOPEN},
	{.symbol = "dlclose", .shape = PROBE_DLCLOSE},
	{.symbol = "mmap", .shape = PROBE_MMAP, .required = true},
	{.symbol = "mmap64", .shape = PROBE_MMAP},
	{.symbol = "__mmap", .shape = PROBE_MMAP},
	{.symbol = "munmap", .shape = PROBE_MUNMAP, .required = true},
	{.symbol = "__munmap", .shape = PROBE_MUNMAP},
	{.symbol = "mremap", .shape = PROBE_MREMAP, .required = true},
	{.symbol = "madvise", .shape = PROBE_MADVISE, .required = true},
	{.symbol = "__madvise", .shape = PROBE_MADVISE},
	{.symbol = "brk", .shape = PROBE_BRK, .required = true},
	{.symbol = "__brk", .shape = PROBE_BRK},
	{.symbol = "sbrk", .shape = PROBE_BRK, .required = true},
	{.symbol = "__sbrk", .shape = PROBE_BRK},
	{.symbol = NULL},
};

const struct probe_row loader_rows[] = {
	{.symbol = "_dl_debug_state", .shape = PROBE_LOADED},
	{.symbol = NULL},
};
