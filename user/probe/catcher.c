#include "probe/catcher.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "../bpf/event.h"
#include "../bpf/share.h"
#include "alloctrace.skel.h"
#include "probe/keeper.h"
#include "probe/link.h"

#define SPOTS_MAX 16

struct catcher {
	struct keeper *keeper;
	struct alloctrace_bpf *skel;
	kept_link links[SPOTS_MAX];
	size_t link_cnt;
};

static int print_nothing(enum libbpf_print_level level, const char *fmt, va_list args)
{
	(void)level;
	(void)fmt;
	(void)args;
	return 0;
}

/* Of the whole kernel side this one program, which uses no map. */
static int load(struct catcher *c)
{
	struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	struct bpf_program *prog;
	struct bpf_map *map;

	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	libbpf_set_print(print_nothing);
	c->skel = alloctrace_bpf__open();
	if (!c->skel)
		return -errno;
	bpf_object__for_each_program(prog, c->skel->obj)
		bpf_program__set_autoload(prog, prog == c->skel->progs.catch_thread);
	bpf_object__for_each_map(map, c->skel->obj) bpf_map__set_autocreate(map, false);
	return bpf_object__load(c->skel->obj);
}

int catcher_new(const struct log *log, struct catcher **catcher, struct error *err)
{
	struct catcher *c = calloc(1, sizeof(*c));
	int ret;

	if (!c)
		return error_set(err, -ENOMEM, "no memory to catch threads");
	ret = keeper_start(&c->keeper);
	if (!ret)
		ret = load(c);
	if (ret) {
		catcher_free(c);
		log_note(log, "no program that catches threads: %s", strerror(-ret));
		if (ret == -EACCES)
			ret = -EPERM;
		return error_set(err, ret,
				 ret == -EPERM ? "needs root" : "this kernel refuses our BPF program");
	}
	*catcher = c;
	return 0;
}

void catcher_free(struct catcher *c)
{
	if (!c)
		return;
	catcher_disarm(c);
	keeper_stop(c->keeper);
	alloctrace_bpf__destroy(c->skel);
	free(c);
}

/* Perf links, which all kernels since 5.15 have: there are few, and not for long. */
int catcher_arm(struct catcher *c, pid_t pid, pid_t tid, int signal, const struct catcher_spot *spots,
		size_t cnt)
{
	int ret = 0;

	for (size_t i = 0; i < cnt && c->link_cnt < SPOTS_MAX && !ret; i++) {
		const struct link_spot spot = {
			.offset = spots[i].offset,
			.cookie = (uint64_t)signal << COOKIE_SIGNAL_SHIFT | (uint32_t)tid,
		};

		ret = keeper_open(c->keeper,
				  &(struct link_request){
					  .backend = LINK_PERF,
					  .when = LINK_AT_ENTRY,
					  .prog_fd = bpf_program__fd(c->skel->progs.catch_thread),
					  .path = object_access_path(spots[i].object),
					  .pid = pid,
					  .spots = &spot,
					  .spot_cnt = 1,
				  },
				  &c->links[c->link_cnt]);
		c->link_cnt += !ret;
	}
	if (ret)
		catcher_disarm(c);
	return ret;
}

void catcher_disarm(struct catcher *c)
{
	if (c->link_cnt)
		keeper_close(c->keeper, c->links, c->link_cnt);
	c->link_cnt = 0;
}
