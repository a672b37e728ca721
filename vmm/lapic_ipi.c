/* SPDX-License-Identifier: MIT */
/* Interrupt messages: whom they name, and what becomes of them. SDM, "Issuing Interprocessor Interrupts". */
#include "lib/bitops.h"
#include "vmm/lapic_internal.h"
#include "vmm/report.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define DFR_FLAT    0xfU
#define DFR_CLUSTER 0x0U

/* SDM, "Logical Destination Mode" and, for x2APIC, "Logical Destination Mode in x2APIC Mode". */
static bool is_in_group(const struct lapic *l, uint32_t dest)
{
	uint32_t ldr = l->regs[LAPIC_LDR], model = l->regs[LAPIC_DFR] >> 28;

	if (lapic_is_x2(l))
		return dest >> 16 == ldr >> 16 && (dest & ldr & 0xffff);
	ldr >>= 24;
	if (model == DFR_FLAT)
		return dest & ldr;
	if (model != DFR_CLUSTER)
		return false;
	return (dest >> 4 == ldr >> 4 || dest >> 4 == 0xf) && (dest & ldr & 0xf);
}

static bool is_named(const struct lapic *l, const struct lapic_message *m)
{
	if (!lapic_enabled(l))
		return false;
	if (m->dest == LAPIC_BROADCAST)
		return true;
	return m->logical ? is_in_group(l, m->dest) : m->dest == l->id;
}

/*
 * INIT and SIPI are for vCPUs other than the first: a SIPI does nothing to a CPU that runs, and INIT would have
 * this one begin in firmware, which there is not. Nor is there System Management Mode.
 */
static bool take(struct vcpu *v, const struct lapic_message *m)
{
	switch (m->mode) {
	case LAPIC_FIXED:
	case LAPIC_LOWEST:
		if (!(v->lapic->regs[LAPIC_SVR] & SVR_ENABLE))
			return false;
		if (m->vector < VECTOR_MIN)
			lapic_error(v, ESR_RECEIVE_VECTOR);
		else
			lapic_request(v, m->vector, m->level);
		return true;
	case LAPIC_NMI:
		inject_nmi(v);
		return true;
	default:
		return false;
	}
}

/* For each vCPU of the VM, of which there is one; of those that a lowest-priority message names, one. */
unsigned int lapic_deliver(struct vm *vm, const struct lapic_message *m, const struct vcpu *except)
{
	struct vcpu *v = vm->vcpu;

	return v != except && is_named(v->lapic, m) && take(v, m);
}

void lapic_send(struct vcpu *v, uint32_t icr, uint32_t dest)
{
	struct lapic_message m = {
		.dest = dest,
		.logical = icr & ICR_LOGICAL,
		.mode = (enum lapic_mode)(icr >> 8 & 7),
		.vector = (uint8_t)icr,
		.level = false, /* the trigger mode of ICR is for INIT alone */
	};
	uint32_t shorthand = icr & ICR_SHORTHAND;

	/* SDM: INIT level de-assert, which modern processors ignore. */
	if (m.mode == LAPIC_INIT && !(icr & ICR_ASSERT))
		return;
	if ((m.mode == LAPIC_FIXED || m.mode == LAPIC_LOWEST) && m.vector < VECTOR_MIN)
		lapic_error(v, ESR_SEND_VECTOR);
	if (shorthand == ICR_ALL || shorthand == ICR_OTHERS ||
	    (!lapic_is_x2(v->lapic) && dest == 0xff))
		m.dest = LAPIC_BROADCAST;
	if (shorthand == ICR_SELF) {
		m.dest = v->lapic->id;
		m.logical = false;
	}
	if (!lapic_deliver(v->vm, &m, shorthand == ICR_OTHERS ? v : NULL))
		report_unserved(v->vm, "APIC ID", m.dest, sizeof(icr), true);
}
