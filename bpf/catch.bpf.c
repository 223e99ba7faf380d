/*
 * A thread is met where it is in its own code for sure: it executes a probed instruction, and is
 * sent a signal there and then. The signal is one that is ignored by default and that nobody
 * catches; a tracer sees the thread stop with it, and without one nothing happens. It is not
 * sent to a thread that blocks it: there it would wait, and end another system call later.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "share.h"

SEC("uprobe")
int catch_thread(struct pt_regs *ctx)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	u64 cookie = bpf_get_attach_cookie(ctx);
	u32 signal = cookie >> COOKIE_SIGNAL_SHIFT & 0x3f;

	if ((u32)bpf_get_current_pid_tgid() != (u32)cookie || !signal || !BPF_CORE_READ(task, ptrace) ||
	    BPF_CORE_READ(task, blocked.sig[0]) >> (signal - 1) & 1)
		return 0;
	bpf_send_signal_thread(signal);
	return 0;
}
