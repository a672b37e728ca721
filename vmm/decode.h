/* SPDX-License-Identifier: MIT */
/*
 * The smallest x86 decoder for accesses to emulated devices: what compilers and
 * guests use on device registers, and no more. Pure functions (bytes in, struct
 * out): the caller fetches, accesses and moves RIP.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/compiler.h"

#define DECODE_LEN_MAX 15 /* a longer instruction is #GP */

/* What CS.L and CS.D make of the bytes. */
enum decode_mode { DECODE_16 = 16, DECODE_32 = 32, DECODE_64 = 64 };

enum insn_op {
	INSN_MOV,
	INSN_MOVZX,
	INSN_MOVSX, /* MOVSXD too */
	INSN_STOS,
	INSN_LODS,
	INSN_MOVS,
	INSN_XCHG,
	INSN_ADD,
	INSN_OR,
	INSN_AND,
	INSN_SUB,
	INSN_XOR,
	INSN_CMP,
	INSN_TEST,
};

/* Segment registers, numbered as in the SDM. */
enum insn_seg { INSN_ES, INSN_CS, INSN_SS, INSN_DS, INSN_FS, INSN_GS };

/* Registers have the SDM's numbers, 0 (rAX) to 15 (R15). */
#define INSN_RIP    16 /* as a base: the address behind the instruction */
#define INSN_NO_REG 0xff

/* seg:[base + index * scale + disp], the sum cut to @addr_size bytes. */
struct insn_mem {
	uint8_t seg;	   /* enum insn_seg: the override, or else the default */
	uint8_t base;	   /* 0-15, INSN_RIP, INSN_NO_REG */
	uint8_t index;	   /* 0-15, INSN_NO_REG */
	uint8_t scale;	   /* 1, 2, 4, 8 */
	uint8_t addr_size; /* 2, 4, 8 */
	int64_t disp;
};

struct insn {
	uint8_t len;	  /* of the whole instruction */
	uint8_t op;	  /* enum insn_op */
	uint8_t size;	  /* bytes accessed in memory: 1, 2, 4, 8 */
	uint8_t reg_size; /* bytes of the register; more than @size for MOVZX and MOVSX only */
	bool mem_first;	  /* memory is the first operand, written except by CMP and TEST */
	bool has_imm;	  /* the other operand is @imm, not @reg */
	bool reg_high;	  /* AH, CH, DH, BH: bits 8-15 of @reg, which is 0 to 3 */
	bool rep;	  /* STOS, LODS, MOVS: rCX times; one step at a time is correct */
	uint8_t reg;	  /* 0-15; a 4-byte write clears the upper half in 64-bit mode */
	uint64_t imm;	  /* sign extended, then cut to @size */
	struct insn_mem mem;
	struct insn_mem src; /* MOVS only, which copies from here to @mem */
};

/* The bytes of an instruction and what follows; behind those that could be had there are zeros. */
union insn_bytes {
	uint8_t byte[DECODE_LEN_MAX + 1];
	uint64_t word[2];
};

/* The last instruction that was decoded: device registers are accessed by few places in a system. */
struct decode_memo {
	union insn_bytes bytes;
	size_t len;
	enum decode_mode mode; /* 0: none yet */
	struct insn insn;
};

/* As decode_insn(), but of the same bytes as the last time it knows the answer. *@out is part of @memo. */
int decode_again(struct decode_memo *memo, const union insn_bytes *bytes, size_t len,
		 enum decode_mode mode, const struct insn **out) __must_check;

/*
 * Decodes the instruction at @bytes. -E2BIG: it goes on behind @len; -EINVAL: it
 * is illegal, has no memory operand or is none of the above.
 */
int decode_insn(const uint8_t *bytes, size_t len, enum decode_mode mode,
		struct insn *out) __must_check;

/*
 * The offset in its segment that @mem names; @regs by number, @next_rip behind
 * the instruction.
 */
uint64_t decode_offset(const struct insn_mem *mem, const uint64_t regs[16], uint64_t next_rip);

/*
 * What @op makes of its first operand @a and its second @b (@size bytes each),
 * with the arithmetic flags in *@rflags. CMP and TEST return what they compute
 * and do not store. The operations without flags (MOV, XCHG, ..) return @b.
 */
uint64_t decode_alu(enum insn_op op, uint64_t a, uint64_t b, unsigned int size, uint64_t *rflags);
