/* Asks libbranch.so for its plugin as often as it is told to: "open" a line on stdin. */
#include <stdio.h>
#include <unistd.h>

int branch_open(void);

int main(void)
{
	char line[64];

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("{\"pid\": %d}\n", getpid());
	while (fgets(line, sizeof(line), stdin))
		printf("{\"loaded\": %s}\n", branch_open() ? "true" : "false");
	return 0;
}
