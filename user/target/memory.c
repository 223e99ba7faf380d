/* What every view of an address space shares: counting, and the calls through its ops. */
#include "target/memory.h"

#include <errno.h>

ssize_t memory_readv(struct memory *mem, const struct iovec *local, size_t local_cnt, const struct iovec *remote,
		     size_t remote_cnt)
{
	ssize_t got = mem->ops->readv(mem, local, local_cnt, remote, remote_cnt);

	mem->reads++;
	if (got > 0)
		mem->bytes_read += (uint64_t)got;
	return got;
}

ssize_t memory_read(struct memory *mem, uint64_t addr, void *buf, size_t len)
{
	struct iovec local = {buf, len}, remote = {(void *)addr, len};

	return memory_readv(mem, &local, 1, &remote, 1);
}

int memory_pages(struct memory *mem, uint64_t start, uint64_t end, uint8_t *state)
{
	if ((start | end) & (TARGET_PAGE_SIZE - 1) || start > end)
		return -EINVAL;
	return mem->ops->pages(mem, start, end, state);
}

int memory_maps(struct memory *mem, struct maps *maps, struct error *err)
{
	return mem->ops->maps(mem, maps, err);
}

void memory_free(struct memory *mem)
{
	if (mem)
		mem->ops->free(mem);
}
