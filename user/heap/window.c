#include "heap/window.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STEP_MIN (16UL << 10)
#define PEEK_PAGES 4

static uint64_t page_of(uint64_t addr)
{
	return addr & ~(TARGET_PAGE_SIZE - 1);
}

int window_init(struct window *win, struct memory *mem)
{
	*win = (struct window){.mem = mem, .limit = UINT64_MAX, .step = STEP_MIN};
	win->data = malloc(WINDOW_BYTES);
	return win->data ? 0 : -ENOMEM;
}

void window_free(struct window *win)
{
	free(win->data);
	win->data = NULL;
}

void window_drop(struct window *win)
{
	win->data_start = win->data_end = 0;
	win->state_start = win->state_end = 0;
}

uint8_t window_load_state(struct window *win, uint64_t addr)
{
	uint64_t start = page_of(addr), end = start + WINDOW_STATES * TARGET_PAGE_SIZE;
	uint64_t limit = page_of(win->limit - 1) + TARGET_PAGE_SIZE;

	if (addr >= win->limit || end < start)
		return 0;
	if (limit > start && end > limit)
		end = limit;
	win->state_start = win->state_end = 0;
	if (memory_pages(win->mem, start, end, win->state) != 0)
		return 0;
	win->state_start = start;
	win->state_end = end;
	return win->state[0];
}

/* Reads the present pages of [start, start + len), a segment for each run of them, and says how far it got.
 */
static uint64_t read_present(struct window *win, uint64_t start, size_t len)
{
	struct iovec local[WINDOW_BYTES / TARGET_PAGE_SIZE], remote[WINDOW_BYTES / TARGET_PAGE_SIZE];
	size_t cnt = 0, wanted = 0;
	ssize_t got;

	for (size_t off = 0; off < len; off += TARGET_PAGE_SIZE) {
		char *to = win->data + off;

		if (!(window_state(win, start + off) & PAGE_PRESENT)) {
			memset(to, 0, TARGET_PAGE_SIZE);
			continue;
		}
		wanted += TARGET_PAGE_SIZE;
		if (cnt > 0 && (char *)local[cnt - 1].iov_base + local[cnt - 1].iov_len == to) {
			local[cnt - 1].iov_len += TARGET_PAGE_SIZE;
			remote[cnt - 1].iov_len += TARGET_PAGE_SIZE;
			continue;
		}
		local[cnt] = (struct iovec){to, TARGET_PAGE_SIZE};
		remote[cnt++] = (struct iovec){(void *)(uintptr_t)(start + off), TARGET_PAGE_SIZE};
	}
	got = cnt ? memory_readv(win->mem, local, cnt, remote, cnt) : 0;
	if (got == (ssize_t)wanted)
		return start + len;
	/* Something was unmapped meanwhile: what lies before it is good, to whole pages. */
	for (size_t i = 0, left = got > 0 ? (size_t)got : 0; i < cnt; i++) {
		if (left < local[i].iov_len)
			return (uint64_t)(uintptr_t)remote[i].iov_base + page_of(left);
		left -= local[i].iov_len;
	}
	return start;
}

const char *window_load(struct window *win, uint64_t addr, size_t len)
{
	uint64_t start = page_of(addr), room = win->limit - start;

	if (addr >= win->limit || !(window_state(win, addr) & PAGE_PRESENT))
		return NULL;
	/* One chunk after the other wants much at once; jumps over large chunks want little. */
	if (start != win->data_end)
		win->step = win->step > 2 * STEP_MIN ? win->step / 2 : STEP_MIN;
	else if (win->step < WINDOW_BYTES)
		win->step *= 2;
	room = room < win->step ? (room + TARGET_PAGE_SIZE - 1) & ~(TARGET_PAGE_SIZE - 1) : win->step;
	win->data_start = win->data_end = 0;
	win->data_end = read_present(win, start, room);
	win->data_start = start;
	if (addr >= win->data_end || len > win->data_end - addr)
		return NULL;
	return win->data + (addr - start);
}

void window_fetch(struct window *win, uint64_t start, uint64_t end)
{
	start = page_of(start);
	end = page_of(end - 1) + TARGET_PAGE_SIZE;
	if (end > start + WINDOW_BYTES)
		end = start + WINDOW_BYTES;
	if (start >= win->data_start && end <= win->data_end)
		return;
	win->data_start = win->data_end = 0;
	win->data_end = read_present(win, start, end - start);
	win->data_start = start;
}

uint64_t window_resident(struct window *win, uint64_t start, uint64_t end)
{
	uint64_t sum = 0;

	while (start < end) {
		uint64_t stop = page_of(start) + TARGET_PAGE_SIZE;

		if (stop > end || stop < start)
			stop = end;
		if (window_state(win, start) & PAGE_PRESENT)
			sum += stop - start;
		start = stop;
	}
	return sum;
}

int window_peek(struct memory *mem, uint64_t addr, void *buf, size_t len)
{
	uint64_t start = page_of(addr), end = page_of(addr + len - 1) + TARGET_PAGE_SIZE;
	uint8_t state[PEEK_PAGES];

	if (addr + len < addr || end < start || end - start > sizeof(state) * TARGET_PAGE_SIZE)
		return -ENODATA;
	if (memory_pages(mem, start, end, state) != 0)
		return -ENODATA;
	for (size_t i = 0; i < (end - start) / TARGET_PAGE_SIZE; i++)
		if (!(state[i] & PAGE_PRESENT))
			return -ENODATA;
	return memory_read(mem, addr, buf, len) == (ssize_t)len ? 0 : -ENODATA;
}
