/* SPDX-License-Identifier: MIT */
/*
 * vmm/decode.c against a table of instructions and, for the flags, against the
 * CPU we run on. SEED=n repeats a run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "lib/bitops.h"
#include "lib/compiler.h"
#include "lib/errno.h"
#include "unittests/seed.h"
#include "vmm/decode.h"

#define ALU_ROUNDS 200000 /* random operands per operation and size */

static uint64_t random_u64(void)
{
	return seed_below(1ULL << 32) << 32 | seed_below(1ULL << 32);
}

#define NO INSN_NO_REG

static const struct good {
	uint8_t mode, bytes[15];
	struct insn want;
} good[] = {
	/* mov eax, [0xfee00030] of a 32-bit kernel: moffs */
	{ 32,
	  { 0xa1, 0x30, 0x00, 0xe0, 0xfe },
	  { .len = 5,
	    .op = INSN_MOV,
	    .size = 4,
	    .reg_size = 4,
	    .mem = { INSN_DS, NO, NO, 1, 4, (int32_t)0xfee00030 } } },
	/* movabs [0x11223344fee000b0], eax */
	{ 64,
	  { 0xa3, 0xb0, 0x00, 0xe0, 0xfe, 0x44, 0x33, 0x22, 0x11 },
	  { .len = 9,
	    .op = INSN_MOV,
	    .size = 4,
	    .reg_size = 4,
	    .mem_first = true,
	    .mem = { INSN_DS, NO, NO, 1, 8, 0x11223344fee000b0 } } },
	/* mov dword [rip + 0x10], -1 */
	{ 64,
	  { 0xc7, 0x05, 0x10, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff },
	  { .len = 10,
	    .op = INSN_MOV,
	    .size = 4,
	    .reg_size = 4,
	    .mem_first = true,
	    .has_imm = true,
	    .imm = 0xffffffff,
	    .mem = { INSN_DS, INSN_RIP, NO, 1, 8, 0x10 } } },
	/* mov qword [r12], -2: a SIB byte for R12, sign extension */
	{ 64,
	  { 0x49, 0xc7, 0x04, 0x24, 0xfe, 0xff, 0xff, 0xff },
	  { .len = 8,
	    .op = INSN_MOV,
	    .size = 8,
	    .reg_size = 8,
	    .mem_first = true,
	    .has_imm = true,
	    .imm = -2ULL,
	    .mem = { INSN_DS, 12, NO, 1, 8, 0 } } },
	/* mov r8d, [r13 + r12 * 4 - 8] */
	{ 64,
	  { 0x47, 0x8b, 0x44, 0xa5, 0xf8 },
	  { .len = 5,
	    .op = INSN_MOV,
	    .size = 4,
	    .reg_size = 4,
	    .reg = 8,
	    .mem = { INSN_DS, 13, 12, 4, 8, -8 } } },
	/* mov bh, gs:[eax] and mov dil, [rax] */
	{ 64,
	  { 0x65, 0x67, 0x8a, 0x38 },
	  { .len = 4,
	    .op = INSN_MOV,
	    .size = 1,
	    .reg_size = 1,
	    .reg = 3,
	    .reg_high = true,
	    .mem = { INSN_GS, 0, NO, 1, 4, 0 } } },
	{ 64,
	  { 0x40, 0x8a, 0x38 },
	  { .len = 3,
	    .op = INSN_MOV,
	    .size = 1,
	    .reg_size = 1,
	    .reg = 7,
	    .mem = { INSN_DS, 0, NO, 1, 8, 0 } } },
	/* a REX that is not last does not count; CS does not undo FS in 64-bit mode */
	{ 64,
	  { 0x48, 0x64, 0x2e, 0x89, 0x00 },
	  { .len = 5,
	    .op = INSN_MOV,
	    .size = 4,
	    .reg_size = 4,
	    .mem_first = true,
	    .mem = { INSN_FS, 0, NO, 1, 8, 0 } } },
	/* 16-bit code: mov [bp + di - 2], ax; mov eax, [0x8000]; mov ax, [esp] */
	{ 16,
	  { 0x89, 0x43, 0xfe },
	  { .len = 3,
	    .op = INSN_MOV,
	    .size = 2,
	    .reg_size = 2,
	    .mem_first = true,
	    .mem = { INSN_SS, 5, 7, 1, 2, -2 } } },
	{ 16,
	  { 0x66, 0x8b, 0x06, 0x00, 0x80 },
	  { .len = 5,
	    .op = INSN_MOV,
	    .size = 4,
	    .reg_size = 4,
	    .mem = { INSN_DS, NO, NO, 1, 2, -0x8000 } } },
	{ 16,
	  { 0x67, 0x8b, 0x04, 0x24 },
	  { .len = 4,
	    .op = INSN_MOV,
	    .size = 2,
	    .reg_size = 2,
	    .mem = { INSN_SS, 4, NO, 1, 4, 0 } } },
	/* movzx ecx, word [rdi]; movsx r9, byte [rdi]; movsxd rax, dword [rdi] */
	{ 64,
	  { 0x0f, 0xb7, 0x0f },
	  { .len = 3,
	    .op = INSN_MOVZX,
	    .size = 2,
	    .reg_size = 4,
	    .reg = 1,
	    .mem = { INSN_DS, 7, NO, 1, 8, 0 } } },
	{ 64,
	  { 0x4c, 0x0f, 0xbe, 0x0f },
	  { .len = 4,
	    .op = INSN_MOVSX,
	    .size = 1,
	    .reg_size = 8,
	    .reg = 9,
	    .mem = { INSN_DS, 7, NO, 1, 8, 0 } } },
	{ 64,
	  { 0x48, 0x63, 0x07 },
	  { .len = 3,
	    .op = INSN_MOVSX,
	    .size = 4,
	    .reg_size = 8,
	    .mem = { INSN_DS, 7, NO, 1, 8, 0 } } },
	/* rep stosd; fs lodsb; rep movsw es:[di], cs:[si] */
	{ 64,
	  { 0xf3, 0xab },
	  { .len = 2,
	    .op = INSN_STOS,
	    .size = 4,
	    .reg_size = 4,
	    .mem_first = true,
	    .rep = true,
	    .mem = { INSN_ES, 7, NO, 1, 8, 0 } } },
	{ 32,
	  { 0x64, 0xac },
	  { .len = 2,
	    .op = INSN_LODS,
	    .size = 1,
	    .reg_size = 1,
	    .mem = { INSN_FS, 6, NO, 1, 4, 0 } } },
	{ 16,
	  { 0x2e, 0xf3, 0xa5 },
	  { .len = 3,
	    .op = INSN_MOVS,
	    .size = 2,
	    .reg_size = 2,
	    .mem_first = true,
	    .rep = true,
	    .mem = { INSN_ES, 7, NO, 1, 2, 0 },
	    .src = { INSN_CS, 6, NO, 1, 2, 0 } } },
	/* lock or dword [ebx], 0x80 (sign-extended byte) */
	{ 32,
	  { 0xf0, 0x83, 0x0b, 0x80 },
	  { .len = 4,
	    .op = INSN_OR,
	    .size = 4,
	    .reg_size = 4,
	    .mem_first = true,
	    .has_imm = true,
	    .imm = 0xffffff80,
	    .mem = { INSN_DS, 3, NO, 1, 4, 0 } } },
	/* cmp [rax], rdx and cmp rdx, [rax] are not the same */
	{ 64,
	  { 0x48, 0x39, 0x10 },
	  { .len = 3,
	    .op = INSN_CMP,
	    .size = 8,
	    .reg_size = 8,
	    .reg = 2,
	    .mem_first = true,
	    .mem = { INSN_DS, 0, NO, 1, 8, 0 } } },
	{ 64,
	  { 0x48, 0x3b, 0x10 },
	  { .len = 3,
	    .op = INSN_CMP,
	    .size = 8,
	    .reg_size = 8,
	    .reg = 2,
	    .mem = { INSN_DS, 0, NO, 1, 8, 0 } } },
	/* test byte [esi + 5], 0x20; xchg [rax], ah */
	{ 32,
	  { 0xf6, 0x46, 0x05, 0x20 },
	  { .len = 4,
	    .op = INSN_TEST,
	    .size = 1,
	    .reg_size = 1,
	    .mem_first = true,
	    .has_imm = true,
	    .imm = 0x20,
	    .mem = { INSN_DS, 6, NO, 1, 4, 5 } } },
	{ 64,
	  { 0x86, 0x20 },
	  { .len = 2,
	    .op = INSN_XCHG,
	    .size = 1,
	    .reg_size = 1,
	    .reg_high = true,
	    .mem_first = true,
	    .mem = { INSN_DS, 0, NO, 1, 8, 0 } } },
};

static const struct bad {
	uint8_t mode, len, bytes[16];
	int err;
} bad[] = {
	{ 64, 0, { 0 }, -E2BIG },
	{ 64, 1, { 0x0f }, -E2BIG },
	{ 64, 5, { 0xc7, 0x05, 0, 0, 0 }, -E2BIG },
	{ 64, 2, { 0x89, 0xc8 }, -EINVAL },	  /* registers only */
	{ 64, 2, { 0x11, 0x00 }, -EINVAL },	  /* adc */
	{ 64, 3, { 0x83, 0x10, 1 }, -EINVAL },	  /* adc of group 1 */
	{ 64, 2, { 0xf7, 0x18 }, -EINVAL },	  /* neg of group 3 */
	{ 64, 2, { 0xc6, 0x08 }, -EINVAL },	  /* group 11, not /0 */
	{ 64, 3, { 0x82, 0x00, 1 }, -EINVAL },	  /* not in 64-bit mode */
	{ 32, 2, { 0x63, 0x07 }, -EINVAL },	  /* arpl */
	{ 32, 3, { 0xf0, 0x89, 0x00 }, -EINVAL }, /* lock mov */
	{ 32, 3, { 0xf0, 0x3b, 0x00 }, -EINVAL }, /* lock cmp */
	{ 32, 3, { 0xf0, 0x03, 0x00 }, -EINVAL }, /* lock add reg, mem */
	{ 32, 2, { 0x0f, 0xb8 }, -EINVAL },
	{ 64,
	  15,
	  { 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
	    0x66 },
	  -EINVAL },
	/* 16 bytes: one prefix too many */
	{ 64,
	  16,
	  { 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
	    0x89, 0x00 },
	  -EINVAL },
};

static void assert_mem_equal(const struct insn_mem *a, const struct insn_mem *b)
{
	assert_int_equal(a->seg, b->seg);
	assert_int_equal(a->base, b->base);
	assert_int_equal(a->index, b->index);
	assert_int_equal(a->scale, b->scale);
	assert_int_equal(a->addr_size, b->addr_size);
	assert_true(a->disp == b->disp);
}

/* The table; each instruction also cut short by every number of bytes. */
static void test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		const struct insn *w = &good[i].want;
		struct insn is;

		for (size_t len = 0; len < w->len; len++)
			assert_int_equal(decode_insn(good[i].bytes, len, good[i].mode, &is),
					 -E2BIG);
		assert_int_equal(decode_insn(good[i].bytes, w->len, good[i].mode, &is), 0);
		assert_int_equal(is.len, w->len);
		assert_int_equal(is.op, w->op);
		assert_int_equal(is.size, w->size);
		assert_int_equal(is.reg_size, w->reg_size);
		assert_int_equal(is.mem_first, w->mem_first);
		assert_int_equal(is.has_imm, w->has_imm);
		assert_int_equal(is.reg_high, w->reg_high);
		assert_int_equal(is.rep, w->rep);
		assert_int_equal(is.reg, w->reg);
		assert_true(is.imm == w->imm);
		assert_mem_equal(&is.mem, &w->mem);
		assert_mem_equal(&is.src, &w->src);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct insn is;

		assert_int_equal(decode_insn(bad[i].bytes, bad[i].len, bad[i].mode, &is),
				 bad[i].err);
	}
}

static void test_offset(void **state)
{
	const uint64_t regs[16] = { [3] = 0x1ffff, [6] = 2, [12] = ~0ULL };
	const struct insn_mem wrap16 = { INSN_DS, 3, 6, 1, 2, 0x10 };
	const struct insn_mem rip = { INSN_DS, INSN_RIP, NO, 1, 8, -0x10 };
	const struct insn_mem sib = { INSN_DS, NO, 12, 8, 8, 0x20 };
	const struct insn_mem abs32 = { INSN_DS, NO, NO, 1, 4, (int32_t)0xfee00000 };

	(void)state;
	assert_true(decode_offset(&wrap16, regs, 0) == 0x11);
	assert_true(decode_offset(&rip, regs, 0x1000) == 0xff0);
	assert_true(decode_offset(&sib, regs, 0) == 0x18);
	assert_true(decode_offset(&abs32, regs, 0) == 0xfee00000);
}

/* ---- the CPU ---- */

static uint64_t cut(uint64_t v, unsigned int size)
{
	return v & BITS(8 * size - 1, 0);
}

#define FLAGS_STATUS 0x8d5ULL
#define FLAG_AF	     0x10ULL

#define CPU_OP(insn, type, a, b, flags)                              \
	({                                                           \
		type cpu_a = (type)(a), cpu_b = (type)(b);           \
                                                                     \
		__asm__ volatile(insn " %2, %0\n\tpushfq\n\tpopq %1" \
				 : "+r"(cpu_a), "=r"(flags)          \
				 : "r"(cpu_b)                        \
				 : "cc");                            \
		(uint64_t) cpu_a;                                    \
	})
#define CPU_SIZES(insn)                                         \
	(size == 1   ? CPU_OP(insn "b", uint8_t, a, b, *flags)  \
	 : size == 2 ? CPU_OP(insn "w", uint16_t, a, b, *flags) \
	 : size == 4 ? CPU_OP(insn "l", uint32_t, a, b, *flags) \
		     : CPU_OP(insn "q", uint64_t, a, b, *flags))

static uint64_t cpu_alu(enum insn_op op, uint64_t a, uint64_t b, unsigned int size, uint64_t *flags)
{
	switch (op) {
	case INSN_ADD:
		return CPU_SIZES("add");
	case INSN_SUB:
		return CPU_SIZES("sub");
	case INSN_AND:
		return CPU_SIZES("and");
	case INSN_OR:
		return CPU_SIZES("or");
	case INSN_XOR:
		return CPU_SIZES("xor");
	case INSN_CMP:
		return CPU_SIZES("cmp");
	default:
		return CPU_SIZES("test");
	}
}

static void test_alu_as_cpu(void **state)
{
	static const uint64_t corners[] = { 0,		1,	0x7f,	   0x80,
					    0xff,	0x7fff, 0x8000,	   0x7fffffff,
					    0x80000000, ~0ULL,	1ULL << 63 };

	(void)state;
	for (enum insn_op op = INSN_ADD; op <= INSN_TEST; op++) {
		for (unsigned int n = 0; n < 4 * ALU_ROUNDS; n++) {
			unsigned int size = 1U << (n & 3);
			uint64_t a = random_u64(), b = random_u64(), is, want,
				 flags = ~FLAGS_STATUS;
			uint64_t mask = FLAGS_STATUS, cpu_flags;

			if (seed_below(4) == 0)
				a = corners[seed_below(ARRAY_SIZE(corners))];
			if (seed_below(4) == 0)
				b = seed_below(2) ? a : corners[seed_below(ARRAY_SIZE(corners))];
			want = cpu_alu(op, a, b, size, &cpu_flags);
			is = decode_alu(op, a, b, size, &flags);
			if (op != INSN_CMP && op != INSN_TEST)
				assert_true(is == want);
			else /* the CPU keeps the first operand and drops the result */
				assert_true(is == cut(op == INSN_CMP ? a - b : a & b, size));
			if (op != INSN_ADD && op != INSN_SUB && op != INSN_CMP)
				mask &= ~FLAG_AF; /* undefined */
			assert_true((flags & mask) == (cpu_flags & mask));
			assert_true((flags | FLAGS_STATUS) == ~0ULL);
		}
	}
}

static void test_alu_without_flags(void **state)
{
	uint64_t flags = 0x8d7;

	(void)state;
	assert_true(decode_alu(INSN_XCHG, 1, 0x1ff, 1, &flags) == 0xff);
	assert_true(flags == 0x8d7);
}

/* Asked again, it says the same; other bytes, another length or mode is another question, and an error is not kept. */
static void test_again(void **state)
{
	static const union insn_bytes mov = { .byte = { 0x89, 0x07 } }, inc = { .byte = { 0xff } },
				      none = { .byte = { 0 } };
	struct decode_memo memo = { .mode = 0 };
	const struct insn *insn;

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(decode_again(&memo, &mov, 15, DECODE_64, &insn), 0);
		assert_int_equal(insn->op, INSN_MOV);
		assert_int_equal(insn->len, 2);
		assert_int_equal(insn->mem.addr_size, 8);
		memo.insn.imm = 7; /* still there the second time: it was not decoded anew */
	}
	assert_int_equal(memo.insn.imm, 7);
	assert_int_equal(decode_again(&memo, &mov, 15, DECODE_32, &insn), 0);
	assert_int_equal(insn->mem.addr_size, 4);
	assert_int_equal(decode_again(&memo, &mov, 1, DECODE_32, &insn), -E2BIG);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(decode_again(&memo, &inc, 15, DECODE_64, &insn), -EINVAL);
		assert_int_equal(decode_again(&memo, &none, 0, DECODE_64, &insn), -E2BIG);
		assert_int_equal(decode_again(&memo, &none, 0, DECODE_64, &insn), -E2BIG);
		assert_int_equal(decode_again(&memo, &mov, 15, DECODE_64, &insn), 0);
		assert_int_equal(insn->mem.addr_size, 8);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_offset),
		cmocka_unit_test(test_alu_as_cpu),
		cmocka_unit_test(test_alu_without_flags),
	};

	seed_start(20240229);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
