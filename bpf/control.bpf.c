/*
 * jemalloc's purges are an argument of mallctl: "arena.N.purge" and its like, or the numbers that
 * mallctlnametomib gave for it (ctl.c of jemalloc 3.6 to 5.3). Most calls ask for statistics and
 * are none. Global functions: the verifier looks at them once.
 */
#include "control.bpf.h"

#define ARENA_LEN 6   /* of "arena." */
#define DIGITS_MAX 10 /* of a 32-bit number */
#define TEXT_MAX 24   /* "arena.4294967295.destroy" */
#define WORD_MAX 8    /* "destroy" and its NUL */
#define MIB_LEN 3     /* arena, its number, what is asked for */

/* A word of up to seven letters, as it lies in memory (little-endian). */
#define WORD(a, b, c, d, e, f, g)                                                                            \
	((u64)(a) | (u64)(b) << 8 | (u64)(c) << 16 | (u64)(d) << 24 | (u64)(e) << 32 | (u64)(f) << 40 |      \
	 (u64)(g) << 48)

static __always_inline u64 control_of(u64 word)
{
	switch (word) {
	case WORD('p', 'u', 'r', 'g', 'e', 0, 0):
		return CONTROL_PURGE;
	case WORD('d', 'e', 'c', 'a', 'y', 0, 0):
		return CONTROL_DECAY;
	case WORD('r', 'e', 's', 'e', 't', 0, 0):
		return CONTROL_RESET;
	case WORD('d', 'e', 's', 't', 'r', 'o', 'y'):
		return CONTROL_DESTROY;
	default:
		return CONTROL_NONE;
	}
}

/* "arena.N.purge" at name. */
static __always_inline u64 asked_by_name(u64 name)
{
	char text[TEXT_MAX] = {};
	u64 number = 0, at = 0, word[2] = {};
	bool over = false;

	if (bpf_probe_read_user_str(text, sizeof(text), (void *)name) < 0)
		return (u64)CONTROL_UNREAD << 32;
	if (text[0] != 'a' || text[1] != 'r' || text[2] != 'e' || text[3] != 'n' || text[4] != 'a' ||
	    text[5] != '.')
		return 0;
#pragma unroll
	for (int i = ARENA_LEN; i < ARENA_LEN + DIGITS_MAX + 1; i++) {
		if (over)
			continue;
		if (text[i] >= '0' && text[i] <= '9') {
			number = number * 10 + (text[i] - '0');
			continue;
		}
		over = true;
		at = text[i] == '.' ? i + 1 : 0;
	}
	if (at <= ARENA_LEN + 1)
		return 0;
	if (bpf_probe_read_user_str(word, WORD_MAX + 1, (void *)(name + at)) < 0)
		return (u64)CONTROL_UNREAD << 32;
	if (word[0] >> 56) /* longer */
		return 0;
	return control_of(word[0]) << 32 | (u32)number;
}

static __always_inline u64 asked_by_numbers(u64 cookie, u64 numbers, u64 len)
{
	u64 mib[MIB_LEN] = {};

	if (len != MIB_LEN || bpf_probe_read_user(mib, sizeof(mib), (void *)numbers) ||
	    mib[0] != (cookie >> COOKIE_MIB_SHIFT & 15) || mib[0] == MIB_NUMBER_NONE)
		return 0;
#pragma unroll
	for (u64 i = CONTROL_PURGE; i < CONTROL_CNT; i++)
		if (mib[2] == (cookie >> (COOKIE_MIB_SHIFT + 4 * i) & 15) && mib[2] != MIB_NUMBER_NONE)
			return i << 32 | (u32)mib[1];
	return 0;
}

__noinline u64 control_asked(u64 cookie, u64 name, u64 len)
{
	u64 asked;

	if ((cookie >> COOKIE_SHAPE_SHIFT & 0xff) == SHAPE_CONTROL_MIB)
		asked = asked_by_numbers(cookie, name, len);
	else
		asked = asked_by_name(name);
	return asked >> 32 ? asked : 0;
}
