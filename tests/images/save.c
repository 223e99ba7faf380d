/* save PID FILE: a process's memory as an image (target/image.h); make.py uses it. */
#include <stdlib.h>

#include "target/image.h"

int main(int argc, char **argv)
{
	struct memory *mem = NULL;
	struct error err = {""};
	FILE *out;
	int rc;

	if (argc != 3)
		return 2;
	out = fopen(argv[2], "wb");
	rc = out ? memory_open_process(atoi(argv[1]), &mem, &err) : -1;
	if (!rc)
		rc = image_save(mem, out, 16UL << 20, &err);
	if (out && fclose(out) != 0)
		rc = -1;
	memory_free(mem);
	if (rc)
		fprintf(stderr, "save: %s\n", err.text);
	return rc != 0;
}
