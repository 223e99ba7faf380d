/* Placement on code as compilers and glibc's assembler write it, and on code that is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "../bpf/share.h"
#include "probe/place.h"

#define ENTRY(...)                                                                                           \
	({                                                                                                   \
		static const uint8_t code_[] = {__VA_ARGS__};                                                \
		const char *why_;                                                                            \
		struct place_args args_ = {.wanted = 0x3f};                                                  \
		place_entry(code_, sizeof(code_), &args_, &why_);                                            \
	})

#define EXITS(exits, ...)                                                                                    \
	({                                                                                                   \
		static const uint8_t code_[] = {__VA_ARGS__};                                                \
		const char *why_;                                                                            \
		place_exits(code_, sizeof(code_), exits, &why_);                                             \
	})

static void push_is_taken_at_once(void **state)
{
	(void)state;
	assert_int_equal(ENTRY(0x41, 0x57, 0x41, 0x56, 0xc3), 0); /* push r15; push r14 */
	assert_int_equal(ENTRY(0x55, 0xc3), 0);
}

static void free_of_glibc_is_probed_behind_its_test(void **state)
{
	(void)state;
	/* test rdi,rdi; je +6; push rbp; …: the je is passed by NULL too, and emulated */
	assert_int_equal(ENTRY(0x48, 0x85, 0xff, 0x74, 0x02, 0x55, 0xc3, 0xc3), 3);
}

static void endbr_is_passed_over(void **state)
{
	(void)state;
	assert_int_equal(ENTRY(0xf3, 0x0f, 0x1e, 0xfa, 0x53, 0xc3), 4);             /* endbr64; push rbx */
	assert_int_equal(ENTRY(0xf3, 0x0f, 0x1e, 0xfa, 0x31, 0xc0, 0x90, 0xc3), 6); /* xor eax,eax; nop */
}

static void moved_arguments_are_not_passed_over(void **state)
{
	(void)state;
	assert_int_equal(ENTRY(0x89, 0xfe, 0x55, 0xc3), 0);             /* mov esi,edi; push rbp */
	assert_int_equal(ENTRY(0x40, 0x0f, 0xb6, 0xf7, 0x55, 0xc3), 0); /* movzx esi,dil; push rbp */
	assert_int_equal(ENTRY(0x48, 0x83, 0xec, 0x58, 0x90, 0xc3), 0); /* sub rsp,0x58; nop */
	assert_int_equal(ENTRY(0x48, 0x87, 0xf8, 0x55, 0xc3), 0);       /* xchg rax,rdi; push rbp */
}

#define ENTRY_WITH(args, ...)                                                                                \
	({                                                                                                   \
		static const uint8_t code_[] = {__VA_ARGS__};                                                \
		const char *why_;                                                                            \
		place_entry(code_, sizeof(code_), args, &why_);                                              \
	})

static void an_argument_is_followed_where_it_is_copied(void **state)
{
	struct place_args args = {.wanted = 1};

	(void)state;
	/* mi_malloc of mimalloc 2.0.9 begins like this: mov rsi,rdi; mov rdi,fs:0; cmp; ja */
	assert_int_equal(ENTRY_WITH(&args, 0x48, 0x89, 0xfe, 0x64, 0x48, 0x8b, 0x3c, 0x25, 0, 0, 0, 0, 0x48,
				    0x81, 0xfe, 0, 4, 0, 0, 0x77, 0x01, 0xc3, 0xc3),
			 19);
	assert_int_equal(args.at[0], ARG_SI);
	/* mov r12,rdi; push: its own register is preferred */
	assert_int_equal(ENTRY_WITH(&args, 0x49, 0x89, 0xfc, 0x55, 0xc3), 3);
	assert_int_equal(args.at[0], ARG_DI);
	/* mov rbx,rsi; xor esi,esi; push: the second alone has moved */
	args = (struct place_args){.wanted = 3};
	assert_int_equal(ENTRY_WITH(&args, 0x48, 0x89, 0xf3, 0x31, 0xf6, 0x55, 0xc3), 5);
	assert_int_equal(args.at[0], ARG_DI);
	assert_int_equal(args.at[1], ARG_BX);
}

static void an_argument_that_is_lost_stops_at_the_entry(void **state)
{
	struct place_args args = {.wanted = 1};

	(void)state;
	assert_int_equal(ENTRY_WITH(&args, 0x31, 0xff, 0x55, 0xc3), 0); /* xor edi,edi; push */
	assert_int_equal(args.at[0], ARG_DI);
	/* mov esi,edi; xor edi,edi; push: half of it is no copy */
	assert_int_equal(ENTRY_WITH(&args, 0x89, 0xfe, 0x31, 0xff, 0x55, 0xc3), 0);
	/* mov rsi,rdi; xor edi,edi; push: for programs that know one place only */
	args.in_place = true;
	assert_int_equal(ENTRY_WITH(&args, 0x48, 0x89, 0xfe, 0x31, 0xff, 0x55, 0xc3), 0);
	args.in_place = false;
	assert_int_equal(ENTRY_WITH(&args, 0x48, 0x89, 0xfe, 0x31, 0xff, 0x55, 0xc3), 5);
	/* another register is nobody's business: xor edx,edx; push */
	assert_int_equal(ENTRY_WITH(&args, 0x31, 0xd2, 0x55, 0xc3), 2);
}

static void a_call_before_is_not_passed_over(void **state)
{
	(void)state;
	/* mov eax,0xb; syscall; jmp: at the jump the call is over */
	assert_int_equal(ENTRY(0xb8, 0x0b, 0x00, 0x00, 0x00, 0x0f, 0x05, 0xeb, 0x00, 0xc3), 0);
}

static void a_jump_back_keeps_it_at_the_entry(void **state)
{
	(void)state;
	/* mov eax,1; L: nop; dec eax; jne L; ret */
	assert_int_equal(ENTRY(0xb8, 1, 0, 0, 0, 0x90, 0xff, 0xc8, 0x75, 0xfb, 0xc3), 0);
	/* the same behind a push, which no jump reaches */
	assert_int_equal(ENTRY(0x31, 0xc0, 0x55, 0x90, 0xff, 0xc8, 0x75, 0xfb, 0x5d, 0xc3), 2);
}

static void every_ret_is_an_exit(void **state)
{
	struct place_exits e;

	(void)state;
	/* test edi,edi; je +1; ret; xor eax,eax; ret */
	assert_int_equal(EXITS(&e, 0x85, 0xff, 0x74, 0x01, 0xc3, 0x31, 0xc0, 0xc3), 0);
	assert_int_equal(e.cnt, 2);
	assert_int_equal(e.v[0].kind, PLACE_RET);
	assert_int_equal(e.v[0].offset + e.v[1].offset, 4 + 7);
}

static void tail_jumps_are_exits(void **state)
{
	struct place_exits e;

	(void)state;
	assert_int_equal(EXITS(&e, 0x31, 0xc0, 0xe9, 0x10, 0x00, 0x00, 0x00), 0); /* jmp +0x10 behind */
	assert_int_equal(e.cnt, 1);
	assert_int_equal(e.v[0].kind, PLACE_JUMP);
	assert_int_equal(e.v[0].offset, 2);
	assert_int_equal(e.v[0].target, 7 + 0x10);
	assert_int_equal(EXITS(&e, 0xeb, 0x80), 0); /* jmp backward, out of it */
	assert_int_equal(e.v[0].target, 2 - 0x80);
	assert_int_equal(EXITS(&e, 0xff, 0x25, 0x00, 0x01, 0x00, 0x00), 0); /* jmp *0x100(%rip) */
	assert_int_equal(e.v[0].kind, PLACE_SLOT);
	assert_int_equal(e.v[0].target, 6 + 0x100);
}

static void dead_code_is_not_looked_at(void **state)
{
	struct place_exits e;

	(void)state;
	/* ret; then bytes that are no code */
	assert_int_equal(EXITS(&e, 0xc3, 0x06, 0x06, 0x06), 0);
	assert_int_equal(e.cnt, 1);
	/* a noreturn call may be the last instruction */
	assert_int_equal(EXITS(&e, 0x74, 0x01, 0xc3, 0xe8, 0x00, 0x01, 0x00, 0x00), 0);
	assert_int_equal(e.cnt, 1);
}

static void a_ret_inside_another_instruction_is_none(void **state)
{
	struct place_exits e;

	(void)state;
	/* mov eax,0xc3c3c3c3; ret */
	assert_int_equal(EXITS(&e, 0xb8, 0xc3, 0xc3, 0xc3, 0xc3, 0xc3), 0);
	assert_int_equal(e.cnt, 1);
	assert_int_equal(e.v[0].offset, 5);
}

static void a_jump_through_a_register_needs_the_whole(void **state)
{
	struct place_exits e;

	(void)state;
	/* jmp *%rax; xor eax,eax; ret: the ret is a case of a switch, perhaps */
	assert_int_equal(EXITS(&e, 0xff, 0xe0, 0x31, 0xc0, 0xc3), 0);
	assert_int_equal(e.cnt, 1);
	assert_int_equal(e.unknown, 1);
	/* the same with bytes between that are no code */
	assert_int_equal(EXITS(&e, 0xff, 0xe0, 0x06, 0x31, 0xc0, 0xc3), -ENOEXEC);
	assert_int_equal(EXITS(&e, 0xff, 0xe0), -ENOEXEC);
	/* jmp over a byte that makes a sweep read the jmp *%rax behind it as part of a mov */
	assert_int_equal(EXITS(&e, 0xeb, 0x01, 0xb8, 0xff, 0xe0, 0xc3, 0xc3, 0xc3), -ENOEXEC);
}

static void undecodable_code_is_declined(void **state)
{
	struct place_args args = {.wanted = 1};
	struct place_exits e;
	const char *why = NULL;

	(void)state;
	assert_int_equal(EXITS(&e, 0x06, 0xc3), -ENOEXEC);
	assert_int_equal(EXITS(&e, 0x31, 0xc0), -ENOEXEC); /* falls out of its end */
	assert_int_equal(EXITS(&e, 0xeb, 0xfe), -ENOEXEC); /* a loop for ever */
	assert_int_equal(place_exits(NULL, 0, &e, &why), -ENOEXEC);
	assert_non_null(why);
	assert_int_equal(place_entry(NULL, 0, &args, &why), 0);
}

/* Whatever the bytes: offsets lie within, and nothing is read beyond (ASan watches). */
static void noise_is_survived(void **state)
{
	(void)state;
	srand(1);
	for (int round = 0; round < 20000; round++) {
		size_t len = (size_t)(rand() % 64) + 1;
		uint8_t *code = malloc(len);
		struct place_args args = {.wanted = (unsigned)rand() & 63};
		struct place_exits e;
		const char *why;

		for (size_t i = 0; i < len; i++)
			code[i] = (uint8_t)rand();
		assert_true(place_entry(code, len, &args, &why) < len);
		if (!place_exits(code, len, &e, &why))
			for (size_t i = 0; i < e.cnt; i++)
				assert_true(e.v[i].offset < len);
		free(code);
	}
}

static void a_call_is_one_where_an_instruction_begins(void **state)
{
	/* nop; call −0x20; mov $imm32,%eax, whose constant looks like a call of the same; jmp −0x20 */
	static const uint8_t code[] = {0x90, 0xe8, 0xda, 0xff, 0xff, 0xff, 0xb8, 0xe8,
				       0xd4, 0xff, 0xff, 0xff, 0xff, 0xe9, 0xce, 0xff};
	const int64_t target = -0x20;

	(void)state;
	assert_true(place_is_call(code, sizeof(code), 1, target));
	assert_false(place_is_call(code, sizeof(code), 1, target + 1)); /* of something else */
	assert_false(place_is_call(code, sizeof(code), 7, target));     /* inside of the mov */
	assert_false(place_is_call(code, sizeof(code), 0, target));     /* a nop */
	assert_false(place_is_call(code, sizeof(code), 13, target));    /* cut */
	assert_false(place_is_call(code, sizeof(code), 100, target));
}

static void jumps_are_written_as_distances(void **state)
{
	static const uint8_t code[] = {0x55, 0x48, 0x85, 0xff, 0x0f, 0x84, 0x97, 0x00, 0x00, 0x00, 0x48, 0x8b, 0x15, 0x10, 0x00,
				       0x00, 0x00, 0x06};
	char text[PLACE_TEXT_MAX];

	(void)state;
	assert_string_equal(place_text(code, sizeof(code), 0, text), "push %rbp");
	assert_string_equal(place_text(code, sizeof(code), 4, text), "jz +0x9d");
	assert_string_equal(place_text(code, sizeof(code), 10, text), "mov 0x10(%rip), %rdx");
	assert_string_equal(place_text(code, sizeof(code), 17, text), "?"); /* none in 64-bit code */
	assert_string_equal(place_text(code, sizeof(code), 18, text), "?");
	assert_string_equal(place_text(NULL, 0, 0, text), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(push_is_taken_at_once),
		cmocka_unit_test(free_of_glibc_is_probed_behind_its_test),
		cmocka_unit_test(endbr_is_passed_over),
		cmocka_unit_test(moved_arguments_are_not_passed_over),
		cmocka_unit_test(an_argument_is_followed_where_it_is_copied),
		cmocka_unit_test(an_argument_that_is_lost_stops_at_the_entry),
		cmocka_unit_test(a_call_before_is_not_passed_over),
		cmocka_unit_test(a_jump_back_keeps_it_at_the_entry),
		cmocka_unit_test(every_ret_is_an_exit),
		cmocka_unit_test(tail_jumps_are_exits),
		cmocka_unit_test(dead_code_is_not_looked_at),
		cmocka_unit_test(a_ret_inside_another_instruction_is_none),
		cmocka_unit_test(a_jump_through_a_register_needs_the_whole),
		cmocka_unit_test(undecodable_code_is_declined),
		cmocka_unit_test(a_call_is_one_where_an_instruction_begins),
		cmocka_unit_test(noise_is_survived),
		cmocka_unit_test(jumps_are_written_as_distances),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
