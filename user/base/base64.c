#include "base/base64.h"

#include <stdint.h>

void base64_put(FILE *out, const void *bytes, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *from = bytes;

	for (size_t i = 0; i < len; i += 3) {
		uint32_t three = (uint32_t)from[i] << 16;

		three |= i + 1 < len ? (uint32_t)from[i + 1] << 8 : 0;
		three |= i + 2 < len ? from[i + 2] : 0;
		putc(digits[three >> 18], out);
		putc(digits[three >> 12 & 63], out);
		putc(i + 1 < len ? digits[three >> 6 & 63] : '=', out);
		putc(i + 2 < len ? digits[three & 63] : '=', out);
	}
}
