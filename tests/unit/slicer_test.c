/*
 * The slicer on children of ours, as root: at a made-up pace (this file's pace_next stands for budget/pace.c)
 * it switches their probes again and again. What is recorded of a cell has no gap, and nothing is left in a
 * child.
 */
#include <dlfcn.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/units.h"
#include "budget/pace.h"
#include "probe/tracer.h"

#define CELLS 100
#define ON_NS 3000000
#define OFF_NS 5000000
#define QUOTA 200           /* a few tenths of a millisecond */
#define SIZE_MAX_ (1 << 20) /* sizes are numbers: 1 … this, and again */
#define KEPT 8              /* blocks, of which the oldest is freed */
#define THREADS 8
#define LIMIT_NS (60 * NSEC_PER_SEC)

/* The made-up pace: on, off, on, on, off. */

struct pace {
	unsigned steps;
};

static uint64_t quota = UINT32_MAX;

struct pace *pace_new(const struct pace_options *options, const struct pace_reading *begin)
{
	(void)options;
	(void)begin;
	return calloc(1, sizeof(struct pace));
}

void pace_free(struct pace *pace)
{
	free(pace);
}

void pace_share(struct pace *pace, double max_share, double core_share)
{
	(void)pace;
	(void)max_share;
	(void)core_share;
}

struct pace_step pace_next(struct pace *pace, const struct pace_reading *now)
{
	static const bool on[] = {true, false, true, true, false};
	bool is_on = on[pace->steps++ % (sizeof(on) / sizeof(on[0]))];

	(void)now;
	return (struct pace_step){
		.on = is_on, .chance = 0.5, .length_ns = is_on ? ON_NS : OFF_NS, .quota = quota};
}

void pace_begun(struct pace *pace, const struct pace_reading *now)
{
	(void)pace;
	(void)now;
}

struct progress pace_progress(const struct pace *pace, const struct pace_reading *from,
			      const struct pace_reading *to)
{
	(void)pace;
	return (struct progress){.own = to->cpu_ns - from->cpu_ns};
}

double pace_hits(const struct pace *pace)
{
	(void)pace;
	return 0;
}

void pace_view(const struct pace *pace, const struct pace_reading *now, struct pace_view *view)
{
	(void)pace;
	(void)now;
	*view = (struct pace_view){0};
}

/* Children; they share this page with us. */

static struct shared {
	atomic_bool stop, load, loaded;
	atomic_ulong calls, wrong;
} * shared;

static void number_blocks(void)
{
	void *kept[KEPT] = {NULL};

	for (uint64_t number = 0; !shared->stop; number++) {
		free(kept[number % KEPT]);
		kept[number % KEPT] = malloc(1 + number % SIZE_MAX_);
		shared->calls++;
	}
}

static void *check_blocks(void *arg)
{
	unsigned char mark = (unsigned char)(uintptr_t)arg, *block = NULL;
	size_t size = 0;

	for (uint64_t i = 0; !shared->stop; i++) {
		for (size_t k = 0; k < size; k++)
			shared->wrong += block[k] != mark;
		size = 1 + i % 200;
		block = i % 3 ? realloc(block, size) : (free(block), malloc(size));
		if (!block)
			abort();
		memset(block, mark, size);
		shared->calls++;
	}
	free(block);
	return NULL;
}

static void check_on_threads(void)
{
	pthread_t threads[THREADS];

	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, check_blocks, (void *)(i + 1));
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static const char *allocator(void)
{
	static const char *const names[] = {"libmimalloc.so.2", "libmimalloc.so.3", "libmimalloc.so"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		void *handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);

		if (handle) {
			dlclose(handle);
			return names[i];
		}
	}
	return NULL;
}

/* Numbers blocks of an allocator that comes while its probes go on and off. */
static void load_and_number(void)
{
	const char *name = allocator();
	void *(*allocate)(size_t) = NULL;
	void (*give_back)(void *) = NULL;
	void *handle;

	while (!shared->load) {
		free(malloc(1));
		shared->calls++;
	}
	handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
	*(void **)&allocate = dlsym(handle, "mi_malloc");
	*(void **)&give_back = dlsym(handle, "mi_free");
	shared->loaded = true;
	for (uint64_t number = 0; !shared->stop; number++) {
		give_back(allocate(1 + number % SIZE_MAX_));
		shared->calls++;
	}
}

static pid_t child_of(void (*work)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		work();
		_exit(0);
	}
	return pid;
}

/* The C library's code, which is at the same place in a child that we have forked. */
static void assert_text_is_ours(pid_t pid)
{
	char line[512], path[32];
	FILE *maps = fopen("/proc/self/maps", "r"), *memory;
	unsigned long start = 0, end = 0;
	unsigned char *theirs;

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps) && !(strstr(line, "r-xp") && strstr(line, "/libc.so")))
		;
	fclose(maps);
	assert_int_equal(sscanf(line, "%lx-%lx", &start, &end), 2);
	theirs = malloc(end - start);
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	memory = fopen(path, "r");
	assert_non_null(memory);
	setvbuf(memory, NULL, _IONBF, 0);
	assert_int_equal(fseek(memory, (long)start, SEEK_SET), 0);
	assert_int_equal(fread(theirs, 1, end - start, memory), end - start);
	fclose(memory);
	assert_memory_equal(theirs, (void *)start, end - start);
	free(theirs);
}

/* What is seen of cells. */

struct seen {
	pid_t pid;
	unsigned cells, cut, filled, gaps, outside, unpaired, of_loaded;
	bool open, ended_lately;
	uint64_t number;     /* of the last block in the cell; 0: none yet */
	uint32_t kind;       /* of the last event in it: frees and allocations alternate */
	uint64_t before;     /* of the last cell */
	uint64_t addr[KEPT]; /* of blocks, by number; 0: not seen in this cell */
	const struct tracer *tracer;
};

static struct seen seen;

static void take_cell(const struct event_cell *cell)
{
	if (cell->state == CELL_BEGIN) {
		assert_false(seen.open);
		assert_true(cell->number > seen.before);
		seen.before = cell->number;
		seen.number = 0;
		seen.kind = EVENT_CELL;
		memset(seen.addr, 0, sizeof(seen.addr));
		seen.cells++;
	} else {
		assert_true(seen.open && cell->number == seen.before);
		seen.cut += cell->state == CELL_CUT;
		seen.filled += seen.number != 0;
		seen.ended_lately = true;
	}
	seen.open = cell->state == CELL_BEGIN;
}

/* The one call in flight when the gate closes may end later. */
static bool is_outside(void)
{
	bool outside = !seen.open && !seen.ended_lately;

	seen.ended_lately = false;
	return outside;
}

static void take_block(const struct event_block *block)
{
	uint64_t next = seen.number % SIZE_MAX_ + 1;

	if (!seen.open) {
		seen.outside += is_outside();
		return;
	}
	seen.gaps += seen.number && block->size != next;
	seen.number = block->size;
	seen.addr[block->size % KEPT] = block->addr;
}

static void take_free(const struct event_block *block)
{
	uint64_t oldest = seen.number ? seen.addr[(seen.number + 1) % KEPT] : 0;

	seen.outside += !seen.open;
	seen.unpaired += seen.open && oldest && block->addr != oldest;
}

static void take_event(const struct event *ev, void *arg)
{
	const struct traced_function *fn;

	(void)arg;
	if ((pid_t)ev->head->tgid != seen.pid)
		return;
	if (ev->head->kind == EVENT_CELL) {
		take_cell(ev->cell);
		return;
	}
	if (ev->head->kind != EVENT_ALLOC && ev->head->kind != EVENT_FREE)
		return;
	seen.gaps += seen.open && ev->head->kind == seen.kind;
	seen.kind = ev->head->kind;
	fn = ev->head->kind == EVENT_ALLOC ? tracer_function(seen.tracer, ev->head->func) : NULL;
	seen.of_loaded += fn && strstr(fn->object, "mimalloc") != NULL;
	if (ev->head->kind == EVENT_ALLOC)
		take_block(ev->block);
	else if (ev->head->kind == EVENT_FREE)
		take_free(ev->block);
}

static void poll_once(struct tracer *tracer)
{
	struct pollfd fd = {.fd = tracer_fd(tracer), .events = POLLIN};

	poll(&fd, 1, 100);
	assert_true(tracer_poll(tracer, take_event, NULL) >= 0);
}

static struct tracer *attach(pid_t pid)
{
	static const struct log log = {.out = NULL};
	const struct tracer_options options = {.allocs = true, .size_max = UINT64_MAX, .max_overhead = 0.1};
	struct error err = {.text = ""};
	struct tracer *tracer;

	while (shared->calls <= KEPT) /* from then on each allocation follows a free */
		usleep(1000);
	assert_int_equal(tracer_open(&log, &options, &tracer, &err), 0);
	seen = (struct seen){.pid = pid, .tracer = tracer};
	if (tracer_attach(tracer, pid, &err))
		fail_msg("%s", err.text);
	return tracer;
}

/* Until that of what is seen has come to so many. On a busy machine the child has no CPU in many a cell. */
static void run_until(struct tracer *tracer, const unsigned *cnt, unsigned until)
{
	uint64_t end = clock_monotonic_ns() + LIMIT_NS;

	while (*cnt < until && clock_monotonic_ns() < end)
		poll_once(tracer);
	assert_true(*cnt >= until);
}

/* Its probes are gone, it goes on, and ends well. */
static void finish(struct tracer *tracer, pid_t pid)
{
	unsigned long calls;
	int status;

	tracer_free(tracer);
	assert_text_is_ours(pid);
	calls = shared->calls;
	while (shared->calls == calls)
		usleep(1000);
	shared->stop = true;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(shared->wrong, 0);
}

static void assert_nothing_lost(struct tracer *tracer)
{
	uint64_t lost[SOURCE_LOSS_CNT];

	tracer_losses(tracer, lost);
	assert_int_equal(lost[LOSS_RING_FULL], 0);
	assert_int_equal(lost[SOURCE_LOSS_PROBES], 0);
}

static void a_cell_has_no_gap(void **state)
{
	pid_t pid = child_of(number_blocks);
	struct tracer *tracer = attach(pid);

	(void)state;
	run_until(tracer, &seen.filled, CELLS);
	assert_nothing_lost(tracer);
	assert_int_equal(seen.gaps, 0);
	assert_int_equal(seen.unpaired, 0);
	assert_int_equal(seen.outside, 0);
	finish(tracer, pid);
}

static void a_cell_that_is_cut_has_none(void **state)
{
	pid_t pid = child_of(number_blocks);
	struct tracer *tracer;

	(void)state;
	quota = QUOTA;
	tracer = attach(pid);
	run_until(tracer, &seen.cut, CELLS / 2);
	quota = UINT32_MAX;
	assert_int_equal(seen.gaps, 0);
	assert_int_equal(seen.unpaired, 0);
	assert_int_equal(seen.outside, 0);
	finish(tracer, pid);
}

static void threads_are_unharmed(void **state)
{
	pid_t pid = child_of(check_on_threads);
	struct tracer *tracer = attach(pid);

	(void)state;
	run_until(tracer, &seen.cells, CELLS);
	assert_nothing_lost(tracer);
	finish(tracer, pid);
}

static void what_is_loaded_meanwhile_is_seen(void **state)
{
	pid_t pid;
	struct tracer *tracer;
	unsigned before, cells;
	uint64_t end = clock_monotonic_ns() + LIMIT_NS;

	(void)state;
	if (!allocator())
		skip();
	pid = child_of(load_and_number);
	tracer = attach(pid);
	run_until(tracer, &seen.cells, 4);
	shared->load = true;
	while (!shared->loaded)
		poll_once(tracer);
	while (!seen.of_loaded && clock_monotonic_ns() < end)
		poll_once(tracer);
	/* And in cells from then on. */
	before = seen.of_loaded;
	cells = seen.cells;
	run_until(tracer, &seen.cells, cells + 10);
	assert_true(before && seen.of_loaded > before);
	finish(tracer, pid);
}

/* It ends, or is detached from, at any moment of a switch. */
static void it_may_end_at_any_time(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		pid_t pid = child_of(number_blocks);
		struct tracer *tracer = attach(pid);
		uint64_t end = clock_monotonic_ns() + i * NSEC_PER_SEC / 1000;

		while (clock_monotonic_ns() < end)
			poll_once(tracer);
		if (i % 2)
			kill(pid, SIGKILL);
		tracer_detach(tracer, pid);
		tracer_free(tracer);
		if (i % 2 == 0) {
			assert_text_is_ours(pid);
			kill(pid, SIGKILL);
		}
		assert_int_equal(waitpid(pid, NULL, 0), pid);
	}
}

static int set_up(void **state)
{
	(void)state;
	memset(shared, 0, sizeof(*shared));
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_cell_has_no_gap, set_up),
		cmocka_unit_test_setup(a_cell_that_is_cut_has_none, set_up),
		cmocka_unit_test_setup(threads_are_unharmed, set_up),
		cmocka_unit_test_setup(what_is_loaded_meanwhile_is_seen, set_up),
		cmocka_unit_test_setup(it_may_end_at_any_time, set_up),
	};

	if (geteuid()) {
		printf("skipped: probes are placed by root only\n");
		return 0;
	}
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
