/* SPDX-License-Identifier: MIT */
/*
 * vmm/decode.c against libcapstone: random bytes in all three modes, compared
 * both ways. SEED=n repeats a run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <capstone/capstone.h>
#include <cmocka.h>
#include "lib/bitops.h"
#include "lib/compiler.h"
#include "lib/errno.h"
#include "unittests/seed.h"
#include "vmm/decode.h"

#define ROUNDS 400000 /* random byte strings per mode */

#define NO INSN_NO_REG

static uint64_t random_u64(void)
{
	return seed_below(1ULL << 32) << 32 | seed_below(1ULL << 32);
}

/* Our operation for a capstone instruction; -1 if it is none of ours. */
static int op_of_capstone(unsigned int id)
{
	static const struct {
		unsigned int id;
		enum insn_op op;
	} map[] = {
		{ X86_INS_MOV, INSN_MOV },	{ X86_INS_MOVABS, INSN_MOV },
		{ X86_INS_MOVZX, INSN_MOVZX },	{ X86_INS_MOVSX, INSN_MOVSX },
		{ X86_INS_MOVSXD, INSN_MOVSX }, { X86_INS_STOSB, INSN_STOS },
		{ X86_INS_STOSW, INSN_STOS },	{ X86_INS_STOSD, INSN_STOS },
		{ X86_INS_STOSQ, INSN_STOS },	{ X86_INS_LODSB, INSN_LODS },
		{ X86_INS_LODSW, INSN_LODS },	{ X86_INS_LODSD, INSN_LODS },
		{ X86_INS_LODSQ, INSN_LODS },	{ X86_INS_MOVSB, INSN_MOVS },
		{ X86_INS_MOVSW, INSN_MOVS },	{ X86_INS_MOVSD, INSN_MOVS },
		{ X86_INS_MOVSQ, INSN_MOVS },	{ X86_INS_XCHG, INSN_XCHG },
		{ X86_INS_ADD, INSN_ADD },	{ X86_INS_OR, INSN_OR },
		{ X86_INS_AND, INSN_AND },	{ X86_INS_SUB, INSN_SUB },
		{ X86_INS_XOR, INSN_XOR },	{ X86_INS_CMP, INSN_CMP },
		{ X86_INS_TEST, INSN_TEST },
	};

	for (size_t i = 0; i < ARRAY_SIZE(map); i++)
		if (map[i].id == id)
			return (int)map[i].op;
	return -1;
}

/* Number, size and half of a general register. */
static bool reg_of_capstone(x86_reg r, uint8_t *reg, uint8_t *size, bool *high)
{
#define R(n, q, d, w, b)                                                                          \
	{ X86_REG_##q, n, 8, false }, { X86_REG_##d, n, 4, false }, { X86_REG_##w, n, 2, false }, \
	{                                                                                         \
		X86_REG_##b, n, 1, false                                                          \
	}
#define N(n) R(n, R##n, R##n##D, R##n##W, R##n##B)
	static const struct {
		x86_reg r;
		uint8_t reg, size;
		bool high;
	} map[] = {
		R(0, RAX, EAX, AX, AL),
		R(1, RCX, ECX, CX, CL),
		R(2, RDX, EDX, DX, DL),
		R(3, RBX, EBX, BX, BL),
		R(4, RSP, ESP, SP, SPL),
		R(5, RBP, EBP, BP, BPL),
		R(6, RSI, ESI, SI, SIL),
		R(7, RDI, EDI, DI, DIL),
		N(8),
		N(9),
		N(10),
		N(11),
		N(12),
		N(13),
		N(14),
		N(15),
		{ X86_REG_AH, 0, 1, true },
		{ X86_REG_CH, 1, 1, true },
		{ X86_REG_DH, 2, 1, true },
		{ X86_REG_BH, 3, 1, true },
		{ X86_REG_RIP, INSN_RIP, 8, false },
		{ X86_REG_EIP, INSN_RIP, 4, false },
		/* "no register", and a SIB byte that names no index */
		{ X86_REG_INVALID, NO, 0, false },
		{ X86_REG_RIZ, NO, 8, false },
		{ X86_REG_EIZ, NO, 4, false },
	};
#undef N
#undef R

	for (size_t i = 0; i < ARRAY_SIZE(map); i++) {
		if (map[i].r != r)
			continue;
		*reg = map[i].reg;
		*size = map[i].size;
		*high = map[i].high;
		return true;
	}
	return false;
}

static uint8_t seg_of_capstone(x86_reg seg, uint8_t none)
{
	switch (seg) {
	case X86_REG_ES:
		return INSN_ES;
	case X86_REG_CS:
		return INSN_CS;
	case X86_REG_SS:
		return INSN_SS;
	case X86_REG_DS:
		return INSN_DS;
	case X86_REG_FS:
		return INSN_FS;
	case X86_REG_GS:
		return INSN_GS;
	default:
		return none;
	}
}

static uint64_t cut(uint64_t v, unsigned int size)
{
	return v & BITS(8 * size - 1, 0);
}

/* What differs between our memory operand and capstone's; NULL if nothing. */
static const char *mem_differs(const struct insn_mem *m, const x86_op_mem *c, enum decode_mode mode,
			       uint8_t addr_size)
{
	bool stack = m->base == 4 || m->base == 5;
	uint8_t seg = seg_of_capstone(c->segment, stack ? INSN_SS : INSN_DS);
	uint8_t reg, size;
	bool high;

	if (!reg_of_capstone(c->base, &reg, &size, &high) || reg != m->base)
		return "base";
	if (size && size != m->addr_size)
		return "address size of the base";
	if (!reg_of_capstone(c->index, &reg, &size, &high) || reg != m->index)
		return "index";
	if (reg != NO && (size != m->addr_size || c->scale != m->scale))
		return "index";
	if (m->addr_size != addr_size)
		return "address size";
	if (cut((uint64_t)c->disp, m->addr_size) != cut((uint64_t)m->disp, m->addr_size))
		return "disp";
	/* 64-bit mode ignores ES, CS, SS, DS, but capstone lets them undo FS and GS. */
	if (mode == DECODE_64 && seg < INSN_FS)
		return c->segment == X86_REG_INVALID && m->seg >= INSN_FS ? "segment" : NULL;
	return seg != m->seg ? "segment" : NULL;
}

/* Compares the operands; NULL or what differs. */
static const char *operands_differ(const struct insn *i, const cs_x86 *x, enum decode_mode mode)
{
	bool seen_reg = false, seen_mem = false;

	for (int n = 0; n < x->op_count; n++) {
		const cs_x86_op *o = &x->operands[n];
		const struct insn_mem *m = &i->mem;
		const char *why;
		uint8_t reg, size;
		bool high;

		switch (o->type) {
		case X86_OP_REG:
			if (!reg_of_capstone(o->reg, &reg, &size, &high) || i->has_imm ||
			    reg != i->reg || size != i->reg_size || high != i->reg_high)
				return "register";
			seen_reg = true;
			break;
		case X86_OP_IMM:
			if (!i->has_imm || cut((uint64_t)o->imm, i->size) != i->imm)
				return "immediate";
			seen_reg = true;
			break;
		case X86_OP_MEM:
			if (i->op == INSN_MOVS && n == 1)
				m = &i->src;
			else if (i->mem_first != (n == 0) && i->op != INSN_XCHG &&
				 i->op != INSN_TEST)
				return "order";
			if (o->size != i->size)
				return "access size";
			why = mem_differs(m, &o->mem, mode, x->addr_size);
			if (why)
				return why;
			seen_mem = true;
			break;
		default:
			return "kind of operand";
		}
	}
	return seen_mem && (seen_reg || i->op == INSN_MOVS) ? NULL : "operands";
}

static bool has_mem(const cs_x86 *x)
{
	for (int n = 0; n < x->op_count; n++)
		if (x->operands[n].type == X86_OP_MEM)
			return true;
	return false;
}

/* Prefixes, an opcode (mostly one of ours) and noise. */
static void random_insn(uint8_t bytes[16], enum decode_mode mode)
{
	static const uint8_t prefixes[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66,
					    0x66, 0x67, 0x67, 0xf0, 0xf2, 0xf3 };
	static const uint8_t opcodes[] = {
		0x00, 0x01, 0x02, 0x03, 0x08, 0x09, 0x0a, 0x0b, 0x20, 0x21, 0x22, 0x23, 0x28,
		0x29, 0x2a, 0x2b, 0x30, 0x31, 0x32, 0x33, 0x38, 0x39, 0x3a, 0x3b, 0x63, 0x80,
		0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8b, 0xa0, 0xa1,
		0xa2, 0xa3, 0xa4, 0xa5, 0xaa, 0xab, 0xac, 0xad, 0xc6, 0xc7, 0xf6, 0xf7,
	};
	static const uint8_t opcodes_0f[] = { 0xb6, 0xb7, 0xbe, 0xbf };
	unsigned int pos = 0;

	for (unsigned int i = 0; i < 16; i++)
		bytes[i] = (uint8_t)random_u64();
	if (seed_below(8) == 0)
		return;
	for (unsigned int n = seed_below(4); n > 0; n--)
		bytes[pos++] = prefixes[seed_below(ARRAY_SIZE(prefixes))];
	if (mode == DECODE_64 && seed_below(2))
		bytes[pos++] = (uint8_t)(0x40 | seed_below(16));
	if (seed_below(6) == 0) {
		bytes[pos++] = 0x0f;
		bytes[pos++] = opcodes_0f[seed_below(ARRAY_SIZE(opcodes_0f))];
	} else {
		bytes[pos++] = opcodes[seed_below(ARRAY_SIZE(opcodes))];
	}
	if (seed_below(3) == 0) /* the forms with special cases */
		bytes[pos] =
			(uint8_t)((bytes[pos] & 0x38) | (seed_below(3) << 6) | 4 | seed_below(2));
}

static void report(const char *what, const uint8_t *bytes, enum decode_mode mode, int err,
		   const struct insn *i, const cs_insn *c)
{
	printf("%s (mode %d):", what, (int)mode);
	for (int n = 0; n < 16; n++)
		printf(" %02x", bytes[n]);
	printf("\n  ours: %d", err);
	if (!err)
		printf(" op %d len %d size %d", i->op, i->len, i->size);
	if (c)
		printf("\n  capstone: %s %s (%d bytes)", c->mnemonic, c->op_str, c->size);
	printf("\n");
}

/* Whether one of the prefixes (the bytes before the opcode) is @prefix. */
static bool has_prefix(const uint8_t *bytes, enum decode_mode mode, uint8_t prefix)
{
	static const uint8_t all[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65,
				       0x66, 0x67, 0xf0, 0xf2, 0xf3 };

	for (; memchr(all, *bytes, sizeof(all)) || (mode == DECODE_64 && (*bytes & 0xf0) == 0x40);
	     bytes++)
		if (*bytes == prefix)
			return true;
	return false;
}

/* What capstone takes for one of ours, and we refuse with reason. */
static bool refused_rightly(const cs_insn *c, enum decode_mode mode)
{
	const cs_x86 *x = &c->detail->x86;
	int op = op_of_capstone(c->id);

	/* MOV to and from a segment register: no device register is accessed so */
	if (x->opcode[0] == 0x8c || x->opcode[0] == 0x8e)
		return true;
	/* LOCK is #UD unless memory is read, changed and written: capstone does not check it */
	return has_prefix(c->bytes, mode, 0xf0) &&
	       (op < INSN_XCHG || op > INSN_XOR || x->operands[0].type != X86_OP_MEM);
}

/*
 * 66 together with F2 or F3: capstone takes F2 or F3 for a mandatory prefix, here
 * where there is none, and then errs over the operand size or knows no instruction.
 */
static bool confuses_capstone(const uint8_t *bytes, enum decode_mode mode)
{
	return has_prefix(bytes, mode, 0x66) &&
	       (has_prefix(bytes, mode, 0xf2) || has_prefix(bytes, mode, 0xf3));
}

/* Why capstone's reading @c (NULL: none) of an accepted @i is another; NULL if it is the same. */
static const char *capstone_differs(const uint8_t *bytes, const struct insn *i, const cs_insn *c,
				    enum decode_mode mode)
{
	bool confused = confuses_capstone(bytes, mode);

	if (!c)
		return confused ? NULL : "accepted alone";
	if (op_of_capstone(c->id) != (int)i->op)
		return "operation";
	if (c->size != i->len)
		return "length";
	/* Capstone always has MOVSXD r64, r/m32; without REX.W it is r32, r/m32 or r16, r/m16. */
	if (confused || (c->id == X86_INS_MOVSXD && i->reg_size != 8))
		return NULL;
	return operands_differ(i, &c->detail->x86, mode);
}

/* Cut short, in a buffer of exactly that size: -E2BIG and nothing read behind it. */
static void check_cut_short(const uint8_t *bytes, size_t len, enum decode_mode mode)
{
	size_t some = seed_below(len);
	uint8_t *copy = malloc(some);
	struct insn i;

	memcpy(copy, bytes, some);
	assert_int_equal(decode_insn(copy, some, mode, &i), -E2BIG);
	free(copy);
}

static void compare_mode(enum decode_mode mode)
{
	cs_mode cmode = mode == DECODE_64   ? CS_MODE_64
			: mode == DECODE_32 ? CS_MODE_32
					    : CS_MODE_16;
	unsigned long accepted = 0, failed = 0;
	cs_insn *c;
	csh h;

	assert_int_equal(cs_open(CS_ARCH_X86, cmode, &h), CS_ERR_OK);
	assert_int_equal(cs_option(h, CS_OPT_DETAIL, CS_OPT_ON), CS_ERR_OK);
	c = cs_malloc(h);
	for (unsigned int n = 0; n < ROUNDS && failed < 10; n++) {
		uint8_t bytes[16];
		const uint8_t *at = bytes;
		uint64_t addr = 0;
		size_t left = sizeof(bytes);
		const char *why = NULL;
		struct insn i;
		bool known;
		int err;

		random_insn(bytes, mode);
		err = decode_insn(bytes, sizeof(bytes), mode, &i);
		known = cs_disasm_iter(h, &at, &left, &addr, c);
		if (!err) {
			check_cut_short(bytes, i.len, mode);
			why = capstone_differs(bytes, &i, known ? c : NULL, mode);
		} else if (known && op_of_capstone(c->id) >= 0 && has_mem(&c->detail->x86) &&
			   !refused_rightly(c, mode)) {
			why = "refused";
		}
		accepted += !err;
		if (why) {
			report(why, bytes, mode, err, &i, known ? c : NULL);
			failed++;
		}
	}
	cs_free(c, 1);
	cs_close(&h);
	assert_int_equal(failed, 0);
	/* most of the byte strings were made to be ours */
	assert_true(accepted > ROUNDS / 4);
}

static void test_capstone_16(void **state)
{
	(void)state;
	compare_mode(DECODE_16);
}

static void test_capstone_32(void **state)
{
	(void)state;
	compare_mode(DECODE_32);
}

static void test_capstone_64(void **state)
{
	(void)state;
	compare_mode(DECODE_64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_capstone_16),
		cmocka_unit_test(test_capstone_32),
		cmocka_unit_test(test_capstone_64),
	};

	seed_start(20240229);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
