#include "target/seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>

#define FILTERS_MAX 4096 /* of one thread; the kernel allows 32768 instructions in all */

struct machine {
	uint32_t a, x, memory[BPF_MEMWORDS];
};

static bool load(struct machine *m, const struct sock_filter *i, const struct seccomp_data *data)
{
	uint32_t *to = BPF_CLASS(i->code) == BPF_LD ? &m->a : &m->x;

	switch (BPF_MODE(i->code)) {
	case BPF_ABS:
		if (i->k % 4 || i->k > sizeof(*data) - 4)
			return false;
		memcpy(to, (const char *)data + i->k, 4);
		return true;
	case BPF_LEN:
		*to = sizeof(*data);
		return true;
	case BPF_IMM:
		*to = i->k;
		return true;
	case BPF_MEM:
		if (i->k >= BPF_MEMWORDS)
			return false;
		*to = m->memory[i->k];
		return true;
	default:
		return false;
	}
}

static bool calculate(struct machine *m, const struct sock_filter *i)
{
	uint32_t by = BPF_SRC(i->code) == BPF_X ? m->x : i->k;

	switch (BPF_OP(i->code)) {
	case BPF_ADD:
		m->a += by;
		return true;
	case BPF_SUB:
		m->a -= by;
		return true;
	case BPF_MUL:
		m->a *= by;
		return true;
	case BPF_DIV:
		m->a = by ? m->a / by : 0;
		return by;
	case BPF_AND:
		m->a &= by;
		return true;
	case BPF_OR:
		m->a |= by;
		return true;
	case BPF_XOR:
		m->a ^= by;
		return true;
	case BPF_LSH:
		m->a <<= by & 31;
		return true;
	case BPF_RSH:
		m->a >>= by & 31;
		return true;
	case BPF_NEG:
		m->a = -m->a;
		return true;
	default:
		return false;
	}
}

/* How many instructions are skipped; they only go forward, so that every program ends. */
static bool jump(const struct machine *m, const struct sock_filter *i, size_t *skip)
{
	uint32_t with = BPF_SRC(i->code) == BPF_X ? m->x : i->k;
	bool holds;

	switch (BPF_OP(i->code)) {
	case BPF_JA:
		*skip = i->k;
		return true;
	case BPF_JEQ:
		holds = m->a == with;
		break;
	case BPF_JGT:
		holds = m->a > with;
		break;
	case BPF_JGE:
		holds = m->a >= with;
		break;
	case BPF_JSET:
		holds = m->a & with;
		break;
	default:
		return false;
	}
	*skip = holds ? i->jt : i->jf;
	return true;
}

static bool store(struct machine *m, const struct sock_filter *i)
{
	if (i->k >= BPF_MEMWORDS)
		return false;
	m->memory[i->k] = BPF_CLASS(i->code) == BPF_ST ? m->a : m->x;
	return true;
}

uint32_t seccomp_run(const struct sock_filter *program, size_t len, const struct seccomp_data *data)
{
	struct machine m = {.a = 0};
	bool sound = true;

	for (size_t at = 0, skip; at < len && sound; at += 1 + skip) {
		const struct sock_filter *i = &program[at];

		skip = 0;
		switch (BPF_CLASS(i->code)) {
		case BPF_LD:
		case BPF_LDX:
			sound = load(&m, i, data);
			break;
		case BPF_ST:
		case BPF_STX:
			sound = store(&m, i);
			break;
		case BPF_ALU:
			sound = calculate(&m, i);
			break;
		case BPF_JMP:
			sound = jump(&m, i, &skip);
			break;
		case BPF_RET:
			return BPF_RVAL(i->code) == BPF_A ? m.a : i->k;
		case BPF_MISC:
			if (BPF_MISCOP(i->code) == BPF_TAX)
				m.x = m.a;
			else
				m.a = m.x;
			break;
		}
	}
	return SECCOMP_RET_KILL_PROCESS;
}

static bool lets_pass(const struct sock_filter *program, size_t len, const struct seccomp_call *call)
{
	struct seccomp_data data = {.nr = call->number, .arch = AUDIT_ARCH_X86_64};
	uint32_t action;

	for (int i = 0; i < 6; i++)
		data.args[i] = call->arguments[i];
	action = seccomp_run(program, len, &data) & SECCOMP_RET_ACTION_FULL;
	return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG;
}

/* All filters of a thread are asked, and the strictest answer counts. */
int seccomp_check(const struct tracee *t, const struct seccomp_call *calls, size_t cnt, size_t *refused)
{
	struct sock_filter *program = NULL;
	int result = 0;

	for (unsigned long i = 0; i < FILTERS_MAX && result == 0; i++) {
		long len = ptrace(PTRACE_SECCOMP_GET_FILTER, t->tid, i, NULL);

		if (len < 0 && errno == ENOENT)
			break;
		if (len < 0) {
			result = -errno;
			break;
		}
		free(program);
		program = calloc((size_t)len + 1, sizeof(*program));
		if (!program)
			result = -ENOMEM;
		else if (ptrace(PTRACE_SECCOMP_GET_FILTER, t->tid, i, program) != len)
			result = -EACCES;
		for (size_t c = 0; c < cnt && result == 0; c++) {
			if (!lets_pass(program, (size_t)len, &calls[c])) {
				*refused = c;
				result = 1;
			}
		}
	}
	free(program);
	return result;
}
