/*
 * The terminal and standard error as they were, also where the program dies: of a signal that it did
 * not expect (SIGSEGV, SIGABRT, …) the handler puts them back, with nothing but system calls, and lets
 * the signal do what it does. Nothing helps against SIGKILL. One at a time in a program.
 */
#ifndef ALLOCTRACE_SCREEN_RESCUE_H
#define ALLOCTRACE_SCREEN_RESCUE_H

/*
 * terminal_fd: its modes are kept as they are now. leave: what to write there to have it as before (the
 * escape sequences that curses would end with), cut at 255 bytes. errors_fd: the standard error of before, or
 * −1 if it is not captured; pending_fd: what is captured and was not shown yet, or −1.
 */
struct rescue_plan {
	int terminal_fd;
	const char *leave;
	int errors_fd, pending_fd;
};

void rescue_prepare(const struct rescue_plan *plan);
/* It was left in order: signals do what they did. */
void rescue_over(void);

#endif
