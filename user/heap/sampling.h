/*
 * What a sampled block stands for. Stacks are taken by a Poisson process over bytes
 * (bpf/sampling.bpf.h): a block of n bytes with probability p = 1 − e^(−n/mean), so that
 * counting each as 1/p blocks and n/p bytes is unbiased, whatever the sizes.
 */
#ifndef ALLOCTRACE_HEAP_SAMPLING_H
#define ALLOCTRACE_HEAP_SAMPLING_H

#include <stdint.h>

#include "heap/sites.h"

/* 1/p of a block of that size; mean 0: everything is taken, 1. */
double sampling_scale(uint64_t mean, uint64_t size);
/* 1/p of a free, by the word before its block; 0: it was unread. */
double sampling_scale_free(uint64_t mean, uint64_t header);
/*
 * Whole numbers for a scaled block. Which way a fraction goes is drawn by salt, the same for
 * the same salt: what a block added is what it takes away.
 */
struct site_count sampling_count(double scale, uint64_t bytes, uint64_t salt);

#endif
