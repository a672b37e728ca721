/* SPDX-License-Identifier: MIT */
/* Port I/O exits: IN and OUT, INS and OUTS. */
#include "arch/regs.h"
#include "arch/vmx.h"
#include "lib/bitops.h"
#include "vmm/exit.h"
#include "vmm/linear.h"
#include "vmm/ports.h"
#include "vmm/vm.h"

/* Of a REP string: afterwards the guest goes on with it, and others have had their turn. */
#define STRING_MAX 256

struct string_io {
	uint16_t port;
	unsigned int size, addr_size;
	bool in;
	enum insn_seg seg;
};

/* The outcome of one element. */
enum element { ELEMENT_DONE, ELEMENT_ENOUGH, ELEMENT_AGAIN, ELEMENT_FAULT, ELEMENT_END };

static enum element string_element(struct vcpu *v, const struct string_io *io)
{
	unsigned int index = io->in ? RDI : RSI;
	uint64_t step = vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_DF ? -(uint64_t)io->size : io->size;
	enum element outcome = ELEMENT_DONE;
	uint32_t value = 0;
	gva_t gva;

	if (!linear_of(v, io->seg, linear_reg(v, index, io->addr_size), io->size, io->in, &gva))
		return ELEMENT_FAULT;
	if (io->in) {
		value = port_in(v->vm, io->port, io->size);
		if (!linear_write(v, gva, &value, io->size))
			return ELEMENT_FAULT;
	} else {
		if (!linear_read(v, gva, &value, io->size))
			return ELEMENT_FAULT;
		switch (port_out(v->vm, io->port, io->size, value)) {
		case PORT_ENDS:
			return ELEMENT_END;
		case PORT_AGAIN:
			return ELEMENT_AGAIN;
		case PORT_WORKED:
			outcome = ELEMENT_ENOUGH;
			break;
		case PORT_SERVED:
			break;
		}
	}
	linear_step(v, index, step, io->addr_size);
	return outcome;
}

static enum exit_action string_io(struct vcpu *v, const struct string_io *io, bool rep)
{
	uint64_t left = rep ? linear_reg(v, RCX, io->addr_size) : 1;

	/* RCX and the index are true after each element, so the instruction can be resumed. */
	for (unsigned int i = 0; i < STRING_MAX && left; i++, left--) {
		switch (string_element(v, io)) {
		case ELEMENT_DONE:
			break;
		case ELEMENT_ENOUGH:
			i = STRING_MAX;
			break;
		case ELEMENT_AGAIN:
		case ELEMENT_FAULT:
			return RESUME;
		case ELEMENT_END:
			return STOP_VM;
		}
		if (rep)
			linear_step(v, RCX, -1UL, io->addr_size);
	}
	return left ? RESUME : RESUME_NEXT;
}

/*
 * SDM, "Format of the VM-exit instruction-information field as used for INS and OUTS". Every CPU
 * with unrestricted guests reports it (IA32_VMX_BASIC bit 54).
 */
static struct string_io string_decode(uint64_t qual)
{
	uint32_t info = vmcs_read32(VMCS_EXIT_INSN_INFO);
	bool in = io_qual_in(qual);

	return (struct string_io){
		.port = io_qual_port(qual),
		.size = io_qual_size(qual),
		.addr_size = 2u << (info >> 7 & 3),
		.in = in,
		.seg = in ? INSN_ES : (enum insn_seg)(info >> 15 & 7),
	};
}

static __always_inline enum exit_action out(struct vcpu *v, uint16_t port, unsigned int size,
					    uint32_t value)
{
	enum port_outcome outcome = port_out(v->vm, port, size, value);

	if (likely(outcome == PORT_SERVED))
		return RESUME_NEXT;
	if (outcome == PORT_AGAIN) /* interrupts, and other vCPUs, have their turn in between */
		return RESUME;
	return outcome == PORT_ENDS ? STOP_VM : RESUME_NEXT;
}

enum exit_action exit_io(struct vcpu *v)
{
	uint64_t qual = vmcs_read(VMCS_EXIT_QUAL);
	uint16_t port = io_qual_port(qual);
	unsigned int size = io_qual_size(qual);
	uint32_t mask = (uint32_t)BITS(8 * size - 1, 0), value;

	if (unlikely(io_qual_string(qual))) {
		struct string_io io = string_decode(qual);

		return string_io(v, &io, io_qual_rep(qual));
	}
	if (!io_qual_in(qual))
		return out(v, port, size, (uint32_t)v->regs[RAX] & mask);
	value = port_in(v->vm, port, size);
	v->regs[RAX] = size == 4 ? value : (v->regs[RAX] & ~(uint64_t)mask) | value;
	return RESUME_NEXT;
}
