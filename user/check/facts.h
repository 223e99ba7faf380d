/*
 * What `check` judges by: the facts about one process, gathered once (gather.h) and not changed by
 * any check. Bytes and counts; UNKNOWN (heap/state.h) and CGROUP_UNKNOWN where nobody knows.
 */
#ifndef ALLOCTRACE_CHECK_FACTS_H
#define ALLOCTRACE_CHECK_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heap/state.h"
#include "probe/allocator.h"
#include "target/cgroup.h"
#include "target/descriptors.h"
#include "target/environment.h"
#include "target/process.h"
#include "target/threads.h"
#include "target/unit.h"

#define CHECK_SAMPLES 3       /* a second apart */
#define CHECK_VARIABLES_MAX 64
#define CHECK_PRELOADS_MAX 16
#define CHECK_ALLOCATORS_MAX 16

/* What changes meanwhile. */
struct check_sample {
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	uint64_t rss, swap;
	uint64_t shmem; /* of rss: shared memory */
	uint64_t cgroup_current;
	uint64_t descriptors[DESCRIPTOR_KIND_CNT];
	uint64_t fresh[DESCRIPTOR_KIND_CNT]; /* since the sample before */
	uint64_t descriptor_cnt;             /* UNKNOWN: they cannot be read */
};

/* A setting in the environment that is meant for an allocator. */
struct check_variable {
	const struct allocator *owner; /* whose it is by its name */
	char variable[64];             /* "MALLOC_CONF" */
	char option[64];               /* what in it: "dirty_decay_ms"; "" where the variable is one setting */
	char value[128];               /* cut, if longer */
	enum check_known {
		KNOWN_UNCLEAR, /* the allocator's object is not there, or too old to have its names in a table */
		KNOWN_YES,     /* this build has the name in it */
		KNOWN_NO,
	} known;
};

/* A library that was to be preloaded. */
struct check_preload {
	const char *from; /* "LD_PRELOAD" or "/etc/ld.so.preload" */
	char name[256];
	bool exists; /* as a file in the process's root; true where the name has no folder */
	char elsewhere[256]; /* if not: a file of that name where libraries are; "" */
	bool mapped;
	const struct allocator *kind; /* of the mapped object; NULL: it is no allocator */
};

enum check_thp { /* /sys/kernel/mm/transparent_hugepage/enabled */
	THP_UNKNOWN,
	THP_ALWAYS,
	THP_MADVISE,
	THP_NEVER,
};

struct check_facts {
	pid_t pid;
	char command[64], exe[256];
	bool is_static;
	bool secure; /* AT_SECURE */
	uint64_t memory_total, swap_total; /* of the machine */
	struct check_sample samples[CHECK_SAMPLES];
	size_t sample_cnt;

	/* allocators */
	struct heap_state heap; /* taken_ns 0: it could not be read, and heap_error says why */
	struct error heap_error;
	char library[CHECK_ALLOCATORS_MAX][64]; /* by allocator in heap: the library that it is; "": part of something else */

	/* environment */
	enum environment_source environment;
	struct check_variable variables[CHECK_VARIABLES_MAX];
	size_t variable_cnt;
	struct check_preload preloads[CHECK_PRELOADS_MAX];
	size_t preload_cnt;

	/* descriptors: in the samples */
	uint64_t descriptor_limit; /* UINT64_MAX: none; 0: not known */

	/* threads */
	struct threads threads;
	uint64_t *thread_arenas; /* by thread: address of its arena, 0: not known or none yet */
	size_t arenas_known;     /* threads whose arena is known */
	unsigned cores;          /* it may run on; 0: not known */

	/* cgroup */
	bool in_cgroup;
	struct cgroup cgroup;
	struct cgroup_memory memory;
	bool has_unit;
	struct unit unit;
	int oom_score_adj; /* INT_MIN: not known */
	struct {
		bool running;                          /* systemd-oomd */
		bool file_found;                       /* of the unit */
		char setting[32];                      /* "ManagedOOMMemoryPressure" or "ManagedOOMSwap" that says kill */
		char setting_unit[UNIT_NAME_MAX];      /* the unit, or a slice above it, that sets it; "": none */
		bool omit, avoid;                      /* ManagedOOMPreference= */
	} oomd;

	/* huge pages */
	enum check_thp thp;
	int thp_enabled; /* for this process (prctl PR_SET_THP_DISABLE): 1, 0, −1: not known */
	uint64_t anonymous, anonymous_huge;
};

#endif
