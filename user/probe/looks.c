#include "probe/looks.h"

#include <bpf/libbpf.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "budget/pace.h"

struct looks {
	unsigned on;
	int cnt;
	int fds[]; /* one a CPU */
};

/* Negative: there is none on that CPU. */
static int open_on(int cpu, int prog_fd)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = PACE_LOOK_NS,
		.disabled = 1,
	};
	int fd = (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd >= 0 && ioctl(fd, PERF_EVENT_IOC_SET_BPF, prog_fd)) {
		close(fd);
		return -1;
	}
	return fd;
}

struct looks *looks_new(int prog_fd)
{
	int cpus = libbpf_num_possible_cpus();
	struct looks *l = cpus > 0 ? calloc(1, sizeof(*l) + (size_t)cpus * sizeof(l->fds[0])) : NULL;

	if (!l)
		return NULL;
	for (int cpu = 0; cpu < cpus; cpu++) {
		int fd = open_on(cpu, prog_fd);

		if (fd >= 0)
			l->fds[l->cnt++] = fd;
	}
	if (l->cnt)
		return l;
	looks_free(l);
	return NULL;
}

void looks_free(struct looks *l)
{
	for (int i = 0; l && i < l->cnt; i++)
		close(l->fds[i]);
	free(l);
}

static void switch_all(const struct looks *l, unsigned long request)
{
	for (int i = 0; i < l->cnt; i++)
		ioctl(l->fds[i], request, 0);
}

void looks_begin(struct looks *l)
{
	if (l && !l->on++)
		switch_all(l, PERF_EVENT_IOC_ENABLE);
}

void looks_end(struct looks *l)
{
	if (l && !--l->on)
		switch_all(l, PERF_EVENT_IOC_DISABLE);
}
