/*
 * Signal frames as the kernel of x86-64 lays them on a stack and as rt_sigreturn(2) takes them
 * back: a thread that executes it gets all its registers, its FPU state and its signal mask
 * from the frame, in one step and without anybody's help. Layout: struct rt_sigframe of
 * arch/x86/include/asm/sigframe.h, struct ucontext and struct sigcontext_64 of uapi/asm; it is
 * ABI and the same in all kernels.
 *
 * A chain of them makes a call that undoes itself. All lie below the red zone of a thread's
 * stack; the lowest is entered by one change of the thread's registers:
 *
 *   rt_sigreturn → the function, all signals blocked, the next frame as its return address's place
 *   its ret → rt_sigreturn → swab(3), which copies the thread's errno back (left out if there is none)
 *   its ret → rt_sigreturn → rt_sigreturn's own code, one signal let in: a tracer's chance to step in
 *           → rt_sigreturn → what the thread was: registers, FPU, mask
 *
 * Pure: bytes and addresses only.
 */
#ifndef ALLOCTRACE_TARGET_SIGNAL_FRAME_H
#define ALLOCTRACE_TARGET_SIGNAL_FRAME_H

#include <stddef.h>
#include <stdint.h>
#include <sys/user.h>

#define SIGNAL_FRAME_XSTATE_MAX (16u << 10) /* AMX has 11 KiB */
#define SIGNAL_FRAME_TEXT_MAX   64
#define SIGNAL_FRAME_CHAIN_MAX  (SIGNAL_FRAME_XSTATE_MAX + 4096)

struct signal_frame_call {
	uint64_t sigreturn;    /* of code that executes rt_sigreturn: mov $15,%rax; syscall */
	uint64_t function;
	uint64_t arguments[5];
	const char *text;      /* NULL, or the first argument: copied beside the frames, SIGNAL_FRAME_TEXT_MAX at most */
	uint64_t swab;         /* copies two bytes each in turned order: from, to, length; 0: there is none */
	uint64_t errno_at;     /* 0: not known */
	uint32_t errno_was;
	int signal;            /* let in before the last frame */
	struct user_regs_struct after; /* what is restored at the end */
	uint64_t mask;
	const void *xstate;    /* as ptrace gives it: XSAVE's standard form */
	size_t xstate_sz;
};

struct signal_frame_chain {
	uint8_t bytes[SIGNAL_FRAME_CHAIN_MAX];
	size_t len;            /* to be written at base, in the thread's memory */
	uint64_t base;
	struct user_regs_struct enter; /* the thread's registers, to begin */
	uint64_t between_sp;   /* the stack pointer where .signal is let in; the pc is .sigreturn */
};

/* 0; −ENOTSUP: an FPU state that no frame takes; −E2BIG: one that is larger than we provide for. */
int signal_frame_chain(const struct signal_frame_call *call, struct signal_frame_chain *chain);

#endif
