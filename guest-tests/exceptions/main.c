/* SPDX-License-Identifier: MIT */
/*
 * exceptions: faults, traps, NMIs and interrupts as a guest's own handlers see them.
 *
 * Why: exceptions that the hypervisor does not intercept must pass unchanged; those that it
 * injects need the right error code and RIP; a skipped instruction must honour single-step
 * and end the interrupt shadow; events pending while the guest cannot take them must wait,
 * in order, and come exactly once.
 * Expected: pass.
 */
#include "guest-tests/exceptions/tests.h"
#include "guest-tests/lib/cpu.h"

#define UNMAPPED 0x200000000ul

#define CHECK(name, insn, want)                                                        \
	do {                                                                           \
		asm volatile(GUARDED(insn) : : : "rax", "rcx", "rdx", "memory", "cc"); \
		report_eq(name, trap_last.vector, want);                               \
	} while (0)

static void check_faults(void)
{
	u64 rip;

	CHECK("#DE", "xor %%eax, %%eax\n\txor %%edx, %%edx\n\tdiv %%eax", VEC_DE);
	CHECK("#BP", "int3", VEC_BP);
	CHECK("#UD by UD2", "ud2", VEC_UD);
	CHECK("#UD by LOCK NOP", ".byte 0xf0, 0x90", VEC_UD);
	CHECK("#GP by a selector beyond the GDT", "mov $0xfff8, %%eax\n\tmov %%eax, %%ds", VEC_GP);
	report_eq("its error code", trap_last.error, 0xfff8);
	CHECK("#NP", "mov $0x40, %%eax\n\tmov %%eax, %%ds", VEC_NP);
	report_eq("its error code", trap_last.error, SEL_ABSENT);
	CHECK("#GP by a non-canonical address",
	      "mov $0x8000, %%eax\n\tshl $32, %%rax\n\tmov (%%rax), %%rax", VEC_GP);
	report_eq("its error code", trap_last.error, 0);
	asm volatile("mov %%rbp, %%rcx\n\tmov $0x8000, %%eax\n\tshl $32, %%rax\n\t"
		     "mov %%rax, %%rbp\n\t" GUARDED("mov (%%rbp), %%rax") "\tmov %%rcx, %%rbp"
		     :
		     :
		     : "rax", "rcx", "memory", "cc");
	report_strict("#SS by a non-canonical address in the stack segment", trap_last.vector,
		      VEC_SS);
	asm volatile(GUARDED("lea 0f(%%rip), %0\n0:\tud2") : "=&r"(rip));
	report_eq("RIP of a fault", trap_last.rip, rip);
	asm volatile(GUARDED("lea 0f(%%rip), %0\n\tint3\n0:") : "=&r"(rip));
	report_eq("RIP of a trap", trap_last.rip, rip);
}

static void check_page_faults(void)
{
	u64 addr = UNMAPPED + 0x1238;

	asm volatile(GUARDED("mov (%0), %%rax") : : "r"(addr) : "rax");
	report_eq("#PF by a read", trap_last.vector, VEC_PF);
	report_eq("its error code", trap_last.error, 0);
	report_eq("its CR2", trap_last.cr2, addr);
	asm volatile(GUARDED("movb $0, 3(%0)") : : "r"(addr) : "memory");
	report_eq("#PF by a write", trap_last.vector, VEC_PF);
	report_eq("its error code", trap_last.error, 2);
	report_eq("its CR2", trap_last.cr2, addr + 3);
}

static void check_fpu_faults(void)
{
	u64 cr0 = read_cr0();

	try_cr0(cr0 | CR0_TS);
	CHECK("#NM with CR0.TS", "fnop", VEC_NM);
	asm volatile("clts");
	CHECK("no #NM after CLTS", "fnop", TRAP_NONE);
	report_eq("CR0 as before", read_cr0(), cr0);
}

static void check_vmx_instructions(void)
{
	CHECK("VMXON", "vmxon gdt", VEC_UD);
	CHECK("VMXOFF", "vmxoff", VEC_UD);
	CHECK("VMREAD", "vmread %%rax, %%rcx", VEC_UD);
	CHECK("VMWRITE", "vmwrite %%rax, %%rcx", VEC_UD);
	CHECK("VMLAUNCH", "vmlaunch", VEC_UD);
	CHECK("VMRESUME", "vmresume", VEC_UD);
	CHECK("VMPTRLD", "vmptrld gdt", VEC_UD);
	CHECK("VMPTRST", "vmptrst irq_log", VEC_UD);
	CHECK("VMCLEAR", "vmclear gdt", VEC_UD);
	CHECK("INVEPT", "invept gdt, %%rax", VEC_UD);
	CHECK("INVVPID", "invvpid gdt, %%rax", VEC_UD);
	CHECK("VMFUNC", "xor %%eax, %%eax\n\tvmfunc", VEC_UD);
}

/* #DE cannot be delivered through an absent gate: #NP while delivering #DE makes #DF. */
static void check_double_fault(void)
{
	gate_present(VEC_DE, false);
	CHECK("#DF by an absent gate", "xor %%eax, %%eax\n\txor %%edx, %%edx\n\tdiv %%eax", VEC_DF);
	report_eq("its error code", trap_last.error, 0);
	gate_present(VEC_DE, true);
	gate_present(0x70, false);
	CHECK("#NP by INT through an absent gate", "int $0x70", VEC_NP);
	report_strict("its error code", trap_last.error, 0x70 << 3 | 2);
	gate_present(0x70, true);
}

void guest_main(void)
{
	check_faults();
	check_page_faults();
	check_fpu_faults();
	check_vmx_instructions();
	check_double_fault();
	check_single_step();
	check_ring3();
	check_events();
}
