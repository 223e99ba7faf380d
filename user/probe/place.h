/*
 * Where exactly in a function a probe goes. Pure: bytes in, offsets out, nothing else is
 * touched. x86-64 (Zydis); only this file knows instructions.
 */
#ifndef ALLOCTRACE_PROBE_PLACE_H
#define ALLOCTRACE_PROBE_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLACE_EXITS_MAX 32

#define PLACE_ARGS_MAX 6 /* of the calling convention's registers */

/* The arguments that a probe reads, and where they are at the probed instruction. */
struct place_args {
	unsigned wanted;                  /* in: bit i, argument i from 0 */
	bool in_place;                    /* in: each must be in its own register */
	bool stepped;                     /* out: the kernel must single-step the instruction */
	unsigned char at[PLACE_ARGS_MAX]; /* out: enum arg_register of bpf/share.h */
};

/*
 * Offset of the instruction that stands for the function's entry. It is the first that the
 * kernel emulates instead of single-stepping it (11 µs against 0.7), if until there every
 * call passes, no jump of the function comes back, the stack pointer is as at the entry, and
 * each wanted argument is in a register still, its own or one that it was copied to; else 0,
 * where all are in their own. *why says in a few words what decided.
 */
uint64_t place_entry(const uint8_t *code, size_t len, struct place_args *args, const char **why);

enum place_exit_kind {
	PLACE_RET,  /* a ret at offset */
	PLACE_JUMP, /* a jump at offset out of the function: target, an offset in the same object's code */
	PLACE_SLOT, /* a jump through a pointer in memory (a PLT stub): target is where the pointer is */
};

struct place_exit {
	enum place_exit_kind kind;
	uint64_t offset;
	int64_t target; /* relative to code[0] */
};

struct place_exits {
	struct place_exit v[PLACE_EXITS_MAX];
	size_t cnt;
	unsigned unknown; /* jumps through a register: where they lead is not known */
};

/*
 * Every way out of the function, found by following its control flow, so that nothing that
 * is no instruction is taken for one. 0; or −ENOEXEC with *why: code that cannot be decoded
 * or followed, where a probe would be a guess.
 */
int place_exits(const uint8_t *code, size_t len, struct place_exits *exits, const char **why);

#define PLACE_TEXT_MAX 64
/* The instruction at `at` as disassemblers write it, "push %rbp"; "?" if it is none; returns buf. */
const char *place_text(const uint8_t *code, size_t len, uint64_t at, char buf[PLACE_TEXT_MAX]);

/*
 * Whether a direct call of, or jump to, target stands at offset `at`, as decoding from code[0] shows, where an
 * instruction begins.
 */
bool place_is_call(const uint8_t *code, size_t len, uint64_t at, int64_t target);

#endif
