/*
 * An allocator that nobody knows: blocks from one mapping, never used again. Under a prefix
 * (-DPREFIX=pool_) it stands beside the C library's, without one it takes its place.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#ifndef PREFIX
#define PREFIX
#endif
#define JOIN_(a, b) a##b
#define JOIN(a, b)  JOIN_(a, b)
#define NAME(name)  JOIN(PREFIX, name)

#define POOL (4UL << 30) /* address space; what is touched is memory */

void *NAME(malloc)(size_t size);
void NAME(free)(void *ptr);
void *NAME(calloc)(size_t cnt, size_t size);
void *NAME(realloc)(void *ptr, size_t size);
void *NAME(memalign)(size_t alignment, size_t size);
int NAME(posix_memalign)(void **ptr, size_t alignment, size_t size);

static _Atomic(char *) start;
static atomic_size_t used;

/* The size stands before the block. */
void *NAME(memalign)(size_t alignment, size_t size)
{
	size_t room = size + alignment + sizeof(size_t), at;
	char *pool = start, *none = NULL;
	uintptr_t block;

	if (!pool) {
		pool = mmap(NULL, POOL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (pool == MAP_FAILED)
			return NULL;
		if (!atomic_compare_exchange_strong(&start, &none, pool)) {
			munmap(pool, POOL);
			pool = none;
		}
	}
	at = room < size ? POOL : atomic_fetch_add(&used, room);
	if (at >= POOL || POOL - at < room) {
		errno = ENOMEM;
		return NULL;
	}
	block = ((uintptr_t)pool + at + sizeof(size_t) + alignment - 1) & ~(alignment - 1);
	((size_t *)block)[-1] = size;
	return (void *)block;
}

void *NAME(malloc)(size_t size)
{
	return NAME(memalign)(16, size);
}

void NAME(free)(void *ptr)
{
	if (ptr)
		((size_t *)ptr)[-1] = 0;
}

void *NAME(calloc)(size_t cnt, size_t size)
{
	size_t sum;

	return __builtin_mul_overflow(cnt, size, &sum) ? NULL : NAME(malloc)(sum);
}

void *NAME(realloc)(void *ptr, size_t size)
{
	void *block = NAME(malloc)(size);

	if (ptr && block) {
		size_t old = ((size_t *)ptr)[-1];

		memcpy(block, ptr, old < size ? old : size);
		NAME(free)(ptr);
	}
	return block;
}

int NAME(posix_memalign)(void **ptr, size_t alignment, size_t size)
{
	*ptr = NAME(memalign)(alignment, size);
	return *ptr ? 0 : ENOMEM;
}
