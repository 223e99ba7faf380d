#include "probe/kfunc.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>

static void replace_calls(struct bpf_insn *insns, size_t cnt, int32_t helper, int32_t id)
{
	for (size_t i = 0; i < cnt; i++) {
		if (insns[i].code != (BPF_JMP | BPF_CALL) || insns[i].src_reg || insns[i].imm != helper)
			continue;
		insns[i].src_reg = BPF_PSEUDO_KFUNC_CALL;
		insns[i].imm = id;
	}
}

int kfunc_bind(struct bpf_program *prog, int32_t helper, const char *name)
{
	int id = libbpf_find_vmlinux_btf_id(name, BPF_TRACE_FENTRY); /* of a function, by its name alone */
	size_t cnt = bpf_program__insn_cnt(prog);
	struct bpf_insn *insns;
	int ret;

	if (id <= 0)
		return -ENOENT;
	insns = malloc(cnt * sizeof(*insns));
	if (!insns)
		return -ENOMEM;
	memcpy(insns, bpf_program__insns(prog), cnt * sizeof(*insns));
	replace_calls(insns, cnt, helper, id);
	ret = bpf_program__set_insns(prog, insns, cnt);
	free(insns);
	return ret;
}
