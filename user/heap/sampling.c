#include "heap/sampling.h"

#include <math.h>

#include "../bpf/share.h"

double sampling_scale(uint64_t mean, uint64_t size)
{
	if (!mean)
		return 1;
	return -1 / expm1(-(double)sampled_bytes(size) / (double)mean);
}

double sampling_scale_free(uint64_t mean, uint64_t header)
{
	if (!mean)
		return 1;
	return header ? sampling_scale(mean, SAMPLING_HEADER_BYTES(header)) : SAMPLING_FREES;
}

static uint64_t rounded(double value, uint64_t salt)
{
	double whole = floor(value);

	/* The upper bits of a product spread neighbouring addresses over 0 to 1. */
	return (uint64_t)whole + (value - whole > (double)(salt * 0x9e3779b97f4a7c15ULL >> 11) * 0x1p-53);
}

struct site_count sampling_count(double scale, uint64_t bytes, uint64_t salt)
{
	return (struct site_count){.cnt = rounded(scale, salt),
				   .bytes = rounded(scale * (double)bytes, ~salt)};
}
