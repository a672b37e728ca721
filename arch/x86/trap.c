/* SPDX-License-Identifier: MIT */
/*
 * Trap dispatch. The hypervisor expects four kinds only: page faults that are misses
 * of the restricted space, NMIs, machine checks, and interrupts. Everything else is our own bug:
 * registers, meaning, backtrace, end of the machine.
 */
#include "arch/trap.h"
#include "arch/apic.h"
#include "arch/insn.h"
#include "arch/mcheck.h"
#include "arch/percpu.h"
#include "arch/regs.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "lib/symbol.h"

__percpu uint32_t trap_depth;
static __percpu uint64_t nmi_count;

static const char *const names[32] = {
	[VEC_DE] = "divide error",
	[VEC_DB] = "debug",
	[VEC_NMI] = "non-maskable interrupt",
	[VEC_BP] = "breakpoint",
	[VEC_OF] = "overflow",
	[VEC_BR] = "BOUND range exceeded",
	[VEC_UD] = "invalid opcode",
	[VEC_NM] = "device not available",
	[VEC_DF] = "double fault",
	[VEC_TS] = "invalid TSS",
	[VEC_NP] = "segment not present",
	[VEC_SS] = "stack fault",
	[VEC_GP] = "general protection",
	[VEC_PF] = "page fault",
	[VEC_MF] = "x87 floating-point error",
	[VEC_AC] = "alignment check",
	[VEC_MC] = "machine check",
	[VEC_XM] = "SIMD floating-point error",
	[VEC_VE] = "virtualization exception",
	[VEC_CP] = "control protection",
};

/*
 * Whether a handler leaves the restricted space as its first act, or stays in it and crosses where it has to. LEAVE
 * is for handlers that certainly need sensitive memory: they take no fault, and do nothing at a place that
 * only looks mapped. A vector whose handler shows up in most of its runs in the crossing records
 * (docs/serial.md, "@crossing") is cheaper with LEAVE; one that seldom does is cheaper with STAY.
 */
enum policy { STAY, LEAVE };
static const uint8_t policies[256] = {
	[VEC_DF] = LEAVE, /* the end: the report reads everything */
	[VEC_MC] = LEAVE, /* memory itself may be wrong: nothing is done in a guest's reach */
};

uint64_t trap_nmis_of(uint32_t cpu)
{
	return READ_ONCE(*percpu_of(cpu, nmi_count));
}

static void explain_page_fault(uint64_t error, uint64_t cr2)
{
	log_info("  %s of 0x%lx: %s%s%s%s%s",
		 error & PF_FETCH   ? "fetch"
		 : error & PF_WRITE ? "write"
				    : "read",
		 cr2, error & PF_PRESENT ? "not allowed by the mapping" : "nothing is mapped there",
		 error & PF_USER ? ", user mode" : "",
		 error & PF_RSVD ? ", reserved bit in an entry" : "",
		 error & PF_PK ? ", protection key" : "", error & PF_SS ? ", shadow stack" : "");
}

static __noreturn void trap_fatal(const struct trap_frame *f, uint64_t cr2)
{
	const char *name =
		f->vector < 32 && names[f->vector] ? names[f->vector] : "unexpected vector";

	log_info("trap %lu (%s), error code 0x%lx, depth %u", f->vector, name, f->error_code,
		 this_cpu(trap_depth));
	if (f->vector == VEC_PF)
		explain_page_fault(f->error_code, cr2);
	log_info("  rip %04lx:%016lx rsp %04lx:%016lx rflags %08lx", f->cs, f->rip, f->ss, f->rsp,
		 f->rflags);
	log_info("  rax %016lx rbx %016lx rcx %016lx rdx %016lx", f->rax, f->rbx, f->rcx, f->rdx);
	log_info("  rsi %016lx rdi %016lx rbp %016lx r8  %016lx", f->rsi, f->rdi, f->rbp, f->r8);
	log_info("  r9  %016lx r10 %016lx r11 %016lx r12 %016lx", f->r9, f->r10, f->r11, f->r12);
	log_info("  r13 %016lx r14 %016lx r15 %016lx", f->r13, f->r14, f->r15);
	log_info("  cr0 %016lx cr2 %016lx cr3 %016lx cr4 %016lx", read_cr0(), cr2, read_cr3(),
		 read_cr4());
	panic_at(f->rip, f->rbp, "trap %lu: %s", f->vector, name);
}

static bool trap_handled(struct trap_frame *f, uint64_t cr2)
{
	if (selftest_trap(f))
		return true;
	switch (f->vector) {
	case VEC_PF:
		return fault_fixup(f, cr2);
	case VEC_NMI:
		this_cpu(nmi_count)++;
		return true;
	case VEC_MC:
		return mcheck_handle();
	default:
		return f->vector >= VEC_FIRST_IRQ && apic_interrupt((uint8_t)f->vector);
	}
}

void trap_dispatch(struct trap_frame *f)
{
	/* First of all: a fault in any handler below, an NMI's for one, overwrites CR2. */
	uint64_t cr2 = read_cr2();

	if (policies[f->vector] == LEAVE)
		trap_leave_restricted();
	if (!trap_handled(f, cr2))
		trap_fatal(f, cr2);
	/* For the page fault that one of these has interrupted before it read CR2. */
	if ((f->vector == VEC_NMI || f->vector == VEC_MC) && read_cr2() != cr2)
		write_cr2(cr2);
}
