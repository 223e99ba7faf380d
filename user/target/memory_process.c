/*
 * The address space of a live process: process_vm_readv, /proc/PID/mem and /proc/PID/pagemap.
 *
 * process_vm_readv pins the pages that it reads, and since 5.19 pinning an anonymous page that
 * a fork left shared copies it (gup_must_unshare in mm/internal.h): reading a pre-forking
 * server's heap that way would double its memory. /proc/PID/mem does not pin and takes half
 * as long again, so it serves wherever a page is not known to be the process's alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "target/memory.h"

/* Bits of a pagemap entry: Documentation/admin-guide/mm/pagemap.rst. */
#define PM_PRESENT (1ULL << 63)
#define PM_SWAP (1ULL << 62)
#define PM_EXCLUSIVE (1ULL << 56)
#define PM_FRAME ((1ULL << 55) - 1)

/* PAGEMAP_SCAN, kernel 6.7 (include/uapi/linux/fs.h); spelled out, since older headers lack it. */
struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
struct scan_region {
	uint64_t start, end, categories;
};
#define SCAN_IOCTL _IOWR('f', 16, struct scan_arg)
#define SCAN_ZERO (1ULL << 5) /* PAGE_IS_PFNZERO */

#define HUGE_SIZE (2UL << 20) /* x86-64 */
#define HUGE_PAGES (HUGE_SIZE / TARGET_PAGE_SIZE)

#define BATCH 8192      /* pagemap entries read at once */
#define REGIONS 512
#define SEEN_MAX 512    /* pages whose states are remembered */

struct process_memory {
	struct memory base;
	pid_t pid;
	int pagemap;         /* /proc/PID/pagemap */
	int mem;             /* /proc/PID/mem; −1: not needed yet */
	bool refused;        /* process_vm_readv is */
	uint64_t zero_frame; /* the shared zero page's frame; 0: frames are hidden from us */
	uint64_t huge_zero_frame; /* the first one of the huge zero page; 0: there is none */
	bool scans;          /* PAGEMAP_SCAN works */
	uint64_t seen_start, seen_end; /* the range asked for last, if it was not too large */
	uint8_t seen[SEEN_MAX];
};

static ssize_t read_by_file(struct process_memory *pm, const struct iovec *local, size_t local_cnt,
			    const struct iovec *remote, size_t remote_cnt)
{
	size_t l = 0, l_off = 0;
	ssize_t total = 0;

	for (size_t r = 0; r < remote_cnt; r++) {
		size_t r_off = 0;

		while (r_off < remote[r].iov_len && l < local_cnt) {
			size_t room = local[l].iov_len - l_off, want = remote[r].iov_len - r_off;
			ssize_t got = pread(pm->mem, (char *)local[l].iov_base + l_off, want < room ? want : room,
					    (off_t)((uintptr_t)remote[r].iov_base + r_off));

			if (got <= 0)
				return total ? total : got ? -errno : -EFAULT;
			total += got;
			r_off += (size_t)got;
			l_off += (size_t)got;
			if (l_off == local[l].iov_len) {
				l++;
				l_off = 0;
			}
		}
	}
	return total;
}

static bool open_mem(struct process_memory *pm)
{
	char path[64];

	if (pm->mem < 0) {
		snprintf(path, sizeof(path), "/proc/%d/mem", pm->pid);
		pm->mem = open(path, O_RDONLY | O_CLOEXEC);
	}
	return pm->mem >= 0;
}

/* Whether every page was the process's alone when its state was asked for last. */
static bool all_exclusive(const struct process_memory *pm, const struct iovec *remote, size_t cnt)
{
	for (size_t i = 0; i < cnt; i++) {
		uint64_t start = (uintptr_t)remote[i].iov_base, end = start + remote[i].iov_len;

		if (start < pm->seen_start || end > pm->seen_end || end < start)
			return false;
		for (uint64_t page = start & ~(TARGET_PAGE_SIZE - 1); page < end; page += TARGET_PAGE_SIZE)
			if (!(pm->seen[(page - pm->seen_start) / TARGET_PAGE_SIZE] & PAGE_EXCLUSIVE))
				return false;
	}
	return true;
}

static ssize_t process_readv(struct memory *mem, const struct iovec *local, size_t local_cnt,
			     const struct iovec *remote, size_t remote_cnt)
{
	struct process_memory *pm = (struct process_memory *)mem;
	ssize_t got;

	if ((pm->refused || !all_exclusive(pm, remote, remote_cnt)) && open_mem(pm))
		return read_by_file(pm, local, local_cnt, remote, remote_cnt);
	got = process_vm_readv(pm->pid, local, local_cnt, remote, remote_cnt, 0);
	if (got >= 0)
		return got;
	/* A seccomp profile may refuse us the call and leave us the file. */
	if ((errno != EPERM && errno != ENOSYS) || !open_mem(pm))
		return -errno;
	pm->refused = true;
	return read_by_file(pm, local, local_cnt, remote, remote_cnt);
}

static void remember(struct process_memory *pm, uint64_t start, uint64_t end, const uint8_t *state)
{
	size_t cnt = (end - start) / TARGET_PAGE_SIZE;

	pm->seen_start = start;
	pm->seen_end = cnt <= SEEN_MAX ? end : start;
	if (cnt <= SEEN_MAX)
		memcpy(pm->seen, state, cnt);
}

/* Marks the pages of [start, end) that map the zero page, small or huge. */
static void mark_zero(struct process_memory *pm, uint64_t start, uint64_t end, uint8_t *state)
{
	struct scan_region regions[REGIONS];
	struct scan_arg arg = {
		.size = sizeof(arg),
		.start = start,
		.end = end,
		.vec = (uintptr_t)regions,
		.vec_len = REGIONS,
		.category_mask = SCAN_ZERO,
		.return_mask = SCAN_ZERO,
	};

	while (arg.start < end) {
		int cnt = ioctl(pm->pagemap, SCAN_IOCTL, &arg);

		if (cnt < 0)
			return;
		for (int i = 0; i < cnt; i++)
			for (uint64_t p = regions[i].start; p < regions[i].end; p += TARGET_PAGE_SIZE)
				state[(p - start) / TARGET_PAGE_SIZE] = PAGE_ZERO;
		if (arg.walk_end <= arg.start)
			return;
		arg.start = arg.walk_end;
	}
}

static bool is_zero_frame(const struct process_memory *pm, uint64_t frame)
{
	if (pm->zero_frame && frame == pm->zero_frame)
		return true;
	return pm->huge_zero_frame && frame - pm->huge_zero_frame < HUGE_PAGES;
}

static uint8_t state_of(const struct process_memory *pm, uint64_t entry)
{
	if (entry & PM_PRESENT) {
		if (is_zero_frame(pm, entry & PM_FRAME))
			return PAGE_ZERO;
		return entry & PM_EXCLUSIVE ? PAGE_PRESENT | PAGE_EXCLUSIVE : PAGE_PRESENT;
	}
	return entry & PM_SWAP ? PAGE_SWAPPED : 0;
}

static int process_pages(struct memory *mem, uint64_t start, uint64_t end, uint8_t *state)
{
	struct process_memory *pm = (struct process_memory *)mem;
	size_t cnt = (end - start) / TARGET_PAGE_SIZE, done = 0;
	bool present = false;

	while (done < cnt) {
		uint64_t entries[BATCH];
		size_t want = cnt - done < BATCH ? cnt - done : BATCH;
		ssize_t got = pread(pm->pagemap, entries, want * sizeof(*entries),
				    (off_t)((start / TARGET_PAGE_SIZE + done) * sizeof(*entries)));

		if (got < 0)
			return -errno;
		if (got < (ssize_t)sizeof(*entries)) { /* beyond the address space, or the process has ended */
			memset(state + done, 0, cnt - done);
			break;
		}
		for (size_t i = 0; i < (size_t)got / sizeof(*entries); i++) {
			state[done] = state_of(pm, entries[i]);
			present |= state[done++] & PAGE_PRESENT;
		}
	}
	if (present && pm->scans)
		mark_zero(pm, start, end, state);
	remember(pm, start, end, state);
	return 0;
}

static int process_maps(struct memory *mem, struct maps *maps, struct error *err)
{
	return maps_read(((struct process_memory *)mem)->pid, maps, err);
}

static void process_memory_free(struct memory *mem)
{
	struct process_memory *pm = (struct process_memory *)mem;

	close(pm->pagemap);
	if (pm->mem >= 0)
		close(pm->mem);
	free(pm);
}

static const struct memory_ops process_ops = {
	.readv = process_readv,
	.pages = process_pages,
	.maps = process_maps,
	.free = process_memory_free,
};

/* The frame that a page of ours maps once it was only read; 0 where frames are hidden. */
static uint64_t frame_after_read(int pagemap, const volatile char *page)
{
	uint64_t entry;

	(void)*page;
	if (pread(pagemap, &entry, sizeof(entry), (off_t)((uintptr_t)page / TARGET_PAGE_SIZE * 8)) != 8)
		return 0;
	return entry & PM_PRESENT ? entry & PM_FRAME : 0;
}

/*
 * The frames of the kernel's zero pages: what pages of ours map that were only read. The huge one,
 * if there is one, is the same in two places; it stays while we live (mm/huge_memory.c,
 * mm_get_huge_zero_page).
 */
static void find_zero_frames(struct process_memory *pm)
{
	size_t len = 4 * HUGE_SIZE;
	char *area = mmap(NULL, len, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	char *huge = (char *)(((uintptr_t)area + 2 * HUGE_SIZE - 1) & ~(HUGE_SIZE - 1));
	uint64_t frame;

	if (area == MAP_FAILED || fd < 0)
		goto out;
	madvise(area, TARGET_PAGE_SIZE, MADV_NOHUGEPAGE);
	pm->zero_frame = frame_after_read(fd, area);
	madvise(huge, 2 * HUGE_SIZE, MADV_HUGEPAGE);
	frame = frame_after_read(fd, huge);
	if (frame != pm->zero_frame && frame == frame_after_read(fd, huge + HUGE_SIZE))
		pm->huge_zero_frame = frame;
out:
	if (fd >= 0)
		close(fd);
	if (area != MAP_FAILED)
		munmap(area, len);
}

static bool can_scan(int pagemap)
{
	struct scan_region region;
	struct scan_arg arg = {
		.size = sizeof(arg),
		.vec = (uintptr_t)&region,
		.vec_len = 1,
		.category_mask = SCAN_ZERO,
		.return_mask = SCAN_ZERO,
	};

	return ioctl(pagemap, SCAN_IOCTL, &arg) >= 0;
}

int memory_open_process(pid_t pid, struct memory **mem, struct error *err)
{
	struct process_memory *pm = calloc(1, sizeof(*pm));
	char path[64];
	int rc;

	if (!pm)
		return error_set(err, -ENOMEM, "no memory to read process %d", pid);
	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	pm->pagemap = open(path, O_RDONLY | O_CLOEXEC);
	if (pm->pagemap < 0) {
		rc = errno == ENOENT ? -ESRCH : -errno;
		free(pm);
		return error_set(err, rc, "cannot read the memory of process %d: %s%s", pid, strerror(-rc),
				 rc == -ESRCH ? "" : "; run as root, or as the process's own user");
	}
	pm->base.ops = &process_ops;
	pm->pid = pid;
	pm->mem = -1;
	find_zero_frames(pm);
	pm->scans = can_scan(pm->pagemap);
	*mem = &pm->base;
	return 0;
}
