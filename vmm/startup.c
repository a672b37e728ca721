/* SPDX-License-Identifier: MIT */
/*
 * INIT and start-up IPIs: how a guest starts its other CPUs. SDM, "MP Initialization Protocol Algorithm for MP
 * Systems", "Issuing Interprocessor Interrupts". The VMCS never enters the wait-for-SIPI state: there a CPU takes no
 * interrupt, so it could not be taken back.
 */
#include "arch/insn.h"
#include "arch/regs.h"
#include "arch/vmx.h"
#include "lib/string.h"
#include "vmm/cpuid.h"
#include "vmm/lapic.h"
#include "vmm/vcpu.h"
#include "vmm/vmcs.h"

/* x87, SSE and MSRs that the table does not name keep what they have; so does XCR0. */
void vcpu_init(struct vcpu *v)
{
	const uint64_t none[4] = { 0 };

	memset(v->regs, 0, sizeof(v->regs));
	v->regs[RDX] = guest_signature();
	v->cr2 = 0;
	v->cr4_guest = 0;
	v->cr8 = 0;
	v->events = (struct events){ .windows = v->events.windows };
	v->hc_deadline = 0;
	vmcs_init_guest();
	/* Paging is off now, which the VMCS does not tell the CPU: what it caches under this VPID would stay. */
	vmx_flush_vpid(v->vpid);
	write_breakpoints(none);
	write_dr6(DR6_FIXED);
	if (v->lapic)
		lapic_reset(v);
	vcpu_timer_changed(v);
	v->state = VCPU_WAITS_FOR_SIPI;
}

void vcpu_startup(struct vcpu *v, uint8_t vector)
{
	if (v->state != VCPU_WAITS_FOR_SIPI)
		return; /* SDM: it is ignored */
	vmcs_write(VMCS_GUEST_CS_SELECTOR, (uint64_t)vector << 8);
	vmcs_write(VMCS_GUEST_CS_BASE, (uint64_t)vector << 12);
	vmcs_write(VMCS_GUEST_RIP, 0);
	v->state = VCPU_RUNNABLE;
	v->events.due = 0;
}
