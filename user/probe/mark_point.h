/* Functions whose calls are marks (--mark LIB:SYMBOL): which are meant, and where they are in an object. */
#ifndef ALLOCTRACE_PROBE_MARK_POINT_H
#define ALLOCTRACE_PROBE_MARK_POINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MARK_POINTS_MAX  16
#define MARK_OBJECT_MAX  256 /* of LIB, with the NUL */

struct object;
struct plan;
struct plan_context;

struct mark_point {
	char object[MARK_OBJECT_MAX]; /* the name of a file, or how it begins before a dot; a path if it has a slash; "": the program itself */
	const char *symbol;           /* as symbol tables have it: of C++ mangled */
	const char *kind;             /* what its marks are called: the symbol, or all that was given if that is not unique */
	const char *given;            /* "LIB:SYMBOL" */
};

struct mark_points {
	struct mark_point v[MARK_POINTS_MAX];
	size_t cnt;
};

/* How far one has come in a process. */
enum mark_sight {
	MARK_NO_OBJECT, /* no such object is loaded (yet) */
	MARK_NO_SYMBOL, /* it has no such function */
	MARK_ELSEWHERE, /* one of the two, but another process has it */
	MARK_PLACED,
};

/* "LIB:SYMBOL", which must outlive it; one that is there already is no error. −EINVAL, −ERANGE: one too many. */
int mark_points_add(struct mark_points *points, const char *given);
/* Whether it means the object of that path; program: that is what the process runs. */
bool mark_point_means(const struct mark_point *point, const char *path, bool program);
/*
 * Adds the functions of an object that are meant to its plan, and to plan->marks_named and marks_placed
 * which of them there are. 0 or −ENOMEM.
 */
int mark_points_plan(const struct plan_context *ctx, struct object *obj, bool program, struct plan *plan);

#endif
