/* Searching what is sorted, by halves. */
#ifndef ALLOCTRACE_BASE_SEARCH_H
#define ALLOCTRACE_BASE_SEARCH_H

#include <stddef.h>
#include <stdint.h>

/*
 * How many of cnt elements have a key up to that one: the index of the first beyond it. key_of
 * gives the key of element i, ascending. Inline, so that key_of is too.
 */
static inline size_t search_upto(const void *v, size_t cnt, uint64_t (*key_of)(const void *v, size_t i),
				 uint64_t key)
{
	size_t low = 0, high = cnt;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (key_of(v, mid) <= key)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

#endif
