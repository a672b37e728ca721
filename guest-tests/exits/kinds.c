/* SPDX-License-Identifier: MIT */
/* See kinds.h. Every operation is guarded, so that one which faults is skipped, not fatal. */
#include "guest-tests/exits/kinds.h"
#include "guest-tests/lib/apic.h"
#include "vmm/abi.h"

enum { WAKE_VECTOR = 0x50, LARGE_PAGE_SIZE = 0x200000 };

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
OPERATION(in_pic, "mov $0x21, %%edx", "inb (%%dx), %%al")
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
OPERATION(large, "addq $0x200000, next_page\n\tmov next_page, %%rax", "movb $1, (%%rax)")
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

static bool irq_by_apic(void)
{
	return arg_is("irq", "apic");
}

static bool has_irq(void)
{
	return irq_by_apic() || hypervisor();
}

static void apic_on(void)
{
	if (irq_by_apic())
		apic_write(APIC_SVR, SVR_ON);
}

/* The last interrupt's EOI belongs to the handler, but is an exit of its own: so it is done here, where none is timed. */
static void apic_eoi(void)
{
	if (irq_by_apic())
		apic_write(APIC_EOI, 0);
}

static void raise_irq(void)
{
	if (!irq_by_apic()) {
		hypercall(HC_IRQ, WAKE_VECTOR, 0, 0);
		return;
	}
	apic_eoi();
	apic_send(0, ICR_SELF | ICR_ASSERT | WAKE_VECTOR);
}

static bool is_virtual(void)
{
	return cpuid(1, 0).ecx & BIT(31);
}

static bool has_pic(void)
{
	return arg_is("pic", "on");
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
 * Pages: the RAM behind the image, from @from up to @to. next_page only grows, so the trial, the empty
 * loop and the measured one have pages of their own.
 */
static void find_pages(u64 from, u64 to)
{
	u64 first = ((u64)image_end + 2 * PAGE_SIZE) & ~(PAGE_SIZE - 1);

	if (next_page > first)
		first = next_page;
	if (from > first)
		first = from;
	for (unsigned int i = 0; i < boot.nr_map; i++) {
		const struct region *r = &boot.map[i];

		if (r->type == 1 && r->start <= first && r->end > first) {
			next_page = first;
			pages_end = (r->end < to ? r->end : to) & ~(PAGE_SIZE - 1);
		}
	}
	for (unsigned int i = 0; i < boot.nr_used; i++) {
		const struct region *u = &boot.used[i];

		if (u->start < pages_end && u->end > next_page)
			next_page = (u->end + 2 * PAGE_SIZE) & ~(PAGE_SIZE - 1);
	}
}

/* The machine says where its RAM has memory behind it already, though not mapped yet, and from where on in pages of 2 MiB. */
static u64 populated(void)
{
	return arg_u64("populated", 0) << 20;
}

static u64 populated_large(void)
{
	return arg_u64("large", 0) << 20;
}

static bool has_populated(void)
{
	return populated();
}

static bool has_large(void)
{
	return populated_large();
}

static void find_fresh(void)
{
	find_pages(0, populated() ? populated() : ~0ull);
}

static void find_populated(void)
{
	find_pages(populated(), populated_large() ? populated_large() : ~0ull);
}

static void find_large(void)
{
	find_pages(populated_large(), ~0ull);
}

/* How often there is a step of @bytes: half for the empty loop, which advances as well, and half for the other. */
static unsigned int steps_left(u64 bytes)
{
	u64 left = pages_end > next_page ? (pages_end - next_page) / bytes : 0;

	return left > 2 ? (unsigned int)(left / 2 - 1) : 0;
}

static unsigned int pages_left(void)
{
	return steps_left(PAGE_SIZE);
}

static unsigned int large_left(void)
{
	return steps_left(LARGE_PAGE_SIZE);
}

#define OP(n)	 .op = op_##n, .empty = empty_##n
#define NEEDS_HV .hypervisor_only = true

/* clang-format off */
const struct kind kinds[] = {
	{ "NOP", 0, OP(nothing), .note = "" },
	{ "CPUID", 10, OP(cpuid), .note = " leaf=0" },
	{ "IN", 30, OP(in), .note = " port=0x4d8" },
	{ "IN-PIC", 30, OP(in_pic), .usable = has_pic, .note = " port=0x21" },
	{ "OUT", 30, OP(out), .note = " port=0x80" },
	{ "OUTS", 30, OP(outs), .note = " port=0x80" },
	{ "RDMSR", 31, OP(rdmsr), .note = " msr=0x1a0" },
	{ "WRMSR", 32, OP(wrmsr), .note = " msr=0x8b" },
	{ "VMCALL", 18, OP(vmcall), .note = " call=HC_VERSION" },
	{ "MOVCR0", 28, OP(cr0), .note = " bit=CR0.NE" },
	{ "MOVCR4", 28, OP(cr4), .note = " bit=CR4.TSD" },
	{ "XSETBV", 55, OP(xsetbv), .usable = has_xsave, .begin = osxsave_on, .end = osxsave_off,
	  .note = " value=same" },
	{ "WBINVD", 54, OP(wbinvd), .note = "" },
	{ "RDTSC", 16, OP(rdtsc), NEEDS_HV, .begin = tsc_exit_on, .end = tsc_exit_off,
	  .note = " exiting=on" },
	{ "RDPMC", 15, OP(rdpmc), .may_fault = true, .note = " counter=0" },
	{ "HLT", 12, .op = op_hlt, .empty = empty_irq, .prepare = raise_irq, .usable = has_irq,
	  .begin = apic_on, .end = apic_eoi, .note = " wake=pending" },
	{ "IRQ-WINDOW", 7, .op = op_window, .empty = empty_irq, .prepare = raise_irq,
	  .usable = has_irq, .begin = apic_on, .end = apic_eoi, .note = "" },
	{ "MMIO", 48, OP(mmio), .usable = is_virtual, .note = " address=0xe0000000" },
	{ "EPT-TOUCH", 48, OP(page), .begin = find_fresh, .limit = pages_left,
	  .note = " page=fresh" },
	{ "EPT-PRESENT", 48, OP(page), .usable = has_populated, .begin = find_populated,
	  .limit = pages_left, .note = " page=populated" },
	{ "EPT-LARGE", 48, OP(large), .usable = has_large, .begin = find_large,
	  .limit = large_left, .note = " page=populated step=2M" },
	{ .name = NULL },
};
/* clang-format on */
