/* SPDX-License-Identifier: MIT */
/* Interrupt messages: whom they name, and what becomes of them. SDM, "Issuing Interprocessor Interrupts". */
#include "lib/bitops.h"
#include "vmm/lapic_internal.h"
#include "vmm/post.h"
#include "vmm/report.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define DFR_FLAT    0xfU
#define DFR_CLUSTER 0x0U

/* SDM, "Logical Destination Mode" and, for x2APIC, "Logical Destination Mode in x2APIC Mode". */
static bool is_in_group(const struct vcpu_post *p, uint32_t dest)
{
	uint32_t ldr = p->ldr, model = p->dfr >> 28;

	if (p->apic_base & APIC_BASE_EXTD)
		return dest >> 16 == ldr >> 16 && (dest & ldr & 0xffff);
	ldr >>= 24;
	if (model == DFR_FLAT)
		return dest & ldr;
	if (model != DFR_CLUSTER)
		return false;
	return (dest >> 4 == ldr >> 4 || dest >> 4 == 0xf) && (dest & ldr & 0xf);
}

static bool is_named(const struct vcpu_post *p, const struct lapic_message *m)
{
	if (!(p->apic_base & APIC_BASE_EN))
		return false;
	if (m->dest == LAPIC_BROADCAST)
		return true;
	return m->logical ? is_in_group(p, m->dest) : m->dest == p->apic_id;
}

void lapic_accept(struct vcpu *v, uint8_t vector, bool level)
{
	if (!(v->lapic->regs[LAPIC_SVR][0] & SVR_ENABLE))
		return; /* turned off meanwhile */
	if (vector < VECTOR_MIN)
		lapic_error(v, ESR_RECEIVE_VECTOR);
	else
		lapic_request(v, vector, level);
}

/*
 * INIT and SIPI are for vCPUs other than the first: a SIPI does nothing to a CPU that runs, and INIT would have
 * the first one begin in firmware, which there is not. Nor is there System Management Mode.
 */
static bool take(struct vm *vm, uint32_t id, const struct lapic_message *m)
{
	switch (m->mode) {
	case LAPIC_FIXED:
	case LAPIC_LOWEST:
		if (!(vm->post[id].svr & SVR_ENABLE))
			return false;
		post_irq(vm, id, m->vector, m->level);
		return true;
	case LAPIC_NMI:
		post_nmi(vm, id);
		return true;
	case LAPIC_INIT:
		if (id)
			post_init(vm, id);
		return id;
	case LAPIC_SIPI:
		if (id)
			post_sipi(vm, id, m->vector);
		return id;
	default:
		return false;
	}
}

/* SDM, "Lowest Priority Delivery Mode": which of those named is the machine's choice; the first that takes it. */
unsigned int lapic_deliver(struct vm *vm, const struct lapic_message *m, const struct vcpu *except)
{
	unsigned int taken = 0;

	for (uint32_t id = 0; id < vm->nr_vcpus; id++) {
		if ((except && except->id == id) || !is_named(&vm->post[id], m))
			continue;
		taken += take(vm, id, m);
		if (taken && m->mode == LAPIC_LOWEST)
			break;
	}
	return taken;
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
