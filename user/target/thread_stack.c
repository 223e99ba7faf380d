#include "target/thread_stack.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#include "base/units.h"

#define DESCRIPTOR_MAX 4096 /* of struct pthread that is looked through: it has 2304 bytes in 2.36 */
#define STACK_MAX (64 * GIB)
#define GAP MIB /* that the kernel keeps below a stack that grows (stack_guard_gap, mm/mmap.c) */

/* The soft limit of "Max stack size", bytes. */
static uint64_t stack_limit(pid_t pid)
{
	unsigned long long limit = 0;
	char path[64], line[160];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/limits", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, "Max stack size", 14))
			continue;
		if (sscanf(line + 14, "%llu", &limit) != 1)
			limit = STACK_MAX; /* "unlimited" */
		break;
	}
	if (f)
		fclose(f);
	return limit;
}

/* The main thread's, which grows as it is used. */
static void main_stack(pid_t pid, const struct maps *maps, const struct mapping *m,
		       struct thread_stack *stack)
{
	uint64_t limit = stack_limit(pid), below = m > maps->v ? m[-1].end + GAP : 0;

	stack->high = m->end;
	stack->low = m->end > limit ? m->end - limit : 0;
	if (stack->low < below)
		stack->low = below;
	if (stack->low > m->start)
		stack->low = m->start;
}

/* block, size, guard: the stack is a block that holds both the stack pointer and, at its top, the descriptor.
 */
static bool fits(const uint64_t v[3], uint64_t sp, uint64_t fs_base)
{
	uint64_t block = v[0], size = v[1], guard = v[2];

	return size <= STACK_MAX && guard < size && sp >= block + guard && sp - block < size &&
	       fs_base > sp && fs_base - block < size;
}

int thread_stack_find(pid_t pid, const struct maps *maps, uint64_t sp, uint64_t fs_base,
		      struct thread_stack *stack)
{
	const struct mapping *m = maps_find(maps, sp), *own = maps_find(maps, fs_base);
	uint64_t words[DESCRIPTOR_MAX / sizeof(uint64_t)];
	struct iovec local = {words, sizeof(words)}, remote = {(void *)fs_base, sizeof(words)};
	ssize_t got;

	if (!m || !m->write)
		return -ENOENT;
	if (!strcmp(m->name, "[stack]")) {
		main_stack(pid, maps, m, stack);
		return 0;
	}
	if (!own || fs_base % sizeof(uint64_t))
		return -ENOENT;
	if (own->end - fs_base < remote.iov_len)
		remote.iov_len = own->end - fs_base;
	got = process_vm_readv(pid, &local, 1, &remote, 1, 0);
	for (ssize_t i = 0; got > 0 && i + 3 <= got / (ssize_t)sizeof(words[0]); i++) {
		if (!fits(words + i, sp, fs_base))
			continue;
		stack->low = words[i] + words[i + 2];
		stack->high = fs_base;
		return 0;
	}
	return -ENOENT;
}
