// Calls malloc from every kind of frame that unwinding stumbles over: variable and realigned
// frames, signal handlers, deep recursion, thrown through,
// callbacks of libc, functions reached through the PLT, threads.
//
//   odd_stacks     prints {"pid"} and works until the end of stdin
#include <alloca.h>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <stdexcept>
#include <string>
#include <sys/time.h>
#include <thread>
#include <unistd.h>
#include <vector>

typedef float wide __attribute__((vector_size(64))); // wider than the stack is aligned: DRAP

static volatile bool over;

#define NOINLINE __attribute__((noinline))

NOINLINE static void allocate(std::size_t size)
{
	void *volatile block = std::malloc(size);

	std::free(block);
}

static void on_signal(int)
{
	allocate(333);
}

NOINLINE static int variable_frame(int size)
{
	char *bytes = static_cast<char *>(alloca(size * 37 + 64));

	std::memset(bytes, 1, size + 1);
	allocate(size + 1);
	return bytes[size / 2];
}

NOINLINE static float realigned_frame(int size)
{
	wide values[4];
	char *bytes = static_cast<char *>(alloca(size + 16));

	for (int i = 0; i < 64; i++)
		values[i / 16][i % 16] = static_cast<float>(size + i);
	bytes[0] = 1;
	allocate(size + 65);
	asm volatile("" ::"r"(values), "r"(bytes) : "memory");
	return values[size & 3][size & 7] + static_cast<float>(variable_frame(size));
}

NOINLINE static void throw_from(int depth)
{
	std::string ballast(50 + depth, 'x');

	if (depth == 0)
		throw std::runtime_error(ballast);
	throw_from(depth - 1);
	asm volatile("" ::"r"(&ballast));
}

NOINLINE static int recurse(int depth)
{
	char ballast[24];

	if (depth == 0) {
		allocate(200);
		return 1;
	}
	asm volatile("" ::"r"(ballast) : "memory");
	return recurse(depth - 1) + 1;
}

static int compare(const void *a, const void *b)
{
	allocate(77);
	return *static_cast<const int *>(a) - *static_cast<const int *>(b);
}

static void sort()
{
	int numbers[50];

	for (int &number : numbers)
		number = std::rand();
	std::qsort(numbers, 50, sizeof(int), compare);
}

// A frame that counts from rbx, as ld.so's resolver of lazy bindings has it, and a callee that uses rbx too.
extern "C" void frame_by_rbx(void (*callee)());
asm(".text\n"
    ".type frame_by_rbx, @function\n"
    "frame_by_rbx:\n"
    "	.cfi_startproc\n"
    "	push %rbx\n"
    "	.cfi_def_cfa_offset 16\n"
    "	.cfi_offset %rbx, -16\n"
    "	mov %rsp, %rbx\n"
    "	.cfi_def_cfa_register %rbx\n"
    "	sub $192, %rsp\n"
    "	and $-64, %rsp\n"
    "	call *%rdi\n"
    "	mov %rbx, %rsp\n"
    "	.cfi_def_cfa_register %rsp\n"
    "	pop %rbx\n"
    "	.cfi_restore %rbx\n"
    "	.cfi_def_cfa_offset 8\n"
    "	ret\n"
    "	.cfi_endproc\n"
    ".size frame_by_rbx, . - frame_by_rbx\n");

NOINLINE static void uses_rbx()
{
	asm volatile("xor %%ebx, %%ebx" ::: "rbx");
	allocate(99);
	asm volatile("" ::: "rbx");
}

// A function that keeps its return address in rdi for a while, as vfork does: seen only from a signal handler.
extern "C" void returns_by_rdi();
asm(".text\n"
    ".type returns_by_rdi, @function\n"
    "returns_by_rdi:\n"
    "	.cfi_startproc\n"
    "	pop %rdi\n"
    "	.cfi_adjust_cfa_offset -8\n"
    "	.cfi_register %rip, %rdi\n"
    "	mov $20000, %ecx\n"
    "1:	dec %ecx\n"
    "	jnz 1b\n"
    "	push %rdi\n"
    "	.cfi_adjust_cfa_offset 8\n"
    "	ret\n"
    "	.cfi_endproc\n"
    ".size returns_by_rdi, . - returns_by_rdi\n");

// Signals come only here, where no allocation can be interrupted: in computing, and in the vdso.
static void let_signals_in()
{
	sigset_t alarm;
	timespec now;

	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	pthread_sigmask(SIG_UNBLOCK, &alarm, nullptr);
	for (int i = 0; i < 2000; i++)
		clock_gettime(CLOCK_MONOTONIC, &now);
	returns_by_rdi();
	pthread_sigmask(SIG_BLOCK, &alarm, nullptr);
}

static void round_of(int number)
{
	std::map<std::string, std::vector<int>> table;
	char text[100];

	realigned_frame(number % 50);
	try {
		throw_from(5);
	} catch (const std::exception &) {
		allocate(10);
	}
	recurse(number % 100);
	recurse(300); // deeper than is kept
	frame_by_rbx(uses_rbx);
	sort();
	for (int i = 0; i < 20; i++)
		table[std::to_string(i)].push_back(i);
	std::snprintf(text, sizeof(text), "%f", 1.5 * number);
	allocate(std::strlen(text));
}

static void work()
{
	for (int i = 0; !over; i++) {
		round_of(i);
		let_signals_in();
	}
}

int main()
{
	struct sigaction action = {};
	itimerval often = {{0, 1000}, {0, 1000}}; // microseconds
	std::thread second, reader;
	sigset_t alarm;
	char byte;

	action.sa_handler = on_signal;
	action.sa_flags = SA_RESTART;
	sigaction(SIGALRM, &action, nullptr);
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarm, nullptr);
	std::printf("{\"pid\": %d}\n", getpid());
	std::fflush(stdout);
	setitimer(ITIMER_REAL, &often, nullptr);
	second = std::thread(work);
	reader = std::thread([&] {
		while (read(STDIN_FILENO, &byte, 1) > 0)
			;
		over = true;
	});
	work();
	second.join();
	reader.join();
	return 0;
}
