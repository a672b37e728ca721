/* SPDX-License-Identifier: MIT */
/*
 * Decoder for accesses to emulated devices: SDM Vol. 2, "Instruction format" and
 * Appendix A, "Opcode map". One table of forms says what is understood.
 */
#include "vmm/decode.h"
#include "lib/bitops.h"
#include "lib/errno.h"

enum { REG_AX = 0, REG_BX = 3, REG_SP = 4, REG_BP = 5, REG_SI = 6, REG_DI = 7 };

/* What stands behind the opcode, and which operand comes first. */
enum shape {
	SHAPE_RM_REG, /* ModRM: r/m, reg */
	SHAPE_RM_DIR, /* ModRM: as above, or with opcode bit 1 set: reg, r/m */
	SHAPE_EXTEND, /* ModRM: reg, shorter r/m */
	SHAPE_IMM,    /* ModRM with the operation in its reg field, immediate of operand size */
	SHAPE_IMM8,   /* the same with a sign-extended byte */
	SHAPE_MOFFS,  /* accumulator and an absolute address, bit 1 as in RM_DIR but reversed */
	SHAPE_STRING,
};

enum where { ANYWHERE, ONLY_64, NOT_64 };

#define MAP_0F 0x100 /* opcode of the map behind the byte 0F */

/* Bit 0 of the opcode: bytes or the operand size (but see SHAPE_EXTEND). */
static const struct form {
	uint16_t opcode, mask;
	uint8_t op, shape, where;
} forms[] = {
	{ 0x00, 0x1fc, INSN_ADD, SHAPE_RM_DIR, ANYWHERE },
	{ 0x08, 0x1fc, INSN_OR, SHAPE_RM_DIR, ANYWHERE },
	{ 0x20, 0x1fc, INSN_AND, SHAPE_RM_DIR, ANYWHERE },
	{ 0x28, 0x1fc, INSN_SUB, SHAPE_RM_DIR, ANYWHERE },
	{ 0x30, 0x1fc, INSN_XOR, SHAPE_RM_DIR, ANYWHERE },
	{ 0x38, 0x1fc, INSN_CMP, SHAPE_RM_DIR, ANYWHERE },
	{ 0x63, 0x1ff, INSN_MOVSX, SHAPE_EXTEND, ONLY_64 }, /* else ARPL */
	{ 0x80, 0x1fe, INSN_ADD, SHAPE_IMM, ANYWHERE },
	{ 0x82, 0x1ff, INSN_ADD, SHAPE_IMM, NOT_64 },
	{ 0x83, 0x1ff, INSN_ADD, SHAPE_IMM8, ANYWHERE },
	{ 0x84, 0x1fe, INSN_TEST, SHAPE_RM_REG, ANYWHERE },
	{ 0x86, 0x1fe, INSN_XCHG, SHAPE_RM_REG, ANYWHERE },
	{ 0x88, 0x1fc, INSN_MOV, SHAPE_RM_DIR, ANYWHERE },
	{ 0xa0, 0x1fc, INSN_MOV, SHAPE_MOFFS, ANYWHERE },
	{ 0xa4, 0x1fe, INSN_MOVS, SHAPE_STRING, ANYWHERE },
	{ 0xaa, 0x1fe, INSN_STOS, SHAPE_STRING, ANYWHERE },
	{ 0xac, 0x1fe, INSN_LODS, SHAPE_STRING, ANYWHERE },
	{ 0xc6, 0x1fe, INSN_MOV, SHAPE_IMM, ANYWHERE },
	{ 0xf6, 0x1fe, INSN_TEST, SHAPE_IMM, ANYWHERE },
	{ MAP_0F | 0xb6, 0x1fe, INSN_MOVZX, SHAPE_EXTEND, ANYWHERE },
	{ MAP_0F | 0xbe, 0x1fe, INSN_MOVSX, SHAPE_EXTEND, ANYWHERE },
};

/* "Opcode extensions": the reg field of ModRM names the operation; -1: not ours. */
static const int8_t group1[8] = {
	INSN_ADD, INSN_OR, -1, -1, INSN_AND, INSN_SUB, INSN_XOR, INSN_CMP
};
static const int8_t group3[8] = { INSN_TEST, INSN_TEST, -1, -1, -1, -1, -1, -1 };
static const int8_t group11[8] = { INSN_MOV, -1, -1, -1, -1, -1, -1, -1 };

struct decoder {
	const uint8_t *bytes;
	size_t len, pos;
	int err; /* the first failed fetch; fetches after it return 0 */
	enum decode_mode mode;
	uint8_t rex; /* 0: none */
	bool opsize, addrsize, lock, rep;
	uint8_t seg; /* INSN_NO_REG: no override */
	struct insn *out;
};

static uint8_t fetch_byte(struct decoder *d)
{
	if (d->err)
		return 0;
	if (d->pos >= DECODE_LEN_MAX || d->pos >= d->len) {
		d->err = d->pos >= DECODE_LEN_MAX ? -EINVAL : -E2BIG;
		return 0;
	}
	return d->bytes[d->pos++];
}

/* A little-endian number of @n bytes, sign extended; 0 if there are none. */
static int64_t fetch_signed(struct decoder *d, unsigned int n)
{
	unsigned int unused = 64 - 8 * n;
	uint64_t v = 0;

	for (unsigned int i = 0; i < n; i++)
		v |= (uint64_t)fetch_byte(d) << (8 * i);
	return n ? (int64_t)(v << unused) >> unused : 0;
}

static uint64_t cut(uint64_t v, unsigned int size)
{
	return v & BITS(8 * size - 1, 0);
}

/* 64-bit mode ignores the overrides that name ES, CS, SS and DS: they do not undo FS or GS. */
static void prefix_segment(struct decoder *d, uint8_t seg)
{
	if (d->mode != DECODE_64 || seg == INSN_FS || seg == INSN_GS)
		d->seg = seg;
}

/* Takes @byte if it is a prefix. */
static bool prefix_take(struct decoder *d, uint8_t byte)
{
	if (d->mode == DECODE_64 && (byte & 0xf0) == 0x40) {
		d->rex = byte;
		return true;
	}
	switch (byte) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
		prefix_segment(d, (byte >> 3) & 3);
		break;
	case 0x64:
	case 0x65:
		prefix_segment(d, byte & 7);
		break;
	case 0x66:
		d->opsize = true;
		break;
	case 0x67:
		d->addrsize = true;
		break;
	case 0xf0:
		d->lock = true;
		break;
	case 0xf2: /* repeats the string instructions at hand as F3 does */
	case 0xf3:
		d->rep = true;
		break;
	default:
		return false;
	}
	d->rex = 0; /* REX counts only directly before the opcode */
	return true;
}

/* The prefixes and the opcode, with MAP_0F. */
static unsigned int fetch_opcode(struct decoder *d)
{
	uint8_t byte;

	do
		byte = fetch_byte(d);
	while (prefix_take(d, byte));
	return byte == 0x0f ? MAP_0F | fetch_byte(d) : byte;
}

static const struct form *form_find(unsigned int opcode, enum decode_mode mode)
{
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		const struct form *f = &forms[i];

		if ((opcode & f->mask) == f->opcode)
			return f->where == (mode == DECODE_64 ? NOT_64 : ONLY_64) ? NULL : f;
	}
	return NULL;
}

static unsigned int operand_size(const struct decoder *d)
{
	if (d->rex & 8)
		return 8;
	return d->opsize == (d->mode == DECODE_16) ? 4 : 2;
}

static uint8_t address_size(const struct decoder *d)
{
	if (d->mode == DECODE_64)
		return d->addrsize ? 4 : 8;
	return d->addrsize == (d->mode == DECODE_16) ? 4 : 2;
}

static struct insn_mem mem_make(const struct decoder *d, uint8_t default_seg)
{
	return (struct insn_mem){
		.seg = d->seg == INSN_NO_REG ? default_seg : d->seg,
		.base = INSN_NO_REG,
		.index = INSN_NO_REG,
		.scale = 1,
		.addr_size = address_size(d),
	};
}

/* "16-Bit Addressing Forms with the ModR/M Byte" */
static void fetch_mem16(struct decoder *d, unsigned int mod, unsigned int rm)
{
	static const uint8_t pair[8][2] = {
		{ REG_BX, REG_SI },	 { REG_BX, REG_DI },	  { REG_BP, REG_SI },
		{ REG_BP, REG_DI },	 { REG_SI, INSN_NO_REG }, { REG_DI, INSN_NO_REG },
		{ REG_BP, INSN_NO_REG }, { REG_BX, INSN_NO_REG },
	};
	bool absolute = mod == 0 && rm == 6;
	struct insn_mem *m = &d->out->mem;

	*m = mem_make(d, !absolute && pair[rm][0] == REG_BP ? INSN_SS : INSN_DS);
	if (!absolute) {
		m->base = pair[rm][0];
		m->index = pair[rm][1];
	}
	m->disp = fetch_signed(d, absolute ? 2 : mod);
}

/*
 * "32-Bit Addressing Forms with the ModR/M Byte" and "with the SIB Byte". The
 * traps: REX.B does not take part in "no base" (R13) or "SIB follows" (R12), but
 * REX.X does in "no index" (R12 is one).
 */
static void fetch_mem32(struct decoder *d, unsigned int mod, unsigned int rm)
{
	uint8_t rex_b = (uint8_t)((d->rex & 1) << 3), rex_x = (uint8_t)((d->rex & 2) << 2);
	uint8_t base, index = INSN_NO_REG, scale = 1;
	struct insn_mem *m = &d->out->mem;
	bool no_base;

	if (rm == 4) {
		uint8_t sib = fetch_byte(d);

		no_base = mod == 0 && (sib & 7) == 5;
		base = no_base ? INSN_NO_REG : (sib & 7) | rex_b;
		if (((sib >> 3) & 7) != 4 || rex_x) {
			index = ((sib >> 3) & 7) | rex_x;
			scale = (uint8_t)(1 << (sib >> 6));
		}
	} else {
		no_base = mod == 0 && rm == 5;
		base = (uint8_t)rm | rex_b;
		if (no_base)
			base = d->mode == DECODE_64 ? INSN_RIP : INSN_NO_REG;
	}
	*m = mem_make(d, base == REG_SP || base == REG_BP ? INSN_SS : INSN_DS);
	m->base = base;
	m->index = index;
	m->scale = scale;
	m->disp = fetch_signed(d, no_base || mod == 2 ? 4 : mod);
}

/* Fetches ModRM and what belongs to it; returns its reg field, or -EINVAL if it names no memory. */
static int fetch_modrm(struct decoder *d)
{
	uint8_t modrm = fetch_byte(d);
	unsigned int mod = modrm >> 6, rm = modrm & 7;

	if (mod == 3)
		return -EINVAL;
	if (address_size(d) == 2)
		/* mod is the number of displacement bytes here, except for rm 6 */
		fetch_mem16(d, mod, rm);
	else
		fetch_mem32(d, mod, rm);
	return (modrm >> 3) & 7;
}

static int decode_reg(struct decoder *d, const struct form *f, unsigned int opcode)
{
	struct insn *out = d->out;
	int field = fetch_modrm(d);

	if (field < 0)
		return field;
	if (f->shape == SHAPE_EXTEND) {
		out->reg_size = (uint8_t)operand_size(d);
		/* MOVSXD with 66 has a 16-bit source too: it is a plain MOV then */
		if (opcode == 0x63)
			out->size = MIN(out->reg_size, 4);
		else
			out->size = (opcode & 1) ? 2 : 1;
	} else {
		out->mem_first = f->shape == SHAPE_RM_REG || !(opcode & 2);
	}
	out->reg = (uint8_t)(field | (d->rex & 4) << 1);
	/* Without any REX, even an empty one, the byte registers 4 to 7 are AH, CH, DH, BH. */
	if (out->reg_size == 1 && !d->rex && out->reg >= 4) {
		out->reg_high = true;
		out->reg -= 4;
	}
	return 0;
}

static int decode_imm(struct decoder *d, const struct form *f)
{
	const int8_t *group = f->op == INSN_ADD ? group1 : f->op == INSN_TEST ? group3 : group11;
	struct insn *out = d->out;
	int field = fetch_modrm(d);

	if (field < 0 || group[field] < 0)
		return -EINVAL;
	out->op = (uint8_t)group[field];
	out->mem_first = true;
	out->has_imm = true;
	/* No immediate here is longer than 4 bytes; 8-byte operations sign extend. */
	out->imm = cut((uint64_t)fetch_signed(d, f->shape == SHAPE_IMM8 ? 1 : MIN(out->size, 4)),
		       out->size);
	return 0;
}

static void decode_moffs(struct decoder *d, unsigned int opcode)
{
	struct insn *out = d->out;

	out->mem = mem_make(d, INSN_DS);
	out->mem.disp = fetch_signed(d, out->mem.addr_size);
	out->mem_first = opcode & 2;
}

/* The source DS:rSI can be overridden, the destination ES:rDI cannot. */
static void decode_string(struct decoder *d)
{
	struct insn_mem source = mem_make(d, INSN_DS), dest = source;
	struct insn *out = d->out;

	source.base = REG_SI;
	dest.base = REG_DI;
	dest.seg = INSN_ES;
	out->mem = out->op == INSN_LODS ? source : dest;
	if (out->op == INSN_MOVS)
		out->src = source;
	out->mem_first = out->op != INSN_LODS;
	out->rep = d->rep;
}

/* LOCK before anything that does not read, change and write memory is #UD. */
static bool lock_allowed(const struct insn *i)
{
	return i->mem_first && i->op >= INSN_XCHG && i->op <= INSN_XOR;
}

int decode_insn(const uint8_t *bytes, size_t len, enum decode_mode mode, struct insn *out)
{
	struct decoder d = {
		.bytes = bytes, .len = len, .mode = mode, .seg = INSN_NO_REG, .out = out
	};
	unsigned int opcode = fetch_opcode(&d);
	const struct form *f = form_find(opcode, mode);
	int err = 0;

	if (d.err)
		return d.err;
	if (!f)
		return -EINVAL;
	*out = (struct insn){ .op = f->op, .reg = REG_AX };
	out->size = (uint8_t)((opcode & 1) ? operand_size(&d) : 1);
	out->reg_size = out->size;
	switch (f->shape) {
	case SHAPE_IMM:
	case SHAPE_IMM8:
		err = decode_imm(&d, f);
		break;
	case SHAPE_MOFFS:
		decode_moffs(&d, opcode);
		break;
	case SHAPE_STRING:
		decode_string(&d);
		break;
	default:
		err = decode_reg(&d, f, opcode);
	}
	if (err)
		return err;
	if (d.err)
		return d.err;
	if (d.lock && !lock_allowed(out))
		return -EINVAL;
	out->len = (uint8_t)d.pos;
	return 0;
}

int decode_again(struct decode_memo *memo, const union insn_bytes *bytes, size_t len,
		 enum decode_mode mode, const struct insn **out)
{
	int err;

	*out = &memo->insn;
	if (memo->bytes.word[0] == bytes->word[0] && memo->bytes.word[1] == bytes->word[1] &&
	    memo->len == len && memo->mode == mode)
		return 0;
	err = decode_insn(bytes->byte, len, mode, &memo->insn);
	memo->len = len;
	memo->mode = err ? (enum decode_mode)0 : mode;
	memo->bytes = *bytes;
	return err;
}

uint64_t decode_offset(const struct insn_mem *mem, const uint64_t regs[16], uint64_t next_rip)
{
	uint64_t sum = (uint64_t)mem->disp;

	if (mem->base == INSN_RIP)
		sum += next_rip;
	else if (mem->base != INSN_NO_REG)
		sum += regs[mem->base];
	if (mem->index != INSN_NO_REG)
		sum += regs[mem->index] * mem->scale;
	return cut(sum, mem->addr_size);
}

/* SDM Vol. 1, "Status Flags" */
enum {
	FLAG_CF = 1 << 0,
	FLAG_PF = 1 << 2,
	FLAG_AF = 1 << 4,
	FLAG_ZF = 1 << 6,
	FLAG_SF = 1 << 7,
	FLAG_OF = 1 << 11,
	FLAGS_STATUS = FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF
};

/* ZF, SF and PF of a result; bit n of 0x9669 says whether n has an even number of ones. */
static uint64_t flags_of_result(uint64_t result, uint64_t sign)
{
	uint64_t low = (result ^ (result >> 4)) & 0xf, flags = 0;

	if (!result)
		flags |= FLAG_ZF;
	if (result & sign)
		flags |= FLAG_SF;
	if ((0x9669 >> low) & 1)
		flags |= FLAG_PF;
	return flags;
}

uint64_t decode_alu(enum insn_op op, uint64_t a, uint64_t b, unsigned int size, uint64_t *rflags)
{
	uint64_t sign = BIT(8 * size - 1), result, carry = 0, overflow = 0, flags;

	a = cut(a, size);
	b = cut(b, size);
	switch (op) {
	case INSN_ADD:
		result = cut(a + b, size);
		carry = result < a;
		overflow = ~(a ^ b) & (a ^ result) & sign;
		break;
	case INSN_SUB:
	case INSN_CMP:
		result = cut(a - b, size);
		carry = a < b;
		overflow = (a ^ b) & (a ^ result) & sign;
		break;
	case INSN_OR:
		result = a | b;
		break;
	case INSN_XOR:
		result = a ^ b;
		break;
	case INSN_AND:
	case INSN_TEST:
		result = a & b;
		break;
	default:
		return b;
	}
	flags = flags_of_result(result, sign);
	if (carry)
		flags |= FLAG_CF;
	if (overflow)
		flags |= FLAG_OF;
	/* AF is the carry out of bit 3; AND, OR, XOR and TEST leave it undefined: CPUs clear it */
	if (op == INSN_ADD || op == INSN_SUB || op == INSN_CMP)
		flags |= (a ^ b ^ result) & FLAG_AF;
	*rflags = (*rflags & ~(uint64_t)FLAGS_STATUS) | flags;
	return result;
}
