#include "screen/rescue.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define STACK_BYTES (16 * 1024)

static const int signals[] = {SIGSEGV, SIGBUS,  SIGILL,  SIGFPE,    SIGABRT, SIGSYS,
			      SIGTRAP, SIGQUIT, SIGALRM, SIGUSR1,   SIGUSR2, SIGXCPU,
			      SIGXFSZ, SIGIO,   SIGPROF, SIGVTALRM, SIGPWR};

/* A signal handler has no other place to know it from. */
static struct {
	int terminal_fd, errors_fd, pending_fd;
	struct termios modes;
	char leave[256];
	size_t leave_len;
	char *stack;
} plan;

static void write_all(int fd, const char *bytes, size_t len)
{
	while (len) {
		ssize_t done = write(fd, bytes, len);

		if (done <= 0)
			return;
		bytes += done;
		len -= (size_t)done;
	}
}

/* What a library said last is why it died. */
static void release_errors(void)
{
	char bytes[512];
	ssize_t len;

	if (plan.errors_fd < 0)
		return;
	dup2(plan.errors_fd, STDERR_FILENO);
	while (plan.pending_fd >= 0 && (len = read(plan.pending_fd, bytes, sizeof(bytes))) > 0)
		write_all(plan.errors_fd, bytes, (size_t)len);
}

/* Its handler is gone already (SA_RESETHAND): the signal that is sent once more ends the program. */
static void on_signal(int signal)
{
	write_all(plan.terminal_fd, plan.leave, plan.leave_len);
	tcsetattr(plan.terminal_fd, TCSANOW, &plan.modes);
	release_errors();
	raise(signal);
}

void rescue_prepare(const struct rescue_plan *wanted)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND | SA_ONSTACK};

	plan.terminal_fd = wanted->terminal_fd;
	plan.errors_fd = wanted->errors_fd;
	plan.pending_fd = wanted->pending_fd;
	snprintf(plan.leave, sizeof(plan.leave), "%s", wanted->leave);
	plan.leave_len = strlen(plan.leave);
	if (tcgetattr(plan.terminal_fd, &plan.modes))
		return;
	/* A stack that has overflown carries no handler. */
	plan.stack = malloc(STACK_BYTES);
	if (plan.stack)
		sigaltstack(&(stack_t){.ss_sp = plan.stack, .ss_size = STACK_BYTES}, NULL);
	sigfillset(&action.sa_mask);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &action, NULL);
}

void rescue_over(void)
{
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], SIG_DFL);
	sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
	free(plan.stack);
	plan.stack = NULL;
}
