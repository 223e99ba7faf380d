#include "target/signal_frame.h"

#include <cpuid.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define RED_ZONE 128 /* x86-64 psABI 3.2.2: below the stack pointer, a function's own without being said */

/* struct rt_sigframe up to the siginfo, which only handlers read. */
struct frame {
	uint64_t pretcode; /* where a handler returns to */
	uint64_t flags, link;
	uint64_t stack_sp;
	int32_t stack_flags, pad;
	uint64_t stack_size;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15, di, si, bp, bx, dx, ax, cx, sp, ip, eflags;
	uint16_t cs, gs, fs, ss;
	uint64_t err, trapno, oldmask, cr2;
	uint64_t fpstate, reserved[8];
	uint64_t mask;
};
_Static_assert(sizeof(struct frame) == 8 + 304, "struct rt_sigframe without its siginfo");

#define UC_FP_XSTATE 1 /* fpstate has an XSAVE area; the other two: ss is valid, and meant as it is */
#define UC_SIGCONTEXT_SS 2
#define UC_STRICT_RESTORE_SS 4
/*
 * rt_sigreturn also sets the alternate signal stack, which nobody can read from outside. A mode
 * that does not exist is refused, and the refusal ignored (do_sigaltstack and restore_altstack,
 * kernel/signal.c): it stays as it is.
 */
#define STACK_MODE_NONE 3

/* struct _fpx_sw_bytes in the last 48 bytes of the FXSAVE part tells how long the area is. */
struct software_bytes {
	uint32_t magic1, extended_size;
	uint64_t features;
	uint32_t xstate_size, pad[7];
};
#define SOFTWARE_BYTES 464
#define MAGIC1 0x46505853u
#define MAGIC2 0x46505845u
#define XSAVE_HEADER 512 /* begins with the set of components that are not in their initial state */
#define LEGACY_SIZE (512 + 64)
#define FEATURE_PKRU 9
#define FEATURE_TILES 18 /* AMX data: a frame has room for it only once the process has asked for it */

/* Where the standard form of these components ends (CPUID.0DH: each has its size and place). */
static size_t extent(uint64_t features)
{
	size_t end = LEGACY_SIZE;

	for (unsigned i = 2; i < 63; i++) {
		unsigned size, at, c, d;

		if (!(features >> i & 1) || !__get_cpuid_count(0xd, i, &size, &at, &c, &d))
			continue;
		if ((size_t)at + size > end)
			end = (size_t)at + size;
	}
	return end;
}

/* ptrace leaves the processor's features (XCR0) in the first of the software bytes. */
static int put_xstate(uint8_t *to, const struct signal_frame_call *call, size_t *size)
{
	uint64_t features, used;
	struct software_bytes software = {.magic1 = MAGIC1};
	const uint32_t magic2 = MAGIC2;

	if (call->xstate_sz < LEGACY_SIZE)
		return -ENOTSUP;
	memcpy(&features, (const uint8_t *)call->xstate + SOFTWARE_BYTES, sizeof(features));
	memcpy(&used, (const uint8_t *)call->xstate + XSAVE_HEADER, sizeof(used));
	if (used >> FEATURE_TILES & 1)
		return -ENOTSUP;
	features &= ~(1ULL << FEATURE_TILES);
	*size = extent(features);
	if (*size > call->xstate_sz)
		return -ENOTSUP;
	if (*size + sizeof(magic2) > SIGNAL_FRAME_XSTATE_MAX)
		return -E2BIG;
	software.features = features;
	software.xstate_size = (uint32_t)*size;
	software.extended_size = (uint32_t)(*size + sizeof(magic2));
	memcpy(to, call->xstate, *size);
	memcpy(to + SOFTWARE_BYTES, &software, sizeof(software));
	/* The rights of protection keys are given whether they are the initial ones or not. */
	used |= features & 1ULL << FEATURE_PKRU;
	memcpy(to + XSAVE_HEADER, &used, sizeof(used));
	memcpy(to + *size, &magic2, sizeof(magic2));
	*size += sizeof(magic2);
	return 0;
}

static struct frame frame_of(const struct user_regs_struct *r, uint64_t mask, uint64_t sigreturn,
			     uint64_t fpstate)
{
	return (struct frame){
		.pretcode = sigreturn,
		.flags = UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS,
		.stack_flags = STACK_MODE_NONE,
		.r8 = r->r8,
		.r9 = r->r9,
		.r10 = r->r10,
		.r11 = r->r11,
		.r12 = r->r12,
		.r13 = r->r13,
		.r14 = r->r14,
		.r15 = r->r15,
		.di = r->rdi,
		.si = r->rsi,
		.bp = r->rbp,
		.bx = r->rbx,
		.dx = r->rdx,
		.ax = r->rax,
		.cx = r->rcx,
		.sp = r->rsp,
		.ip = r->rip,
		.eflags = r->eflags,
		.cs = (uint16_t)r->cs,
		.ss = (uint16_t)r->ss,
		.fpstate = fpstate,
		.mask = mask,
	};
}

/* As at a function's first instruction: 8 below a multiple of 16 (psABI 3.2.2). */
static uint64_t place_frame(uint64_t below)
{
	return ((below - sizeof(struct frame)) & ~15ULL) - 8;
}

/* A function's first instruction: with the arguments of a call, and the place of its return address. */
static struct user_regs_struct at_function(const struct signal_frame_call *call, uint64_t function,
					   const uint64_t arguments[5], uint64_t sp)
{
	struct user_regs_struct r = call->after;

	r.rip = function;
	r.rdi = arguments[0];
	r.rsi = arguments[1];
	r.rdx = arguments[2];
	r.rcx = arguments[3];
	r.r8 = arguments[4];
	r.rsp = sp;
	r.rax = 0;
	r.rbp = 0;         /* no caller's frame */
	r.eflags = 1 << 9; /* interrupts; the direction flag is clear, as the psABI has it */
	return r;
}

/* Before rt_sigreturn with the frame at addr: a handler that returns has popped its return address. */
static struct user_regs_struct at_sigreturn(const struct signal_frame_call *call, uint64_t addr)
{
	struct user_regs_struct r = call->after;

	r.rip = call->sigreturn;
	r.rsp = addr + 8;
	r.orig_rax = ~0ULL; /* in no system call: nothing to be begun anew */
	return r;
}

static uint32_t in_turned_order(uint32_t word)
{
	return (word & 0xff00ff00) >> 8 | (word & 0x00ff00ff) << 8;
}

enum {
	FRAME_CALL,
	FRAME_ERRNO,
	FRAME_BETWEEN,
	FRAME_LAST,
	FRAME_CNT,
};

int signal_frame_chain(const struct signal_frame_call *call, struct signal_frame_chain *chain)
{
	uint64_t all = ~0ULL, top = call->after.rsp - RED_ZONE, fpstate, text, word, at[FRAME_CNT];
	const bool keeps_errno = call->swab && call->errno_at;
	const uint32_t errno_turned = in_turned_order(call->errno_was);
	struct user_regs_struct r[FRAME_CNT];
	uint64_t arguments[5];
	uint8_t xstate[SIGNAL_FRAME_XSTATE_MAX];
	size_t xstate_sz = 0, text_sz = call->text ? strlen(call->text) + 1 : 0;
	int err = put_xstate(xstate, call, &xstate_sz);

	if (err)
		return err;
	if (text_sz > SIGNAL_FRAME_TEXT_MAX)
		return -E2BIG;
	fpstate = (top - xstate_sz) & ~63ULL;
	text = (fpstate - text_sz) & ~15ULL;
	word = text - 16;
	at[FRAME_LAST] = place_frame(word);
	for (int i = FRAME_LAST - 1; i >= 0; i--)
		at[i] = place_frame(at[i + 1]);

	memcpy(arguments, call->arguments, sizeof(arguments));
	if (call->text)
		arguments[0] = text;
	r[FRAME_CALL] =
		at_function(call, call->function, arguments, at[keeps_errno ? FRAME_ERRNO : FRAME_BETWEEN]);
	r[FRAME_ERRNO] =
		at_function(call, call->swab, (uint64_t[5]){word, call->errno_at, sizeof(errno_turned)},
			    at[FRAME_BETWEEN]);
	r[FRAME_BETWEEN] = at_sigreturn(call, at[FRAME_LAST]);
	r[FRAME_LAST] = call->after;

	chain->base = at[FRAME_CALL];
	chain->len = top - chain->base;
	memset(chain->bytes, 0, chain->len);
	for (int i = 0; i < FRAME_CNT; i++) {
		uint64_t mask = i == FRAME_LAST      ? call->mask
				: i == FRAME_BETWEEN ? all & ~(1ULL << (call->signal - 1))
						     : all;
		struct frame frame = frame_of(&r[i], mask, call->sigreturn, fpstate);

		memcpy(chain->bytes + (at[i] - chain->base), &frame, sizeof(frame));
	}
	memcpy(chain->bytes + (word - chain->base), &errno_turned, sizeof(errno_turned));
	if (call->text)
		memcpy(chain->bytes + (text - chain->base), call->text, text_sz);
	memcpy(chain->bytes + (fpstate - chain->base), xstate, xstate_sz);
	chain->enter = at_sigreturn(call, at[FRAME_CALL]);
	chain->between_sp = r[FRAME_BETWEEN].rsp;
	return 0;
}
