/*
 * Attaching programs to instructions of a file, for one process: by one session or
 * uprobe_multi link for many offsets where the kernel has them (6.13, 6.6), else by a perf
 * uprobe for each. Spoken to the kernel directly: libbpf 1.1 knows neither of the first two.
 * Done by the process that keeper.h tells of.
 */
#ifndef ALLOCTRACE_PROBE_LINK_H
#define ALLOCTRACE_PROBE_LINK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum link_backend {
	LINK_SESSION,
	LINK_MULTI,
	LINK_PERF,
	LINK_BACKEND_CNT,
	/*
	 * Beside one of those: a perf event on each thread that there is, which later threads and children
	 * inherit, one for all spots. Their cookie is that of the first. −E2BIG: more than LINK_THREADS_MAX.
	 */
	LINK_INHERITED = LINK_BACKEND_CNT,
	/* No spots and no program: keeps what children inherit of that process their own (link.c). */
	LINK_GUARD,
};

#define LINK_THREADS_MAX 256

extern const char *const link_backend_names[LINK_BACKEND_CNT];

enum link_when {
	LINK_AT_ENTRY,  /* at the instruction */
	LINK_AT_RETURN, /* when the function that begins there returns */
	LINK_AT_BOTH,   /* LINK_SESSION only */
};

struct link_spot {
	uint64_t offset; /* in the file */
	uint64_t cookie;
	uint64_t semaphore; /* in the file: an SDT probe's counter, which the kernel raises while it is attached; 0: none */
};

struct link_request {
	enum link_backend backend;
	enum link_when when;
	int prog_fd;
	const char *path; /* opens the file in our own mount namespace */
	pid_t pid;
	const struct link_spot *spots;
	size_t spot_cnt;
};

struct link; /* opaque: all spots of one request */

/* Attaches to all spots, or to none and returns −errno. */
int link_open(const struct link_request *request, struct link **link);
/*
 * Detaches all of them at once: each waits for the kernel's grace periods (25–150 ms), which
 * pass together. Elements may be NULL.
 */
void links_close(struct link *const *links, size_t cnt);

/* The expected_attach_type of a program for that backend: it is set before the program is loaded. */
uint32_t link_attach_type(enum link_backend backend, enum link_when when);

#endif
