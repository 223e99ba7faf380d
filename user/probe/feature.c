#include "probe/feature.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe/keeper.h"
#include "probe/return_probe.h"

/* What came of one backend. */
struct outcome {
	int error;     /* of loading or attaching; 0: attached */
	uint64_t hits; /* how often the program ran */
	int status;    /* the child's, as wait(2) gives it */
};

/* A program that counts its runs in the map, the smallest that can tell. */
static int load_counter(int map_fd, uint32_t attach_type)
{
	struct bpf_insn insns[] = {
		{.code = BPF_LD | BPF_DW | BPF_IMM,
		 .dst_reg = BPF_REG_1,
		 .src_reg = BPF_PSEUDO_MAP_VALUE,
		 .imm = map_fd},
		{.code = 0},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = 1},
		{.code = BPF_STX | BPF_ATOMIC | BPF_DW,
		 .dst_reg = BPF_REG_1,
		 .src_reg = BPF_REG_2,
		 .imm = BPF_ADD},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = attach_type);

	return bpf_prog_load(BPF_PROG_TYPE_KPROBE, "alloctrace_try", "GPL", insns,
			     sizeof(insns) / sizeof(insns[0]), &opts);
}

/* Attaches to the child as the tracer will attach to its target, and lets the child run into it. */
static int run_subject(struct keeper *keeper, enum link_backend backend, int prog_fd, uint64_t offset,
		       int *status)
{
	struct link_spot spot = {.offset = offset};
	struct subject subject;
	kept_link link;
	int ret = subject_start(&subject), end;

	if (ret)
		return ret;
	ret = keeper_open(keeper,
			  &(struct link_request){
				  .backend = backend,
				  .when = backend == LINK_SESSION ? LINK_AT_BOTH : LINK_AT_RETURN,
				  .prog_fd = prog_fd,
				  .path = "/proc/self/exe",
				  .pid = subject.pid,
				  .spots = &spot,
				  .spot_cnt = 1,
			  },
			  &link);
	end = subject_run(&subject);
	if (!ret)
		keeper_close(keeper, &link, 1);
	*status = end;
	return ret ? ret : end < 0 ? end : 0;
}

static struct outcome try_backend(struct keeper *keeper, enum link_backend backend, uint64_t offset)
{
	enum link_when when = backend == LINK_SESSION ? LINK_AT_BOTH : LINK_AT_RETURN;
	struct outcome outcome = {.error = 0};
	uint32_t key = 0;
	int map_fd, prog_fd;

	map_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "alloctrace_try", sizeof(key), sizeof(outcome.hits), 1,
				NULL);
	if (map_fd < 0)
		return (struct outcome){.error = map_fd};
	prog_fd = load_counter(map_fd, link_attach_type(backend, when));
	outcome.error =
		prog_fd < 0 ? prog_fd : run_subject(keeper, backend, prog_fd, offset, &outcome.status);
	bpf_map_lookup_elem(map_fd, &key, &outcome.hits);
	if (prog_fd >= 0)
		close(prog_fd);
	close(map_fd);
	return outcome;
}

static bool was_killed(int status)
{
	return WIFSIGNALED(status);
}

static int no_backend(int code, struct error *err)
{
	switch (code) {
	case -EPERM:
	case -EACCES:
		return error_set(
			err, -EPERM,
			"cannot load BPF programs: permission denied; run as root (CAP_BPF, CAP_PERFMON "
			"and CAP_SYS_ADMIN are needed)");
	case -ENOSYS:
		return error_set(
			err, -ENOTSUP,
			"this kernel has no BPF (CONFIG_BPF_SYSCALL): only `alloctrace heap` works here");
	default:
		return error_set(err, -ENOTSUP,
				 "this kernel cannot run BPF programs at probes (Linux 5.15 or later with "
				 "CONFIG_UPROBE_EVENTS is needed): %s",
				 strerror(-code));
	}
}

int feature_probe(const struct log *log, struct keeper *keeper, struct feature *feature, struct error *err)
{
	int last = -ENOTSUP;
	uint64_t offset;

	if (subject_offset(&offset))
		return error_set(err, -ENOTSUP, "cannot find our own code in /proc/self/exe");
	for (int backend = 0; backend < LINK_BACKEND_CNT; backend++) {
		struct outcome o = try_backend(keeper, backend, offset);
		const char *name = link_backend_names[backend];

		if (o.error) {
			log_note(log, "%s links: %s", name, strerror(-o.error));
			last = o.error;
		} else if (was_killed(o.status)) {
			/* Sessions are return probes; multi links also serve without. */
			feature->backend = backend == LINK_SESSION ? LINK_MULTI : (enum link_backend)backend;
			feature->return_probes = false;
			log_note(log, "%s links: a return probe killed a process under a seccomp filter (%s)",
				 name, strsignal(WTERMSIG(o.status)));
			return 0;
		} else if (!o.hits) {
			log_note(log, "%s links: they do not see threads", name);
			last = -ENOTSUP;
		} else {
			feature->backend = backend;
			feature->return_probes = true;
			log_note(log, "%s links: usable, return probes harmless", name);
			return 0;
		}
	}
	return no_backend(last, err);
}
