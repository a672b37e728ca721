/* SPDX-License-Identifier: MIT */
/*
 * A local APIC that the CPU serves, as far as it can: SDM, "APIC Virtualization and Virtual Interrupts". Where a guest
 * may have it (apicv_is_wanted()), it has it while its local APIC is in x2APIC mode and enabled by SVR: it then reads
 * its registers, sets TPR, ends interrupts and interrupts itself without an exit, and what others request the CPU delivers
 * when TPR and what is in service let it. Registers that have effects elsewhere (ICR, LVT, timer, SVR, ESR) still exit.
 *
 * Otherwise lapic.c does all of it, in the same registers, so that either can go on where the other stopped:
 *   off, or disabled by SVR   the CPU would deliver what the guest sends itself all the same
 *   xAPIC mode                the page of registers would have to be in the EPT, which all vCPUs of a VM share; one of
 *                             them in x2APIC mode, where "virtualize APIC accesses" must be off, would find memory there
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
 * deliver virtual interrupts do. Bochs 2.7 does one without the other, and gets two cases wrong, which apicv=on,
 * for tests there, has to avoid:
 *   an interrupt for the machine (a kick) while the guest has IF = 0 makes it deliver a virtual interrupt that waits for
 *   IF = 1: guest-tests/smp sees that on two CPUs, and never on one;
 *   an EPT violation in the delivery of one reports the event before it as IDT-vectoring information (by its sources).
 */
bool apicv_is_wanted(const struct vm_options *o);

/* IA32_APIC_BASE or SVR of @v has changed, which is loaded unless nothing of it was served by the CPU. Restricted. */
void apicv_update(struct vcpu *v);
/* Tells the CPU what is stale, of the loaded vCPU's @l. Restricted; before a VM entry. */
void apicv_sync(struct lapic *l);
