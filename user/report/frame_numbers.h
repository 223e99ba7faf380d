/*
 * Frames by what they show, numbered from 0 as they first come: two places in code that read the
 * same are one frame. For forms that list frames once and write stacks as numbers.
 */
#ifndef ALLOCTRACE_REPORT_FRAME_NUMBERS_H
#define ALLOCTRACE_REPORT_FRAME_NUMBERS_H

#include <stddef.h>
#include <stdint.h>

#include "stack/location.h"

struct frame_numbers;

struct frame_numbers *frame_numbers_new(void);          /* NULL: no memory */
void frame_numbers_free(struct frame_numbers *numbers); /* NULL-safe */

/* The frames at one place, outermost first; never empty. */
struct frame_number_list {
	uint32_t cnt;
	uint32_t v[];
};
/* NULL: no memory. Names may not change meanwhile (stack/names.h); valid as long as numbers. */
const struct frame_number_list *frame_numbers_at(struct frame_numbers *numbers, const struct location *at);
/* Of a frame that has a name and nothing else, which is copied; 0 or −ENOMEM. */
int frame_numbers_named(struct frame_numbers *numbers, const char *function, uint32_t *number);

size_t frame_numbers_cnt(const struct frame_numbers *numbers);
const struct frame_name *frame_numbers_get(const struct frame_numbers *numbers, size_t number);

#endif
