#include "report/emit.h"

#include <errno.h>
#include <stdlib.h>

int emit_bytes(FILE *out, const char *bytes, size_t len)
{
	errno = 0;
	if (fwrite(bytes, 1, len, out) == len && fflush(out) == 0)
		return 0;
	return errno ? -errno : -EIO;
}

int emit_form(FILE *out, int (*form)(FILE *mem, const struct snapshot *s, bool colour),
	      const struct snapshot *s, bool colour)
{
	char *bytes = NULL;
	size_t len = 0;
	FILE *mem = open_memstream(&bytes, &len);
	int result;

	if (!mem)
		return -ENOMEM;
	result = form(mem, s, colour);
	if (fclose(mem) != 0 && result == 0)
		result = -ENOMEM;
	if (result == 0)
		result = emit_bytes(out, bytes, len);
	free(bytes);
	return result;
}
