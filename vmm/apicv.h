/* SPDX-License-Identifier: MIT */
/*
 * Local APICs that the CPU serves, as far as it can: SDM, "APIC Virtualization and Virtual Interrupts". Where a guest may
 * have it (apicv_is_wanted()), it has it while its local APIC is enabled by SVR: it then reads its registers, sets TPR, ends
 * interrupts and interrupts itself without an exit, and what others request the CPU delivers when TPR and what is in service
 * let it. Registers that have effects elsewhere (ICR, LVT, timer, SVR, ESR) still exit. By mode (enum lapic_service):
 *
 *   x2APIC           by MSRs. What exits does so before it is done, as with lapic.c alone.
 *   xAPIC            by the VM's APIC-access page, which is in its EPT at LAPIC_PAGE: the CPU turns accesses to it into
 *                    accesses to the vCPU's page of registers. A write that concerns us exits behind the instruction, with
 *                    the old value gone (APIC write); what the CPU does not know exits before it (APIC access), for decode.c.
 *   xAPIC, disabled  by SVR: the CPU would deliver what the guest sends itself all the same. All accesses exit.
 *   x2APIC, disabled by SVR, and off: lapic.c has all of it, in the same registers, so that either can go on.
 *
 * In x2APIC mode, and while it is off, a vCPU of such a VM finds plain memory at LAPIC_PAGE: the APIC-access page itself, which
 * is the VM's own and nobody else's, zero at first, and which neither we nor the CPU put anything into.
 *
 * Events that no APIC stands before (HC_IRQ, HC_TIMER, the PIC's, NMIs) are injected as ever. While a window is open for
 * them the CPU delivers nothing of the local APIC's, and an injected event goes first: their order is the same.
 */
#pragma once
#include <stdbool.h>

struct vcpu;
struct lapic;
struct vm_options;

/*
 * Whether a guest with these options shall have it. With apicv=auto only on CPUs that process posted interrupts: all that
 * deliver virtual interrupts do. Bochs 2.7 does one without the other, and gets three things wrong (decision 0019), which
 * apicv=on, for tests there, has to avoid.
 */
bool apicv_is_wanted(const struct vm_options *o);

/* IA32_APIC_BASE or SVR of @v has changed, which is loaded unless it is new. Restricted. */
void apicv_update(struct vcpu *v);
/* @v has been loaded; its VM has an APIC-access page. */
void apicv_load(struct vcpu *v);

/* Of the loaded vCPU, which the CPU serves (is_virtual): IRR or ISR, and TMR, have been changed here. Restricted. */
void apicv_tell_status(const struct lapic *l);
void apicv_tell_eoi_exits(const struct lapic *l);
/*
 * Registers may have been written here: that is what the guest's next write replaces. Behind each APIC access, which is
 * also how SVR comes to enable a local APIC in xAPIC mode.
 */
void apicv_keep(struct lapic *l);
