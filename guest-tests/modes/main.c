/* SPDX-License-Identifier: MIT */
/*
 * modes: every mode of the processor and the control registers that lead there.
 *
 * Why: with unrestricted guest the processor runs real mode and paging off by itself, but the
 * hypervisor keeps EFER.LMA, the entry controls, the PDPTEs and the shadows of CR0 and CR4 in
 * step; one forgotten and the next VM entry fails. Values that the SDM forbids must fault in
 * the guest instead of failing that entry.
 * Expected: pass.
 */
#include "guest-tests/lib/cpu.h"
#include "guest-tests/modes/tour.h"
#include "vmm/abi.h"

struct tour_data {
	u32 steps, calls, call_compat, call_prot, call_real, efer, ints, irqs, in, cpuid, string;
	u32 cr0_real, efer_pae, word_32, word_pae, reserved;
	u8 buffer[8];
};
_Static_assert(offsetof(struct tour_data, word_pae) == T_WORD_PAE, "tour.h");
_Static_assert(offsetof(struct tour_data, string) == T_STRING, "tour.h");
_Static_assert(offsetof(struct tour_data, buffer) == T_BUFFER, "tour.h");

extern u8 tour_low[], tour_low_end[];
void tour(void);

static void check_tour(void)
{
	static struct tour_data saved;
	struct tour_data *t = (struct tour_data *)(u64)TOUR_DATA;
	bool hv = need_hypervisor("hypercalls and interrupts in every mode");

	memset(t, 0, sizeof(*t));
	memset(t->buffer, 0x5a, sizeof(t->buffer));
	t->calls = hv;
	t->call_compat = t->call_prot = t->call_real = ~0u;
	memcpy((void *)(u64)TOUR_CODE, tour_low, (size_t)(tour_low_end - tour_low));
	tour();
	saved = *t;
	t = &saved;

	report_eq("every mode entered and left", t->steps, STEP_ALL);
	report_eq("EFER.LMA clear without paging, LME kept", t->efer & 0x500, 0x100);
	report_eq("EFER.LMA and LME clear with PAE", t->efer_pae & 0x500, 0);
	report_eq("CR0.PE and PG clear in real mode", t->cr0_real & (CR0_PE | CR0_PG), 0);
	report_eq("software interrupt in real mode", t->ints, 1);
	report_eq("IN in real mode", t->in, ~0u);
	report_eq("CPUID in real mode", t->cpuid, cpuid(0, 0).ebx);
	report(t->string == TOUR_DATA + T_BUFFER + 5 && t->buffer[4] == 0xff &&
		       t->buffer[5] == 0x5a,
	       "REP INSB in real mode", "DI 0x%x", t->string);
	report_eq("memory through 32-bit paging", t->word_32, 0x600df00d);
	report_eq("memory through PAE paging", t->word_pae, 0x600df00d);
	if (!hv)
		return;
	report_eq("hypercall in compatibility mode", t->call_compat, HC_ABI_VERSION);
	report_eq("hypercall in protected mode", t->call_prot, HC_ABI_VERSION);
	report_eq("hypercall in real mode", t->call_real, HC_ABI_VERSION);
	report_eq("HC_IRQ through the real mode vectors", t->irqs, 1);
}

static void check_cr0(void)
{
	u64 cr0 = read_cr0();

	report_refused("CR0.PG without PE", try_cr0, cr0 & ~CR0_PE);
	report_refused("CR0.PG off in 64-bit code", try_cr0, cr0 & ~CR0_PG);
	report_refused("CR0.NW without CD", try_cr0, cr0 | CR0_NW);
	report_refused("CR0 upper half", try_cr0, cr0 | BIT(32));
	report_eq("CR0 unchanged by these", read_cr0(), cr0);
	report_eq("CR0.CD on", try_cr0(cr0 | CR0_CD), TRAP_NONE);
	report_eq("CR0.CD reads back", read_cr0(), cr0 | CR0_CD);
	report_eq("CR0.CD and NW on", try_cr0(cr0 | CR0_CD | CR0_NW), TRAP_NONE);
	report_eq("CR0.CD and NW read back", read_cr0(), cr0 | CR0_CD | CR0_NW);
	report_eq("CR0 back", try_cr0(cr0), TRAP_NONE);
	report_eq("CR0.NE off", try_cr0(cr0 & ~CR0_NE), TRAP_NONE);
	report_eq("CR0.NE off reads back", read_cr0(), cr0 & ~CR0_NE);
	try_cr0(cr0);
}

static void check_cr0_instructions(void)
{
	u64 cr0 = read_cr0(), smsw = 0;

	asm volatile("smsw %0" : "=r"(smsw));
	report_eq("SMSW reads CR0", smsw & 0xffff, cr0 & 0xffff);
	asm volatile("lmsw %w0" : : "r"((u32)(cr0 | CR0_TS)) : "memory");
	report_eq("LMSW sets TS", read_cr0(), cr0 | CR0_TS);
	asm volatile("clts" : : : "memory");
	report_eq("CLTS clears it", read_cr0(), cr0);
	asm volatile("lmsw %w0" : : "r"((u32)(cr0 & ~CR0_PE)) : "memory");
	report_eq("LMSW cannot clear PE", read_cr0(), cr0);
}

static void check_cr4(void)
{
	u64 cr4 = read_cr4();

	report_refused("CR4 bit 63", try_cr4, cr4 | BIT(63));
	report_refused("CR4 bit 30", try_cr4, cr4 | BIT(30));
	report_refused("CR4.PAE off in long mode", try_cr4, cr4 & ~CR4_PAE);
	report_eq("CR4 unchanged by these", read_cr4(), cr4);
	if (need_hypervisor("CR4.VMXE cannot be set")) {
		u32 vector = try_cr4(cr4 | CR4_VMXE);

		report(vector == VEC_GP || !(read_cr4() & CR4_VMXE), "CR4.VMXE cannot be set",
		       "vector %u, CR4 0x%lx", vector, read_cr4());
		asm volatile(GUARDED("vmxon gdt") : : : "memory", "cc");
		report_eq("VMXON after that", trap_last.vector, VEC_UD);
	}
	try_cr4(cr4);
	report_eq("CR4.PGE on", try_cr4(cr4 | CR4_PGE), TRAP_NONE);
	report_eq("CR4.PGE reads back", read_cr4(), cr4 | CR4_PGE);
	report_eq("CR4.PGE off", try_cr4(cr4), TRAP_NONE);
	report_eq("CR4.TSD on", try_cr4(cr4 | CR4_TSD), TRAP_NONE);
	report_eq("CR4.TSD reads back", read_cr4(), cr4 | CR4_TSD);
	try_cr4(cr4);
	report_eq("CR4 as before", read_cr4(), cr4);
}

static void check_cr3(void)
{
	u64 cr3 = read_cr3(), cr4 = read_cr4();

	report_refused("CR3 bit 58", try_cr3, cr3 | BIT(58));
	report_refused("CR3 bit 63 without PCIDs", try_cr3, cr3 | BIT(63));
	report_refused("CR3 beyond the physical width", try_cr3,
		       cr3 | BIT(cpuid(0x80000008, 0).eax & 0xff));
	report_eq("CR3 with PWT and PCD", try_cr3(cr3 | 0x18), TRAP_NONE);
	report_eq("CR3 reads back", read_cr3(), cr3 | 0x18);
	report_eq("CR3 back", try_cr3(cr3), TRAP_NONE);
	if (!(cpuid(1, 0).ecx & BIT(17))) {
		skip("PCID", "not offered");
		return;
	}
	try_cr3(cr3 | 0x18);
	report_refused("PCIDE with a PCID in CR3", try_cr4, cr4 | CR4_PCIDE);
	try_cr3(cr3);
	report_eq("CR4.PCIDE on", try_cr4(cr4 | CR4_PCIDE), TRAP_NONE);
	report_eq("CR3 with PCID 5", try_cr3(cr3 | 5), TRAP_NONE);
	report_eq("PCID reads back", read_cr3(), cr3 | 5);
	if (need_strict("CR3 without a flush")) {
		report_eq("CR3 without a flush", try_cr3(cr3 | 5 | BIT(63)), TRAP_NONE);
		report_eq("bit 63 reads as 0", read_cr3(), cr3 | 5);
	}
	try_cr3(cr3);
	try_cr4(cr4);
}

static void check_cr8(void)
{
	for (u64 v = 0; v < 16; v += 5) {
		report_eq("CR8 written", try_cr8(v), TRAP_NONE);
		report_eq("CR8 reads back", read_cr8(), v);
	}
	try_cr8(0);
	report_refused("CR8 above 15", try_cr8, 16);
	report_eq("CR8 unchanged by it", read_cr8(), 0);
}

void guest_main(void)
{
	check_cr0();
	check_cr0_instructions();
	check_cr4();
	check_cr3();
	check_cr8();
	check_tour();
	check_tour();
}
