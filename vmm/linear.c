/* SPDX-License-Identifier: MIT */
/*
 * Segmentation (SDM, "Segment limits, types and privilege levels" in "Protection") and access
 * to guest memory by linear address.
 */
#include "vmm/linear.h"
#include "arch/regs.h"
#include "arch/vmx.h"
#include "lib/string.h"
#include "vmm/guestmem.h"

#define TYPE_ACCESSIBLE 0x2u /* data: writable; code: readable */
#define TYPE_DOWN	0x4u /* data: expands downwards */
#define TYPE_CODE	0x8u

/* The fields of the six segments are two apart, in the SDM's order of the registers. */
static uint64_t segment_field(uint32_t es_field, enum insn_seg seg)
{
	return vmcs_read(es_field + 2 * (uint32_t)seg);
}

static bool is_canonical(uint64_t address)
{
	return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

static bool in_limit(uint32_t ar, uint64_t limit, uint64_t first, uint64_t last)
{
	bool down = (ar & (TYPE_CODE | TYPE_DOWN)) == TYPE_DOWN;

	if (!down)
		return last <= limit;
	return first > limit && last <= (ar & SEG_AR_DB ? 0xffffffffUL : 0xffffUL);
}

/* Real mode and virtual-8086 mode look at the limit only. */
static bool has_types(void)
{
	return (vmcs_read(VMCS_GUEST_CR0) & CR0_PE) && !(vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_VM);
}

static bool segment_allows(enum insn_seg seg, uint64_t offset, unsigned int size, bool write)
{
	uint32_t ar = (uint32_t)segment_field(VMCS_GUEST_ES_AR, seg);

	if (has_types()) {
		if (ar & SEG_AR_UNUSABLE)
			return false;
		if (write && (ar & (TYPE_CODE | TYPE_ACCESSIBLE)) != TYPE_ACCESSIBLE)
			return false;
		if (!write && (ar & (TYPE_CODE | TYPE_ACCESSIBLE)) == TYPE_CODE)
			return false;
	}
	return in_limit(ar, segment_field(VMCS_GUEST_ES_LIMIT, seg), offset, offset + size - 1);
}

bool linear_of(struct vcpu *v, enum insn_seg seg, uint64_t offset, unsigned int size, bool write,
	       gva_t *out)
{
	uint64_t base = segment_field(VMCS_GUEST_ES_BASE, seg);
	bool ok;

	if (vcpu_in_64bit(v)) {
		/* ES, CS, SS and DS begin at 0, whatever their descriptors say; no limits. */
		*out = GVA((seg == INSN_FS || seg == INSN_GS ? base : 0) + offset);
		ok = is_canonical(out->v) && is_canonical(out->v + size - 1);
	} else {
		offset = (uint32_t)offset;
		*out = GVA((uint32_t)(base + offset));
		ok = segment_allows(seg, offset, size, write);
	}
	if (!ok)
		inject_exception_code(v, seg == INSN_SS ? VEC_SS : VEC_GP, 0);
	return ok;
}

/* The part of an access that lies in one page. */
struct part {
	gpa_t gpa;
	size_t len;
};

/* Translates both pages that an access may touch before either is accessed. */
static bool translate(struct vcpu *v, gva_t gva, size_t len, uint32_t access, struct part part[2])
{
	uint64_t wrap = vcpu_in_64bit(v) ? ~0UL : 0xffffffffUL;
	size_t room = PAGE_SIZE - (gva.v & (PAGE_SIZE - 1));
	uint32_t error;

	part[0].len = len < room ? len : room;
	part[1].len = len - part[0].len;
	for (int i = 0; i < 2 && part[i].len; i++) {
		if (guestmem_translate(v, gva, access, &part[i].gpa, &error)) {
			inject_page_fault(v, gva.v, error);
			return false;
		}
		gva = GVA((gva.v + part[i].len) & wrap);
	}
	return true;
}

bool linear_read(struct vcpu *v, gva_t gva, void *buf, size_t len)
{
	struct part part[2];
	uint8_t *at = buf;

	if (!translate(v, gva, len, 0, part))
		return false;
	for (int i = 0; i < 2; at += part[i++].len)
		if (part[i].len && guestmem_read(v->vm, part[i].gpa, at, part[i].len))
			memset(at, 0xff, part[i].len);
	return true;
}

bool linear_write(struct vcpu *v, gva_t gva, const void *buf, size_t len)
{
	struct part part[2];
	const uint8_t *at = buf;

	if (!translate(v, gva, len, PF_WRITE, part))
		return false;
	for (int i = 0; i < 2; at += part[i++].len)
		if (part[i].len && guestmem_write(v->vm, part[i].gpa, at, part[i].len))
			continue; /* no RAM: the bytes vanish */
	return true;
}

size_t linear_fetch(struct vcpu *v, uint8_t *buf, size_t len)
{
	bool wide = vcpu_in_64bit(v);
	uint64_t rip = vmcs_read(VMCS_GUEST_RIP), base = wide ? 0 : vmcs_read(VMCS_GUEST_CS_BASE);
	size_t done = 0;

	while (done < len) {
		uint64_t at = base + rip + done;
		gva_t gva = GVA(wide ? at : (uint32_t)at);
		size_t n = PAGE_SIZE - (gva.v & (PAGE_SIZE - 1));
		uint32_t error;
		gpa_t gpa;

		n = n < len - done ? n : len - done;
		if (guestmem_translate(v, gva, PF_FETCH, &gpa, &error) ||
		    guestmem_read(v->vm, gpa, buf + done, n))
			break;
		done += n;
	}
	return done;
}

enum decode_mode linear_code_size(const struct vcpu *v)
{
	if (vcpu_in_64bit(v))
		return DECODE_64;
	return vmcs_read32(VMCS_GUEST_CS_AR) & SEG_AR_DB ? DECODE_32 : DECODE_16;
}

static uint64_t address_mask(unsigned int addr_size)
{
	return addr_size == 8 ? ~0UL : addr_size == 4 ? 0xffffffffUL : 0xffffUL;
}

uint64_t linear_reg(const struct vcpu *v, unsigned int reg, unsigned int addr_size)
{
	return vcpu_reg(v, reg) & address_mask(addr_size);
}

void linear_step(struct vcpu *v, unsigned int reg, uint64_t delta, unsigned int addr_size)
{
	uint64_t old = vcpu_reg(v, reg), mask = address_mask(addr_size);
	/* As every 32-bit result, a 32-bit address clears the upper half; a 16-bit one keeps it. */
	uint64_t kept = addr_size == 2 ? old & ~mask : 0;

	vcpu_set_reg(v, reg, kept | ((old + delta) & mask));
}
