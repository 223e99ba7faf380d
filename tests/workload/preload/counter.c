/*
 * Preloaded before the C library: counts what the process asks of the allocator, call by call
 * and byte by byte, whoever in it asks. The process says itself when it is to be looked at, by
 * counter_rest().
 *
 * A block is known from the moment it is got to the moment before it is given back, by the
 * size that was asked for: another thread may get it at once.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROW_CNT (1UL << 22)

/* The same functions, by the names that nobody interposes. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t cnt, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

void counter_rest(void);

/* An address that has once been a block keeps its row. */
struct row {
	void *block;
	size_t size;
	unsigned round; /* the block is of this round; 0: of none, it has been given back */
};

static struct row rows[ROW_CNT];
static unsigned round = 1;

static struct {
	unsigned long allocs, frees, freed_before, failed;
	unsigned long long allocated, freed;
} counts;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct row *row_of(void *block)
{
	uint64_t at = (uintptr_t)block * 0x9e3779b97f4a7c15 >> 32;

	for (unsigned long i = 0; i < ROW_CNT; i++) {
		struct row *row = &rows[(at + i) % ROW_CNT];

		if (!row->block)
			row->block = block;
		if (row->block == block)
			return row;
	}
	abort();
}

static void *got(void *block, size_t size)
{
	pthread_mutex_lock(&lock);
	if (block) {
		counts.allocs++;
		counts.allocated += size;
		*row_of(block) = (struct row){block, size, round};
	} else {
		counts.failed++;
	}
	pthread_mutex_unlock(&lock);
	return block;
}

static struct row take(void *block)
{
	struct row *row, taken;

	pthread_mutex_lock(&lock);
	row = row_of(block);
	taken = *row;
	row->round = 0;
	pthread_mutex_unlock(&lock);
	return taken;
}

static void put_back(const struct row *taken)
{
	pthread_mutex_lock(&lock);
	*row_of(taken->block) = *taken;
	pthread_mutex_unlock(&lock);
}

static void gone(const struct row *taken)
{
	pthread_mutex_lock(&lock);
	counts.frees++;
	if (taken->round == round)
		counts.freed += taken->size;
	else
		counts.freed_before++;
	pthread_mutex_unlock(&lock);
}

void *malloc(size_t size)
{
	return got(__libc_malloc(size), size);
}

void *calloc(size_t cnt, size_t size)
{
	return got(__libc_calloc(cnt, size), cnt * size);
}

void free(void *block)
{
	struct row taken;

	if (!block)
		return;
	taken = take(block);
	gone(&taken);
	__libc_free(block);
}

/* Of nothing, it allocates; to nothing, it frees; what fails leaves the old block. */
void *realloc(void *old, size_t size)
{
	bool frees = old && !size;
	struct row taken;
	void *block;

	if (old)
		taken = take(old);
	block = __libc_realloc(old, size);
	if (old && (block || frees))
		gone(&taken);
	else if (old)
		put_back(&taken);
	return block || !frees ? got(block, size) : NULL;
}

void *memalign(size_t alignment, size_t size)
{
	return got(__libc_memalign(alignment, size), size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
	void *aligned;

	if (!alignment || alignment % sizeof(void *) || alignment & (alignment - 1))
		return EINVAL;
	aligned = memalign(alignment, size);
	if (!aligned)
		return ENOMEM;
	*block = aligned;
	return 0;
}

/* Until this is the only thread: one that was joined may still be giving back what it had. */
static void be_alone(void)
{
	struct stat tasks;

	while (stat("/proc/self/task", &tasks) == 0 && tasks.st_nlink > 3)
		sched_yield();
}

/*
 * The end of a round: prints its counts as JSON and waits for a line. From before the first
 * byte is out until after the line has come, nothing calls the allocator.
 */
void counter_rest(void)
{
	char line[256], c;
	int len;

	be_alone();
	len = snprintf(line, sizeof(line),
		       "{\"allocs\": %lu, \"frees\": %lu, \"freed_before\": %lu, \"failed\": %lu, "
		       "\"allocated\": %llu, \"freed\": %llu}\n",
		       counts.allocs, counts.frees, counts.freed_before, counts.failed, counts.allocated,
		       counts.freed);
	counts = (typeof(counts)){0};
	round++;
	if (write(STDOUT_FILENO, line, (size_t)len) != len)
		_exit(1);
	while (read(STDIN_FILENO, &c, 1) == 1 && c != '\n')
		;
}
