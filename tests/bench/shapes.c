/*
 * Attaches programs to compare ours with, at the places that ours choose in a process:
 *
 *   shapes floor PID     programs that do nothing, by the kind of links that ours take
 *   shapes memleak PID   memleak's, by its kind of links: perf probes
 *
 * Prints one line once they are attached; detaches at the end of stdin. They take the
 * arguments where the calling convention has them: right for glibc's malloc and free.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "probe/feature.h"
#include "probe/plan.h"
#include "shapes.skel.h"
#include "target/maps.h"

#define LINKS_MAX 256

struct use {
	const char *program; /* NULL ends */
	enum plan_role role;
	enum link_when when;
};

static const struct use floor_session[] = {
	{"empty_call", PLAN_ALLOC, LINK_AT_BOTH},
	{"empty", PLAN_FREE, LINK_AT_ENTRY},
	{NULL},
};
static const struct use floor_return[] = {
	{"empty_call", PLAN_ALLOC, LINK_AT_RETURN},
	{"empty", PLAN_ALLOC, LINK_AT_ENTRY},
	{"empty", PLAN_FREE, LINK_AT_ENTRY},
	{NULL},
};
static const struct use floor_exits[] = {
	{"empty_call", PLAN_ALLOC_EXIT, LINK_AT_ENTRY},
	{"empty", PLAN_ALLOC, LINK_AT_ENTRY},
	{"empty", PLAN_FREE, LINK_AT_ENTRY},
	{NULL},
};
static const struct use memleak[] = {
	{"memleak_return", PLAN_ALLOC, LINK_AT_RETURN},
	{"memleak_enter", PLAN_ALLOC, LINK_AT_ENTRY},
	{"memleak_free", PLAN_FREE, LINK_AT_ENTRY},
	{NULL},
};

struct attaching {
	const struct use *uses;
	enum link_backend backend;
	struct shapes_bpf *skel;
	pid_t pid;
	struct plan_context ctx;
	struct link *links[LINKS_MAX];
	size_t link_cnt;
};

static const struct use *uses_of(const char *shape, const struct feature *feature)
{
	if (!strcmp(shape, "memleak"))
		return memleak;
	if (strcmp(shape, "floor") != 0)
		return NULL;
	if (!feature->return_probes)
		return floor_exits;
	return feature->backend == LINK_SESSION ? floor_session : floor_return;
}

static struct bpf_program *program_of(const struct attaching *a, const struct use *use)
{
	return bpf_object__find_program_by_name(a->skel->obj, use->program);
}

static int load(struct attaching *a)
{
	struct bpf_program *prog;

	a->skel = shapes_bpf__open();
	if (!a->skel)
		return -errno;
	bpf_object__for_each_program(prog, a->skel->obj) bpf_program__set_autoload(prog, false);
	for (const struct use *use = a->uses; use->program; use++) {
		prog = program_of(a, use);
		bpf_program__set_autoload(prog, true);
		bpf_program__set_expected_attach_type(prog, link_attach_type(a->backend, use->when));
	}
	return shapes_bpf__load(a->skel);
}

static int attach_use(struct attaching *a, const struct use *use, struct object *obj, const struct plan *plan)
{
	struct link_spot *spots = calloc(plan->cnt + 1, sizeof(*spots));
	struct link_request request = {
		.backend = a->backend,
		.when = use->when,
		.prog_fd = bpf_program__fd(program_of(a, use)),
		.path = object_access_path(obj),
		.pid = a->pid,
		.spots = spots,
	};
	int ret = spots ? 0 : -ENOMEM;

	for (size_t i = 0; spots && i < plan->cnt; i++)
		if (plan->v[i].role == use->role)
			spots[request.spot_cnt++] = plan->v[i].at;
	if (!ret && request.spot_cnt)
		ret = a->link_cnt < LINKS_MAX ? link_open(&request, &a->links[a->link_cnt]) : -ENOSPC;
	if (!ret && request.spot_cnt)
		a->link_cnt++;
	free(spots);
	return ret;
}

static int attach_object(struct attaching *a, struct object *obj)
{
	struct plan plan = {.v = NULL};
	int ret = plan_object(&a->ctx, obj, false, &plan);

	for (const struct use *use = a->uses; !ret && use->program; use++)
		ret = attach_use(a, use, obj, &plan);
	plan_free(&plan);
	return ret;
}

static int attach(struct attaching *a, struct error *err)
{
	struct object *obj;
	struct maps maps;
	int ret = maps_read(a->pid, &maps, err);

	if (ret)
		return ret;
	for (size_t i = 0; !ret && i < maps.cnt; i++) {
		if (!maps.v[i].exec || maps.v[i].name[0] != '/' ||
		    object_open_mapped(a->pid, &maps.v[i], &obj, NULL))
			continue;
		ret = attach_object(a, obj);
		object_free(obj);
	}
	maps_free(&maps);
	return ret || a->link_cnt ? ret : -ENOENT;
}

int main(int argc, char **argv)
{
	const struct log log = {.out = stderr};
	struct attaching a = {.ctx = {.log = &log, .allocs = true}};
	struct error err = {.text = ""};
	struct keeper *keeper;
	struct feature feature;
	char byte;
	int ret;

	if (argc != 3 || keeper_start(&keeper) || feature_probe(&log, keeper, &feature, &err)) {
		fprintf(stderr, "%s\n", argc == 3 ? err.text : "usage: shapes floor|memleak PID");
		return 2;
	}
	a.pid = (pid_t)atoi(argv[2]);
	a.uses = uses_of(argv[1], &feature);
	a.backend = a.uses == memleak ? LINK_PERF : feature.backend;
	a.ctx.return_probes = a.uses == memleak || feature.return_probes;
	a.ctx.functions = functions_new();
	a.ctx.missing = missing_new();
	ret = a.uses && a.ctx.functions && a.ctx.missing ? load(&a) : -EINVAL;
	ret = ret ? ret : attach(&a, &err);
	if (ret)
		fprintf(stderr, "shapes: %s: %s\n", argv[1], err.text[0] ? err.text : strerror(-ret));
	else
		puts("attached");
	fflush(stdout);
	while (!ret && read(STDIN_FILENO, &byte, 1) > 0)
		;
	keeper_stop(keeper);
	links_close(a.links, a.link_cnt);
	shapes_bpf__destroy(a.skel);
	missing_free(a.ctx.missing);
	functions_free(a.ctx.functions);
	return ret != 0;
}
