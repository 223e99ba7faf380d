#include "probe/arrival.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static bool lies_in(const struct mapping *m, uint64_t offset)
{
	return offset >= m->offset && offset - m->offset < m->end - m->start;
}

/* −1: it cannot be said. */
static int differs_at(int mem, const struct object *obj, const struct mapping *m, uint64_t offset)
{
	uint8_t runs, written;

	if (pread(mem, &runs, 1, (off_t)(m->start + offset - m->offset)) != 1 ||
	    object_read(obj, offset, &written, 1) != 1)
		return -1;
	return runs != written;
}

bool arrival_in(pid_t pid, const struct object *obj, const struct plan *plan, const struct mapping *m)
{
	bool arrived = true;
	char path[32];
	int mem;

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	mem = open(path, O_RDONLY | O_CLOEXEC);
	if (mem < 0)
		return true;
	for (size_t i = 0; i < plan->cnt; i++) {
		uint64_t offset = plan->v[i].at.offset;

		if (!lies_in(m, offset))
			continue;
		arrived = differs_at(mem, obj, m, offset) != 0;
		if (arrived)
			break;
	}
	close(mem);
	return arrived;
}
