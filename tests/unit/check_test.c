/*
 * Memory, arenas and growth, with facts made up: one set that makes a check speak, and one next to it that
 * does not.
 */
#include "check_scene.h"

static void a_healthy_process_passes(void **state)
{
	(void)state;
	check_all(&facts, &found);
	for (size_t i = 0; i < found.cnt; i++)
		if (found.v[i].status != CHECK_PASS)
			print_message("%s: %s\n", found.v[i].check, found.v[i].evidence);
	assert_int_equal(found.of[CHECK_PASS], found.cnt);
	assert_true(found.cnt >= 12 && found.cnt <= 24);
}

/* ---- free memory ---- */

/* As Python's own allocator is one. */
static const struct allocator layer = {
	.name = "pymalloc", .layer = "small objects", .remedy = "PYTHONMALLOC=malloc"};

static void much_that_is_free_and_resident(void **state)
{
	(void)state;
	expect("retained", CHECK_PASS, "live 60.0 MiB, retained 8.00 MiB");
	set_heap(60 * MIB, 33 * MIB, MIB);
	expect("retained", CHECK_WARN, "call malloc_trim(0)");
	for (size_t i = 0; i < 3; i++)
		facts.samples[i].rss = GIB; /* a fifth of that is more */
	expect("retained", CHECK_PASS, "33.0 MiB purgeable");
	set_heap(60 * MIB, 33 * MIB, 300 * MIB);
	expect("retained", CHECK_WARN, "no purge returns more than 33.0 MiB");
	set_heap(60 * MIB, 4 * MIB, 4 * MIB);
	add_allocator("mimalloc", "2.0", false);
	allocator[1].kind = &layer;
	allocator[1].walked = true;
	allocator[1].live_heap = MIB;
	allocator[1].retained = 205 * MIB;
	facts.heap.retained += 205 * MIB; /* the state's sums have it too */
	facts.heap.pinned += 205 * MIB;
	expect("retained", CHECK_WARN,
	       "205 MiB are free in pymalloc (small objects) and still resident, which no purge returns");
	expect("retained", CHECK_PASS, "live 60.0 MiB, retained 8.00 MiB"); /* and it is not said twice */
	strcpy(facts.library[1], "libpython3.so");                          /* and nobody would purge by it */
	expect("allocator", CHECK_PASS, "glibc 2.36 serves");
	allocator[1].retained = 200 * MIB; /* under a fifth of RSS */
	set_heap(60 * MIB, 4 * MIB, 204 * MIB);
	expect("retained", CHECK_PASS, "live 60.0 MiB");
	facts.heap.purgeable = facts.heap.retained = UNKNOWN;
	expect("retained", CHECK_UNKNOWN, "cannot be walked");
	facts.heap.taken_ns = 0;
	expect("retained", CHECK_UNKNOWN, "was not read");
}

static void huge_pages_that_fill_up_again(void **state)
{
	(void)state;
	facts.anonymous_huge = 60 * MIB;
	expect("huge-pages", CHECK_PASS, "madvise");
	facts.thp = THP_ALWAYS;
	expect("huge-pages", CHECK_WARN, "60.0 MiB of 80.0 MiB");
	facts.anonymous_huge = 10 * MIB;
	expect("huge-pages", CHECK_PASS, "always");
	facts.anonymous_huge = 60 * MIB;
	facts.thp_enabled = 0;
	expect("huge-pages", CHECK_PASS, "off for this process");
	facts.anonymous_huge = UNKNOWN;
	expect("huge-pages", CHECK_UNKNOWN, "does not tell");
}

/* ---- arenas ---- */

static void arenas_that_keep_memory_apart(void **state)
{
	(void)state;
	expect("arenas", CHECK_PASS, "1 arena for 1 thread, at most 16 (8 × 2 cores)");
	assert_null(run("arena-threads")); /* there is only one to choose */
	add_arena(0x2000, 50 * MIB, 40 * MIB, 1);
	expect("arenas", CHECK_WARN, "MALLOC_ARENA_MAX=2");
	set("arena_max", 2);
	expect("arenas", CHECK_WARN, "at most 2 (arena_max)");
	arena[1].threads = 0;
	expect("arenas", CHECK_WARN, "1 of 2 arenas belong to threads that have ended, and keep 50.0 MiB");
	arena[1].f.resident = arena[1].f.retained = MIB;
	expect("arenas", CHECK_PASS, "2 arenas");
	allocator[0].serving = false;
	assert_null(run("arenas"));
}

static void arenas_name_their_threads(void **state)
{
	(void)state;
	add_arena(0x2000, 50 * MIB, MIB, 2);
	add_arena(0x3000, 5 * MIB, MIB, 0);
	thread[1] = (struct thread){.tid = 43, .name = "reader"};
	thread[2] = (struct thread){.tid = 44, .name = "writer"};
	thread[3] = (struct thread){.tid = 45, .name = "idle"};
	thread_arena[1] = thread_arena[2] = 0x2000;
	thread_arena[3] = 0;
	facts.threads.cnt = 4;
	expect("arena-threads", CHECK_PASS,
	       "main 90.0 MiB: worker (42); 0x2000 50.0 MiB: reader (43), writer (44); 0x3000 5.00 MiB: no "
	       "thread");
	thread_arena[3] = 0x2000;
	expect("arena-threads", CHECK_PASS, "writer (44) and 1 more");
	facts.arenas_known = 0;
	expect("arena-threads", CHECK_UNKNOWN, "not to be seen");
}

/* ---- growth ---- */

static void rss_that_clearly_grows(void **state)
{
	(void)state;
	expect("rss", CHECK_PASS, "no clear growth");
	facts.samples[1].rss = 110 * MIB;
	facts.samples[2].rss = 120 * MIB;
	expect("rss", CHECK_WARN, "100 MiB → 110 MiB → 120 MiB, 10.0 MiB a second");
	expect("rss", CHECK_WARN, "the cgroup reaches its limit of 4.00 GiB in 6 min 38 s");
	facts.memory.effective_max.bytes = CGROUP_NO_LIMIT;
	assert_null(strstr(run("rss")->evidence, "limit"));
	facts.samples[2].rss =
		112 * MIB; /* 10, then 2: levelling off, but not if that was in a fifth of the time */
	facts.samples[2].time_ns = facts.samples[1].time_ns + NSEC_PER_SEC / 5;
	expect("rss", CHECK_WARN, "a second");
	facts.samples[2].time_ns = facts.samples[1].time_ns + NSEC_PER_SEC;
	expect("rss", CHECK_PASS, "no clear growth");
	facts.samples[2].rss = 90 * MIB;
	expect("rss", CHECK_PASS, "no clear growth");
	facts.samples[1].rss = 100 * MIB + 600 * KIB; /* too little to say */
	facts.samples[2].rss = 100 * MIB + 1200 * KIB;
	expect("rss", CHECK_PASS, "no clear growth");
	facts.sample_cnt = 2;
	expect("rss", CHECK_UNKNOWN, "2 times");
}

static void rss_that_grows_by_shared_memory(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 3; i++) {
		facts.samples[i].rss = (100 + 10 * i) * MIB;
		facts.samples[i].shmem = (50 + 10 * i) * MIB;
	}
	expect("rss", CHECK_PASS, "100 MiB → 110 MiB → 120 MiB in 2.0 s: only by shared memory");
	for (uint64_t i = 0; i < 3; i++)
		facts.samples[i].shmem = (50 + 5 * i) * MIB;
	expect("rss", CHECK_WARN, "5.00 MiB a second");
}

static void set_descriptors(size_t i, uint64_t sockets, uint64_t files)
{
	struct check_sample *s = &facts.samples[i];

	memset(s->descriptors, 0, sizeof(s->descriptors));
	s->descriptors[DESCRIPTOR_SOCKET] = sockets;
	s->descriptors[DESCRIPTOR_FILE] = files;
	s->descriptor_cnt = sockets + files;
}

static void many_descriptors(void **state)
{
	(void)state;
	facts.descriptor_limit = 20000;
	expect("descriptors", CHECK_PASS, "12 descriptors of at most 20000: 12 files; 0 opened");
	for (size_t i = 0; i < 3; i++)
		set_descriptors(i, 499, 0);
	expect("descriptors", CHECK_PASS, "499 sockets");
	for (size_t i = 0; i < 3; i++)
		set_descriptors(i, 499, 1);
	expect("descriptors", CHECK_WARN, "500 descriptors of at most 20000: 499 sockets, 1 file");
	expect("descriptors", CHECK_WARN, "none comes or goes");
	facts.samples[1].fresh[DESCRIPTOR_SOCKET] = 30;
	facts.samples[2].fresh[DESCRIPTOR_SOCKET] = 3;
	expect("descriptors", CHECK_WARN, "33 sockets were opened in the 2 s");
	expect("descriptors", CHECK_WARN, "connection churn");
	for (size_t i = 0; i < 3; i++)
		set_descriptors(i, 1, 600);
	expect("descriptors", CHECK_WARN, "600 files, 1 socket");
	expect("descriptors", CHECK_WARN, "ls -l /proc/42/fd");
}

static void descriptors_that_grow_or_run_out(void **state)
{
	(void)state;
	set_descriptors(2, 9, 12);
	expect("descriptors", CHECK_PASS, "21 descriptors");
	set_descriptors(2, 10, 12);
	expect("descriptors", CHECK_WARN, "descriptors grow: 12 → 22 of at most 1024");
	facts.descriptor_limit = 25;
	expect("descriptors", CHECK_WARN, "22 descriptors of at most 25");
	facts.descriptor_limit = UINT64_MAX;
	assert_null(strstr(run("descriptors")->evidence, "at most"));
	facts.samples[2].descriptor_cnt = UNKNOWN;
	expect("descriptors", CHECK_UNKNOWN, "cannot be read");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_healthy_process_passes),         TEST(much_that_is_free_and_resident),
		TEST(huge_pages_that_fill_up_again),    TEST(arenas_that_keep_memory_apart),
		TEST(arenas_name_their_threads),        TEST(rss_that_clearly_grows),
		TEST(rss_that_grows_by_shared_memory),  TEST(many_descriptors),
		TEST(descriptors_that_grow_or_run_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
