/* SPDX-License-Identifier: MIT */
/*
 * apic: the local APIC that a guest is given with apic=on, in xAPIC and in x2APIC mode.
 *
 * Why: guests start their CPUs, their clocks and their interrupts by it, and all of it is emulated: reset values,
 * priorities, the three modes of the timer, IPIs to oneself, errors. Without apic=on nothing of it may be seen.
 * Expected: pass.
 * Arguments: page=plain where its page is memory while it is off or in x2APIC mode (apicv=on), else nothing answers there.
 */
#include "guest-tests/apic/apic.h"

static void check_registers(const char *what, bool firmware)
{
	const struct {
		u32 reg, value;
	} reset[] = {
		{ APIC_ID, 0 },
		{ APIC_VERSION, 0x50014 },
		{ APIC_TPR, 0 },
		{ APIC_PPR, 0 },
		{ APIC_LDR, 0 },
		{ APIC_DFR, 0xffffffff },
		{ APIC_SVR, 0xff },
		{ APIC_ISR, 0 },
		{ APIC_IRR + 0x70, 0 },
		{ APIC_ESR, 0 },
		{ APIC_ICR, 0 },
		{ APIC_ICR2, 0 },
		{ LVT_TIMER, MASKED },
		{ LVT_LINT0, firmware ? 0x700 : MASKED },
		{ LVT_LINT1, firmware ? 0x400 : MASKED },
		{ LVT_ERROR, MASKED },
		{ TIMER_INITIAL, 0 },
		{ TIMER_CURRENT, 0 },
		{ TIMER_DIVIDE, 0 },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(reset); i++) {
		u32 got = apic_read(reset[i].reg);

		if (got != reset[i].value)
			report(false, what, "register 0x%x is 0x%x, expected 0x%x", reset[i].reg,
			       got, reset[i].value);
	}
	report(true, what, " ");
}

/* As test kernels and Linux touch it: forms of MOV. */
static void check_moves(void)
{
	u32 got;

	asm volatile("movabs %%eax, 0xfee00080" : : "a"(0x20) : "memory");
	asm volatile("movabs 0xfee00080, %%eax" : "=a"(got) : : "memory");
	report_eq("moffs", got, 0x20);
	asm volatile("movl $0x30, (%1)\n\tmov (%1), %0"
		     : "=&r"(got)
		     : "r"(APIC_PAGE + APIC_TPR)
		     : "memory");
	report_eq("MOV of an immediate", got, 0x30);
	asm volatile("orl $5, (%0)\n\taddl $1, (%0)"
		     :
		     : "r"(APIC_PAGE + APIC_TPR)
		     : "memory", "cc");
	report_eq("read, modified and written", apic_read(APIC_TPR), 0x36);
	got = 0x40;
	asm volatile("xchg %0, (%1)" : "+r"(got) : "r"(APIC_PAGE + APIC_TPR) : "memory");
	report_eq("XCHG gives the old value", got, 0x36);
	report_eq("and takes the new one", apic_read(APIC_TPR), 0x40);
	got = *(volatile u8 *)(APIC_PAGE + APIC_TPR);
	report_eq("a byte of a register", got, 0x40);
	*(volatile u8 *)(APIC_PAGE + APIC_TPR) = 0;
	report_eq("is not written alone", apic_read(APIC_TPR), 0x40);
	apic_write(APIC_TPR, 0);
	apic_write(APIC_VERSION, ~0u);
	report_eq("the version is read-only", apic_read(APIC_VERSION), 0x50014);
}

static u32 set_base(u64 bits)
{
	return try_wrmsr(MSR_APIC_BASE, APIC_PAGE | BASE_BSP | bits);
}

static bool cpuid_has_apic(void)
{
	return cpuid(1, 0).edx & BIT(9);
}

/* And whatever is written there, none of it gets into a register: these are looked at next. */
static void check_page(const char *name)
{
	for (u32 reg = 0; reg < 0x400; reg += 16)
		*(volatile u32 *)(APIC_PAGE + reg) = 0;
	report_eq(name, *(volatile u32 *)(APIC_PAGE + APIC_VERSION),
		  arg_is("page", "plain") ? 0 : 0xffffffff);
}

void check_modes(void)
{
	u64 base;

	report_eq("APIC_BASE is read", try_rdmsr(MSR_APIC_BASE, &base), TRAP_NONE);
	report_eq("on, at its address, of the first CPU", base, APIC_PAGE | BASE_BSP | BASE_EN);
	report_eq("x2APIC MSRs are none in xAPIC mode", try_rdmsr(MSR_X2APIC(APIC_ID), &base),
		  VEC_GP);
	check_registers("registers at the start", true);
	report_eq("x2APIC without xAPIC is no mode", set_base(BASE_EXTD), VEC_GP);
	report_eq("the page does not move", try_wrmsr(MSR_APIC_BASE, 0xfed00900), VEC_GP);
	report_eq("bit 9 is reserved", set_base(BASE_EN | BIT(9)), VEC_GP);

	report_eq("off", set_base(0), TRAP_NONE);
	report(!cpuid_has_apic(), "CPUID shows none while it is off", "it does");
	check_page("no register answers while it is off");
	report_eq("from off to x2APIC is no step", set_base(BASE_EN | BASE_EXTD), VEC_GP);
	report_eq("on again", set_base(BASE_EN), TRAP_NONE);
	report(cpuid_has_apic(), "CPUID shows it again", "it does not");
	check_registers("registers after off and on", false);
	check_moves();
}

static void enter_x2apic(void)
{
	u64 value;

	apic_write(APIC_TPR, 0x20);
	report_eq("x2APIC mode", set_base(BASE_EN | BASE_EXTD), TRAP_NONE);
	report_eq("not back to xAPIC mode", set_base(BASE_EN), VEC_GP);
	check_page("no register answers at the page");
	x2apic = true;
	report_eq("registers are kept", apic_read(APIC_TPR), 0x20);
	apic_write(APIC_TPR, 0);
	report_eq("the ID is 32 bits wide", apic_read(APIC_ID), 0);
	report_eq("so is the logical ID, of cluster 0", apic_read(APIC_LDR), 1);
	report_eq("which is read-only", try_wrmsr(MSR_X2APIC(APIC_LDR), 1), VEC_GP);
	report_eq("no DFR", try_rdmsr(MSR_X2APIC(APIC_DFR), &value), VEC_GP);
	report_eq("no ICR2", try_rdmsr(MSR_X2APIC(APIC_ICR2), &value), VEC_GP);
	report_eq("EOI is not read", try_rdmsr(MSR_X2APIC(APIC_EOI), &value), VEC_GP);
	report_eq("EOI takes 0 only", try_wrmsr(MSR_X2APIC(APIC_EOI), 1), VEC_GP);
	report_eq("ESR takes 0 only", try_wrmsr(MSR_X2APIC(APIC_ESR), 1), VEC_GP);
	report_eq("TPR has 8 bits", try_wrmsr(MSR_X2APIC(APIC_TPR), 0x100), VEC_GP);
	report_eq("TPR has no upper half", try_wrmsr(MSR_X2APIC(APIC_TPR), BIT(32)), VEC_GP);
	report_eq("0x840 is none", try_rdmsr(0x840, &value), VEC_GP);
}

/* How guests start other CPUs: nobody is there, nothing happens. */
static void check_absent(void)
{
	apic_send(0, ICR_OTHERS | ICR_ASSERT | ICR_INIT);
	apic_send(0, ICR_OTHERS | ICR_ASSERT | ICR_SIPI | 9);
	apic_send(1, ICR_ASSERT | ICR_INIT);
	apic_send(1, ICR_ASSERT | ICR_SIPI | 9);
	report(true, "INIT and SIPI to nobody", " ");
}

static void check_none(void)
{
	u64 value;

	report_eq("no x2APIC, no TSC deadline", cpuid(1, 0).ecx & (BIT(21) | BIT(24)), 0);
	report_eq("APIC_BASE says off",
		  try_rdmsr(MSR_APIC_BASE, &value) == TRAP_NONE ? value & BASE_EN : 1, 0);
	report_eq("it cannot be turned on", set_base(BASE_EN), VEC_GP);
	report_eq("no TSC deadline MSR", try_rdmsr(MSR_TSC_DEADLINE, &value), VEC_GP);
	for (u32 reg = 0; reg < 0x400; reg += 16)
		if (try_rdmsr(MSR_X2APIC(reg), &value) != VEC_GP)
			report(false, "no x2APIC MSR", "0x%x", MSR_X2APIC(reg));
	report_eq("nothing answers at the page", *(volatile u32 *)(APIC_PAGE + APIC_VERSION),
		  0xffffffff);
}

void guest_main(void)
{
	if (!cpuid_has_apic()) {
		check_none();
		return;
	}
	check_modes();
	check_absent();
	check_interrupts();
	check_timer();
	enter_x2apic();
	check_absent();
	check_interrupts();
	check_timer();
	report_eq("off from x2APIC mode", set_base(0), TRAP_NONE);
	x2apic = false;
	report_eq("and on in xAPIC mode", set_base(BASE_EN), TRAP_NONE);
	check_registers("registers after x2APIC mode", false);
}
