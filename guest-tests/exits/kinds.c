/* SPDX-License-Identifier: MIT */
/* See kinds.h. Every operation is guarded, so that one which faults is skipped, not fatal. */
#include "guest-tests/exits/kinds.h"
#include "guest-tests/lib/cpu.h"
#include "vmm/abi.h"

enum { WAKE_VECTOR = 0x50 };

#define STRING2(x) #x
#define STRING(x)  STRING2(x)

/* op_NAME loads registers, runs the instruction; empty_NAME only loads. */
#define OPERATION(name, load, insn)                                                   \
	static void op_##name(void)                                                   \
	{                                                                             \
		asm volatile("push %%rbx\n\t" load "\n\t" GUARDED(insn) "\tpop %%rbx" \
			     :                                                        \
			     :                                                        \
			     : "rax", "rcx", "rdx", "rsi", "rdi", "memory", "cc");    \
	}                                                                             \
	static void empty_##name(void)                                                \
	{                                                                             \
		asm volatile("push %%rbx\n\t" load "\n\t" GUARDED("") "\tpop %%rbx"   \
			     :                                                        \
			     :                                                        \
			     : "rax", "rcx", "rdx", "rsi", "rdi", "memory", "cc");    \
	}

static u64 next_page, pages_end;

/* clang-format off */
OPERATION(nothing, "", "nop")
OPERATION(cpuid, "xor %%eax, %%eax\n\txor %%ecx, %%ecx", "cpuid")
OPERATION(in, "mov $0x4d8, %%edx", "inb (%%dx), %%al")
OPERATION(out, "mov $0x80, %%edx\n\txor %%eax, %%eax", "outb %%al, (%%dx)")
OPERATION(outs, "mov $0x80, %%edx\n\tmov $next_page, %%esi", "outsb")
OPERATION(rdmsr, "mov $0x1a0, %%ecx", "rdmsr")
OPERATION(wrmsr, "mov $0x8b, %%ecx\n\txor %%eax, %%eax\n\txor %%edx, %%edx", "wrmsr")
OPERATION(vmcall, "mov $" STRING(HC_VERSION) ", %%eax", "vmcall")
OPERATION(cr0, "mov %%cr0, %%rax\n\txor $0x20, %%eax", "mov %%rax, %%cr0")
OPERATION(cr4, "mov %%cr4, %%rax\n\txor $4, %%eax", "mov %%rax, %%cr4")
OPERATION(xsetbv, "xor %%ecx, %%ecx\n\txgetbv", "xsetbv")
OPERATION(wbinvd, "", "wbinvd")
OPERATION(rdtsc, "", "rdtsc")
OPERATION(rdpmc, "xor %%ecx, %%ecx", "rdpmc")
OPERATION(mmio, "mov $0xe0000000, %%eax", "movl (%%rax), %%eax")
OPERATION(page, "addq $4096, next_page\n\tmov next_page, %%rax", "movb $1, (%%rax)")
/* clang-format on */

/*
 * The interrupt's handler runs in each: by INT in the empty one, after the wake-up or through
 * the interrupt window in the measured one.
 */
static void op_hlt(void)
{
	asm volatile("sti\n\thlt\n\tcli" : : : "memory");
}

static void op_window(void)
{
	irq_window();
}

static void empty_irq(void)
{
	asm volatile("sti\n\tint $0x50\n\tcli" : : : "memory");
}

static void raise_irq(void)
{
	hypercall(HC_IRQ, WAKE_VECTOR, 0, 0);
}

static void tsc_exit_on(void)
{
	hypercall(HC_TSC_EXIT, 1, 0, 0);
}

static void tsc_exit_off(void)
{
	hypercall(HC_TSC_EXIT, 0, 0, 0);
}

static bool has_xsave(void)
{
	return cpuid(1, 0).ecx & BIT(26);
}

static void osxsave_on(void)
{
	try_cr4(read_cr4() | CR4_OSXSAVE);
}

static void osxsave_off(void)
{
	try_cr4(read_cr4() & ~CR4_OSXSAVE);
}

/*
 * Fresh pages: the RAM behind the image. next_page only grows, so the trial, the empty loop
 * and the measured one have pages of their own.
 */
static void find_pages(void)
{
	u64 first = ((u64)image_end + 2 * PAGE_SIZE) & ~(PAGE_SIZE - 1);

	if (pages_end)
		return;
	for (unsigned int i = 0; i < boot.nr_map; i++) {
		const struct region *r = &boot.map[i];

		if (r->type == 1 && r->start <= first && r->end > first) {
			next_page = first;
			pages_end = r->end & ~(PAGE_SIZE - 1);
		}
	}
	for (unsigned int i = 0; i < boot.nr_used; i++) {
		const struct region *u = &boot.used[i];

		if (u->start < pages_end && u->end > next_page)
			next_page = (u->end + 2 * PAGE_SIZE) & ~(PAGE_SIZE - 1);
	}
}

/* Half for the empty loop, which advances as well, and half for the other. */
static unsigned int pages_left(void)
{
	u64 left = pages_end > next_page ? (pages_end - next_page) / PAGE_SIZE : 0;

	return left > 2 ? (unsigned int)(left / 2 - 1) : 0;
}

#define OP(n)	 .op = op_##n, .empty = empty_##n
#define NEEDS_HV .hypervisor_only = true

/* clang-format off */
const struct kind kinds[] = {
	{ "NOP", 0, OP(nothing), .note = "" },
	{ "CPUID", 10, OP(cpuid), .note = " leaf=0" },
	{ "IN", 30, OP(in), .note = " port=0x4d8" },
	{ "OUT", 30, OP(out), .note = " port=0x80" },
	{ "OUTS", 30, OP(outs), .note = " port=0x80" },
	{ "RDMSR", 31, OP(rdmsr), .note = " msr=0x1a0" },
	{ "WRMSR", 32, OP(wrmsr), .note = " msr=0x8b" },
	{ "VMCALL", 18, OP(vmcall), NEEDS_HV, .note = " call=HC_VERSION" },
	{ "MOVCR0", 28, OP(cr0), .note = " bit=CR0.NE" },
	{ "MOVCR4", 28, OP(cr4), .note = " bit=CR4.TSD" },
	{ "XSETBV", 55, OP(xsetbv), .usable = has_xsave, .begin = osxsave_on, .end = osxsave_off,
	  .note = " value=same" },
	{ "WBINVD", 54, OP(wbinvd), .note = "" },
	{ "RDTSC", 16, OP(rdtsc), NEEDS_HV, .begin = tsc_exit_on, .end = tsc_exit_off,
	  .note = " exiting=on" },
	{ "RDPMC", 15, OP(rdpmc), .may_fault = true, .note = " counter=0" },
	{ "HLT", 12, .op = op_hlt, .empty = empty_irq, .prepare = raise_irq, NEEDS_HV,
	  .note = " wake=pending" },
	{ "IRQ-WINDOW", 7, .op = op_window, .empty = empty_irq, .prepare = raise_irq, NEEDS_HV,
	  .note = "" },
	{ "MMIO", 48, OP(mmio), NEEDS_HV, .note = " address=0xe0000000" },
	{ "EPT-TOUCH", 48, OP(page), .begin = find_pages, .limit = pages_left,
	  .note = " page=fresh" },
	{ .name = NULL },
};
/* clang-format on */
