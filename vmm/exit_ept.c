/* SPDX-License-Identifier: MIT */
/*
 * EPT violations: RAM touched for the first time is mapped; elsewhere the instruction is executed here. Local and I/O
 * APIC answer; where nothing does, it is as on a bus without devices: reads give all ones, writes vanish.
 */
#include "arch/regs.h"
#include "arch/vmx.h"
#include "lib/errno.h"
#include "lib/panic.h"
#include "vmm/apicv.h"
#include "vmm/decode.h"
#include "vmm/ept.h"
#include "vmm/exit.h"
#include "vmm/guestmem.h"
#include "vmm/lapic.h"
#include "vmm/linear.h"
#include "vmm/report.h"
#include "vmm/vm.h"

static uint64_t ones(unsigned int size)
{
	return BITS(8 * size - 1, 0);
}

static uint64_t operand(const struct vcpu *v, const struct insn *insn)
{
	uint64_t value = insn->has_imm ? insn->imm : vcpu_reg(v, insn->reg);

	return (insn->reg_high && !insn->has_imm ? value >> 8 : value) & ones(insn->size);
}

static void set_operand(struct vcpu *v, const struct insn *insn, uint64_t value)
{
	unsigned int size = insn->reg_size, shift = insn->reg_high ? 8 : 0;
	uint64_t mask = ones(size) << shift;

	/* 32-bit results clear the upper half, narrower ones keep the rest. */
	if (size >= 4)
		vcpu_set_reg(v, insn->reg, value & ones(size));
	else
		vcpu_set_reg(v, insn->reg,
			     (vcpu_reg(v, insn->reg) & ~mask) | (value << shift & mask));
}

static uint64_t bus_read(struct vcpu *v, uint64_t gpa, unsigned int size)
{
	if (lapic_has_page(v, gpa))
		return lapic_mmio_read(v, gpa, size);
	if (platform_has_page(v->vm, gpa))
		return platform_mmio_read(v->vm, gpa, size);
	return ones(size);
}

static void bus_write(struct vcpu *v, uint64_t gpa, unsigned int size, uint64_t value)
{
	if (lapic_has_page(v, gpa))
		lapic_mmio_write(v, gpa, size, value);
	else if (platform_has_page(v->vm, gpa))
		platform_mmio_write(v->vm, gpa, size, (uint32_t)value);
}

static uint64_t sign_extend(uint64_t value, unsigned int size)
{
	unsigned int unused = 64 - 8 * size;

	return (uint64_t)((int64_t)(value << unused) >> unused);
}

/* One register operand or immediate, one in memory. */
static __always_inline void do_two_operands(struct vcpu *v, const struct insn *insn, uint64_t gpa)
{
	uint64_t rflags = vmcs_read(VMCS_GUEST_RFLAGS), mem, result;

	if (insn->op == INSN_MOV && insn->mem_first) {
		bus_write(v, gpa, insn->size, operand(v, insn));
		return;
	}
	mem = bus_read(v, gpa, insn->size);
	switch (insn->op) {
	case INSN_XCHG:
		bus_write(v, gpa, insn->size, operand(v, insn));
		set_operand(v, insn, mem);
		return;
	case INSN_MOVZX:
		set_operand(v, insn, mem);
		return;
	case INSN_MOVSX:
		set_operand(v, insn, sign_extend(mem, insn->size));
		return;
	default:
		break;
	}
	if (insn->mem_first) {
		result = decode_alu(insn->op, mem, operand(v, insn), insn->size, &rflags);
		if (insn->op != INSN_CMP && insn->op != INSN_TEST)
			bus_write(v, gpa, insn->size, result);
	} else {
		result = decode_alu(insn->op, operand(v, insn), mem, insn->size, &rflags);
		if (insn->op != INSN_CMP && insn->op != INSN_TEST)
			set_operand(v, insn, result);
	}
	vmcs_write(VMCS_GUEST_RFLAGS, rflags);
}

/* MOVS: one side is the bus, at @gpa, the other may be RAM. False if the guest got a fault instead. */
static __always_inline bool do_movs(struct vcpu *v, const struct insn *insn, uint64_t gpa,
				    bool write)
{
	uint64_t regs[GPR_NR], next_rip = vmcs_read(VMCS_GUEST_RIP) + insn->len, value = 0;
	gva_t from, to;

	for (unsigned int i = 0; i < GPR_NR; i++)
		regs[i] = vcpu_reg(v, i);
	if (!linear_of(v, insn->src.seg, decode_offset(&insn->src, regs, next_rip), insn->size,
		       false, &from) ||
	    !linear_of(v, insn->mem.seg, decode_offset(&insn->mem, regs, next_rip), insn->size,
		       true, &to))
		return false;
	if (!write) {
		value = bus_read(v, gpa, insn->size);
		return linear_write(v, to, &value, insn->size);
	}
	if (!linear_read(v, from, &value, insn->size))
		return false;
	bus_write(v, gpa, insn->size, value);
	return true;
}

/* One step of a string instruction; with a count left, the guest executes it again. */
static __always_inline enum exit_action do_string(struct vcpu *v, const struct insn *insn,
						  uint64_t gpa, bool write)
{
	uint64_t step =
		vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_DF ? -(uint64_t)insn->size : insn->size;
	unsigned int addr_size = insn->mem.addr_size;

	if (insn->op == INSN_MOVS && !do_movs(v, insn, gpa, write))
		return RESUME;
	if (insn->op == INSN_LODS)
		set_operand(v, insn, bus_read(v, gpa, insn->size));
	if (insn->op == INSN_STOS)
		bus_write(v, gpa, insn->size, operand(v, insn));
	if (insn->op != INSN_STOS)
		linear_step(v, RSI, step, addr_size);
	if (insn->op != INSN_LODS)
		linear_step(v, RDI, step, addr_size);
	if (insn->rep) {
		linear_step(v, RCX, -1UL, addr_size);
		if (linear_reg(v, RCX, addr_size))
			return RESUME;
	}
	/* SDM, "VM-exit instruction length": not given for EPT violations; ours is. */
	vcpu_skip_bytes(v, insn->len);
	return RESUME;
}

/* Where a device answers there is no RAM. */
static bool has_device(const struct vcpu *v, uint64_t gpa)
{
	return lapic_has_page(v, gpa) || platform_has_page(v->vm, gpa);
}

/* A data access to a @device or to nothing. */
static __always_inline enum exit_action serve_device(struct vcpu *v, uint64_t gpa, bool device,
						     bool write)
{
	union insn_bytes bytes = { .word = { 0, 0 } };
	size_t len = linear_fetch(v, bytes.byte, DECODE_LEN_MAX);
	const struct insn *insn;

	/* The guest may have changed the bytes since: then it gets what they now say. */
	if (decode_again(&v->decoded, &bytes, len, linear_code_size(v), &insn)) {
		report_bytes(v, bytes.byte, (unsigned int)len);
		return exit_stop(v, "no-decode");
	}
	if (!device)
		report_unserved(v->vm, "address", gpa, insn->size, write);
	switch (insn->op) {
	case INSN_STOS:
	case INSN_LODS:
	case INSN_MOVS:
		return do_string(v, insn, gpa, write);
	default:
		do_two_operands(v, insn, gpa);
		vcpu_skip_bytes(v, insn->len);
		return RESUME;
	}
}

/* What the guest has done at @gpa, as the qualification of an EPT violation tells it. */
static __always_inline enum exit_action serve_access(struct vcpu *v, uint64_t qual, uint64_t gpa)
{
	const uint64_t own_access = EPT_QUAL_LINEAR | EPT_QUAL_TRANSLATED;
	bool delivering = v->events.reinject_info & INTR_INFO_VALID, device = has_device(v, gpa);

	switch (device ? -EFAULT : ept_map_ram(v->vm, GPA(gpa))) {
	case 0:
		/*
		 * SDM, "Exit qualification for EPT violations": an IRET that faulted had ended
		 * the blocking of NMIs already, and is now executed again.
		 */
		if ((qual & EPT_QUAL_NMI_UNBLOCK) && !delivering)
			vmcs_write(VMCS_GUEST_INTERRUPTIBILITY,
				   vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) | BLOCKED_BY_NMI);
		return RESUME;
	case -ENOMEM:
		return exit_stop(v, "no-memory");
	default:
		break;
	}
	if (delivering)
		return exit_stop(v, "wild-delivery");
	if ((qual & own_access) != own_access)
		return exit_stop(v, "wild-page-table");
	if (qual & EPT_QUAL_FETCH)
		return exit_stop(v, "wild-fetch");
	return serve_device(v, gpa, device, qual & EPT_QUAL_WRITE);
}

enum exit_action exit_ept_violation(struct vcpu *v)
{
	return serve_access(v, vmcs_read(VMCS_EXIT_QUAL), vmcs_read(VMCS_GUEST_PHYS_ADDR));
}

/*
 * SDM, "APIC-Access VM Exits": what the CPU does not do by itself, at an offset of the page of registers. It may be any
 * instruction that it knows, and then replaces what the guest's next write finds.
 */
enum exit_action exit_apic_access(struct vcpu *v)
{
	static const uint64_t quals[] = {
		[APIC_ACCESS_READ] = EPT_QUAL_LINEAR | EPT_QUAL_TRANSLATED | EPT_QUAL_READ,
		[APIC_ACCESS_WRITE] = EPT_QUAL_LINEAR | EPT_QUAL_TRANSLATED | EPT_QUAL_WRITE,
		[APIC_ACCESS_FETCH] = EPT_QUAL_LINEAR | EPT_QUAL_TRANSLATED | EPT_QUAL_FETCH,
	};
	uint64_t qual = vmcs_read(VMCS_EXIT_QUAL);
	enum apic_access access = apic_qual_access(qual);
	enum exit_action action;

	if (access == APIC_ACCESS_EVENT || access == APIC_ACCESS_EVENT_TABLE)
		return exit_stop(v, "wild-delivery");
	action = serve_access(v, access < ARRAY_SIZE(quals) ? quals[access] : 0,
			      LAPIC_PAGE | (qual & APIC_QUAL_OFFSET));
	if (v->lapic->service == LAPIC_XAPIC)
		apicv_keep(v->lapic);
	return action;
}

/* The guest has no part in how its EPT entries look: this is our bug. */
enum exit_action exit_ept_misconfig(struct vcpu *v)
{
	gpa_t gpa = GPA(vmcs_read(VMCS_GUEST_PHYS_ADDR));
	struct pt_walk walk = ptable_walk(&v->vm->ept, gpa.v);

	panic("EPT misconfiguration of %s at 0x%lx: level %u, entry 0x%lx (%s)",
	      v->vm->options.name, gpa.v, walk.level, walk.entry,
	      walk.present ? "present" : "absent");
}
