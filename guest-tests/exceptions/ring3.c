/* SPDX-License-Identifier: MIT */
/* What ring 3 of the guest may not do, and what it may. */
#include "guest-tests/exceptions/tests.h"
#include "guest-tests/lib/cpu.h"
#include "vmm/abi.h"

enum { RETURN_VECTOR = 0x7f };

u64 ring3_call(void (*fn)(void), u64 rflags);
extern u8 ring3_return[];

static volatile s64 ring3_result;

static void on_return(struct trap_frame *f)
{
	f->cs = SEL_CODE64;
	f->ss = SEL_DATA;
	f->rip = (u64)ring3_return;
	f->rflags = 2;
}

#define RING3(name, insn)                                             \
	static void ring3_##name(void)                                \
	{                                                             \
		asm volatile(GUARDED(insn) "\tint $0x7f"              \
			     :                                        \
			     :                                        \
			     : "rax", "rbx", "rcx", "rdx", "memory"); \
	}
RING3(nothing, "")
RING3(hlt, "hlt")
RING3(rdmsr, "mov $0x1a0, %%ecx\n\trdmsr")
RING3(wrmsr, "mov $0x8b, %%ecx\n\txor %%eax, %%eax\n\txor %%edx, %%edx\n\twrmsr")
RING3(in, "mov $0x4d8, %%edx\n\tinb (%%dx), %%al")
RING3(out, "mov $0x80, %%edx\n\toutb %%al, (%%dx)")
RING3(cr0, "mov %%cr0, %%rax")
RING3(cr8, "mov %%cr8, %%rax")
RING3(wbinvd, "wbinvd")
RING3(invd, "invd")
RING3(xsetbv, "xor %%ecx, %%ecx\n\txor %%edx, %%edx\n\tmov $1, %%eax\n\txsetbv")
RING3(cpuid, "xor %%eax, %%eax\n\tcpuid")
RING3(int, "int $0x30")
RING3(aligned, "movl irq_total, %%eax")
RING3(unaligned, "movl irq_total + 1, %%eax")
RING3(vmcall, "xor %%eax, %%eax\n\tvmcall\n\tmov %%rax, ring3_result")
#undef RING3

void check_ring3(void)
{
	static const struct {
		const char *name;
		void (*fn)(void);
		u64 rflags;
		u32 vector;
	} cases[] = {
		{ "ring 3 and back", ring3_nothing, 2, TRAP_NONE },
		{ "HLT in ring 3", ring3_hlt, 2, VEC_GP },
		{ "RDMSR in ring 3", ring3_rdmsr, 2, VEC_GP },
		{ "WRMSR in ring 3", ring3_wrmsr, 2, VEC_GP },
		{ "IN in ring 3", ring3_in, 2, VEC_GP },
		{ "IN in ring 3 with IOPL 3", ring3_in, 2 | 3 << 12, TRAP_NONE },
		{ "OUT in ring 3", ring3_out, 2, VEC_GP },
		{ "MOV from CR0 in ring 3", ring3_cr0, 2, VEC_GP },
		{ "MOV from CR8 in ring 3", ring3_cr8, 2, VEC_GP },
		{ "WBINVD in ring 3", ring3_wbinvd, 2, VEC_GP },
		{ "INVD in ring 3", ring3_invd, 2, VEC_GP },
		{ "CPUID in ring 3", ring3_cpuid, 2, TRAP_NONE },
		{ "INT through a ring 0 gate", ring3_int, 2, VEC_GP },
		{ "aligned read with AC", ring3_aligned, 2 | RFLAGS_AC, TRAP_NONE },
		{ "unaligned read without AC", ring3_unaligned, 2, TRAP_NONE },
		{ "unaligned read with AC", ring3_unaligned, 2 | RFLAGS_AC, VEC_AC },
	};

	gate_dpl3(RETURN_VECTOR);
	trap_hook(RETURN_VECTOR, on_return);
	try_cr0(read_cr0() | CR0_AM);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		ring3_call(cases[i].fn, cases[i].rflags);
		report_strict(cases[i].name, trap_last.vector, cases[i].vector);
	}
	if ((cpuid(1, 0).ecx & BIT(26)) && try_cr4(read_cr4() | CR4_OSXSAVE) == TRAP_NONE) {
		ring3_call(ring3_xsetbv, 2);
		report_eq("XSETBV in ring 3", trap_last.vector, VEC_GP);
		try_cr4(read_cr4() & ~CR4_OSXSAVE);
	}
	try_cr0(read_cr0() & ~CR0_AM);
	if (!need_hypervisor("hypercall from ring 3"))
		return;
	ring3_result = 0;
	ring3_call(ring3_vmcall, 2);
	report(trap_last.vector == TRAP_NONE && (s32)ring3_result == HC_EPERM,
	       "hypercall from ring 3", "vector %u result %ld", trap_last.vector, ring3_result);
}
