// Throws exceptions in every way that has a probed function near: from deep calls with
// allocations between, on other threads, after a failed operator new, inside dlopen (in the
// library's constructor), and right after dlopen, dlclose, malloc_trim and the mmap family
// returned. Counts what was thrown and what was caught.
//
//   catcher LIBRARY-THAT-THROWS
//
// "throw ROUNDS" a line on stdin; one line of JSON each on stdout.
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <malloc.h>
#include <new>
#include <string>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>
#include <vector>

static long thrown, caught;

static int deep(int depth)
{
	std::vector<std::string> ballast(10, std::string(100, 'x'));

	if (depth == 0) {
		malloc_trim(0);
		throw std::string("from the bottom");
	}
	return deep(depth - 1) + static_cast<int>(ballast.size());
}

static void too_much()
{
	volatile std::size_t size = static_cast<std::size_t>(1) << 62;

	delete[] new char[size];
}

static void in_a_thread()
{
	std::thread([] {
		try {
			deep(20);
		} catch (const std::string &) {
			caught++;
		}
	}).join();
}

static void around_libc()
{
	void *page = mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	madvise(page, 1 << 20, MADV_DONTNEED);
	munmap(page, 1 << 20);
	if (void *handle = dlopen("libm.so.6", RTLD_NOW))
		dlclose(handle);
	throw 2;
}

static void inside_dlopen(const char *library)
{
	void *handle = dlopen(library, RTLD_NOW);

	caught += *static_cast<int *>(dlsym(handle, "thrower_caught"));
	dlclose(handle);
}

static void round_of_throws(const char *library)
{
	thrown += 5;
	try {
		deep(30);
	} catch (const std::string &) {
		caught++;
	}
	try {
		too_much();
	} catch (const std::bad_alloc &) {
		caught++;
	}
	in_a_thread();
	try {
		around_libc();
	} catch (int) {
		caught++;
	}
	inside_dlopen(library);
}

int main(int argc, char **argv)
{
	int rounds;

	if (argc != 2)
		return 2;
	std::setvbuf(stdout, nullptr, _IOLBF, 0);
	std::printf("{\"pid\": %d}\n", getpid());
	while (std::scanf(" throw %d", &rounds) == 1) {
		thrown = caught = 0;
		for (int i = 0; i < rounds; i++)
			round_of_throws(argv[1]);
		std::printf("{\"thrown\": %ld, \"caught\": %ld}\n", thrown, caught);
	}
	return 0;
}
