/* Where threads have their stacks and their errno: a child that knows. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "target/errno_place.h"
#include "target/objects.h"
#include "target/sigreturn.h"
#include "target/thread_stack.h"

/* What a thread says of itself; all of it in our own process, which is read as any other is. */
struct place {
	uint64_t sp, pointer, low, high, errno_at;
};

static pthread_barrier_t seen, done;

static void look(struct place *p)
{
	pthread_attr_t attr;
	size_t size;
	void *low;

	pthread_getattr_np(pthread_self(), &attr);
	pthread_attr_getstack(&attr, &low, &size);
	p->low = (uintptr_t)low;
	p->high = p->low + size;
	p->sp = (uintptr_t)__builtin_frame_address(0);
	__asm__("movq %%fs:0, %0" : "=r"(p->pointer));
	p->errno_at = (uintptr_t)&errno;
	pthread_attr_destroy(&attr);
}

static void *run(void *arg)
{
	look(arg);
	pthread_barrier_wait(&seen);
	pthread_barrier_wait(&done);
	return NULL;
}

static void start(pthread_t *thread, const pthread_attr_t *attr, struct place *p)
{
	pthread_barrier_init(&seen, NULL, 2);
	pthread_barrier_init(&done, NULL, 2);
	assert_int_equal(pthread_create(thread, attr, run, p), 0);
	pthread_barrier_wait(&seen);
}

static void finish(pthread_t thread)
{
	pthread_barrier_wait(&done);
	pthread_join(thread, NULL);
}

static void check_stack(const struct place *p)
{
	struct thread_stack stack;
	struct maps maps;

	assert_int_equal(maps_read(getpid(), &maps, NULL), 0);
	assert_int_equal(thread_stack_find(getpid(), &maps, p->sp, p->pointer, &stack), 0);
	assert_int_equal(stack.low, p->low);
	assert_true(stack.high > p->sp && stack.high <= p->high);
	maps_free(&maps);
}

static void stacks_of_threads(void **state)
{
	pthread_attr_t attr;
	pthread_t thread;
	struct place p;

	(void)state;
	start(&thread, NULL, &p);
	check_stack(&p);
	finish(thread);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 128 << 10);
	pthread_attr_setguardsize(&attr, 0);
	start(&thread, &attr, &p);
	check_stack(&p);
	finish(thread);
	pthread_attr_destroy(&attr);
}

/* In a block of the program's own, with its data below. */
static void a_stack_that_was_given(void **state)
{
	char *block = aligned_alloc(4096, 512 << 10);
	pthread_attr_t attr;
	pthread_t thread;
	struct place p;

	(void)state;
	memset(block, 1, 512 << 10);
	pthread_attr_init(&attr);
	assert_int_equal(pthread_attr_setstack(&attr, block + (128 << 10), 256 << 10), 0);
	start(&thread, &attr, &p);
	assert_int_equal(p.low, (uintptr_t)block + (128 << 10));
	check_stack(&p);
	finish(thread);
	pthread_attr_destroy(&attr);
	free(block);
}

static void the_main_threads_stack(void **state)
{
	struct thread_stack stack;
	struct maps maps;
	struct place p;

	(void)state;
	look(&p);
	assert_int_equal(maps_read(getpid(), &maps, NULL), 0);
	assert_int_equal(thread_stack_find(getpid(), &maps, p.sp, p.pointer, &stack), 0);
	assert_true(stack.low + (64 << 10) < p.sp && stack.low >= p.low - 4096 && stack.high > p.sp);
	maps_free(&maps);
}

static void a_coroutines_is_not_known(void **state)
{
	char *block = malloc(64 << 10);
	struct thread_stack stack;
	struct maps maps;
	struct place p;

	(void)state;
	memset(block, 0, 64 << 10);
	look(&p);
	assert_int_equal(maps_read(getpid(), &maps, NULL), 0);
	assert_int_equal(thread_stack_find(getpid(), &maps, (uintptr_t)block + (32 << 10), p.pointer, &stack),
			 -ENOENT);
	assert_int_equal(thread_stack_find(getpid(), &maps, p.sp + (1ULL << 46), p.pointer, &stack), -ENOENT);
	assert_int_equal(thread_stack_find(getpid(), &maps, (uintptr_t)block, 0, &stack), -ENOENT);
	maps_free(&maps);
	free(block);
}

static void errno_is_found(void **state)
{
	struct objects *objects = objects_new(getpid());
	int64_t distance = 0;
	bool found = false;
	struct maps maps;
	struct place p, other;
	pthread_t thread;

	(void)state;
	look(&p);
	start(&thread, NULL, &other);
	assert_int_equal(maps_read(getpid(), &maps, NULL), 0);
	for (size_t i = 0; i < maps.cnt && !found; i++) {
		struct object *obj = maps.v[i].exec ? objects_get(objects, &maps.v[i]) : NULL;

		found = obj && errno_place_find(getpid(), obj, &maps.v[i], &distance) == 0;
	}
	assert_true(found);
	assert_int_equal(p.pointer + (uint64_t)distance, p.errno_at);
	assert_int_equal(other.pointer + (uint64_t)distance, other.errno_at);
	finish(thread);
	maps_free(&maps);
	objects_free(objects);
}

static void code_that_returns_from_signals(void **state)
{
	static const uint8_t expected[SIGRETURN_LEN] = {0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05};
	struct objects *objects = objects_new(getpid());
	uint64_t addr = 0;
	struct maps maps;

	(void)state;
	assert_int_equal(maps_read(getpid(), &maps, NULL), 0);
	for (size_t i = 0; i < maps.cnt && !addr; i++) {
		struct object *obj = maps.v[i].exec ? objects_get(objects, &maps.v[i]) : NULL;

		addr = obj ? sigreturn_find(obj, &maps.v[i]) : 0;
	}
	assert_int_not_equal(addr, 0);
	assert_memory_equal((const void *)addr, expected, sizeof(expected));
	maps_free(&maps);
	objects_free(objects);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stacks_of_threads),      cmocka_unit_test(a_stack_that_was_given),
		cmocka_unit_test(the_main_threads_stack), cmocka_unit_test(a_coroutines_is_not_known),
		cmocka_unit_test(errno_is_found),         cmocka_unit_test(code_that_returns_from_signals),
	};

	return cmocka_run_group_tests_name("thread place", tests, NULL, NULL);
}
