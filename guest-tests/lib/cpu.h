/* SPDX-License-Identifier: MIT */
/*
 * Instructions in C. The plain ones fault into the guest's end; those that begin with try_
 * return the vector that they raised, or TRAP_NONE.
 */
#pragma once

#include "guest-tests/lib/trap.h"

#define MSR_TSC		 0x10
#define MSR_APIC_BASE	 0x1b
#define MSR_FEATURE_CTL	 0x3a
#define MSR_TSC_ADJUST	 0x3b
#define MSR_BIOS_SIGN_ID 0x8b
#define MSR_MISC_ENABLE	 0x1a0
#define MSR_PAT		 0x277
#define MSR_VMX_BASIC	 0x480
#define MSR_EFER	 0xc0000080
#define MSR_FS_BASE	 0xc0000100
#define MSR_GS_BASE	 0xc0000101
#define MSR_KERNEL_GS	 0xc0000102
#define MSR_TSC_AUX	 0xc0000103

#define CR0_PE BIT(0)
#define CR0_TS BIT(3)
#define CR0_NE BIT(5)
#define CR0_AM BIT(18)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)

#define CR4_TSD	    BIT(2)
#define CR4_PAE	    BIT(5)
#define CR4_PGE	    BIT(7)
#define CR4_OSFXSR  BIT(9)
#define CR4_VMXE    BIT(13)
#define CR4_PCIDE   BIT(17)
#define CR4_OSXSAVE BIT(18)

#define RFLAGS_TF BIT(8)
#define RFLAGS_IF BIT(9)
#define RFLAGS_AC BIT(18)

struct cpuid {
	u32 eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(u32 leaf, u32 sub)
{
	struct cpuid r;

	asm volatile("cpuid"
		     : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
		     : "0"(leaf), "2"(sub));
	return r;
}

static inline u64 rdtsc(void)
{
	u32 lo, hi;

	asm volatile("rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return (u64)hi << 32 | lo;
}

#define PORT_ACCESS(suffix, type)                                                        \
	static inline void out##suffix(u16 port, type v)                                 \
	{                                                                                \
		asm volatile("out" #suffix " %0, %1" : : "a"(v), "Nd"(port) : "memory"); \
	}                                                                                \
	static inline type in##suffix(u16 port)                                          \
	{                                                                                \
		type v;                                                                  \
                                                                                         \
		asm volatile("in" #suffix " %1, %0" : "=a"(v) : "Nd"(port) : "memory");  \
		return v;                                                                \
	}
PORT_ACCESS(b, u8)
PORT_ACCESS(w, u16)
PORT_ACCESS(l, u32)
#undef PORT_ACCESS

static inline u32 try_rdmsr(u32 msr, u64 *value)
{
	u32 lo = 0, hi = 0;

	asm volatile(GUARDED("rdmsr") : "+a"(lo), "+d"(hi) : "c"(msr) : "memory");
	*value = (u64)hi << 32 | lo;
	return trap_last.vector;
}

static inline u32 try_wrmsr(u32 msr, u64 value)
{
	asm volatile(GUARDED("wrmsr")
		     :
		     : "a"((u32)value), "d"((u32)(value >> 32)), "c"(msr)
		     : "memory");
	return trap_last.vector;
}

static inline u32 try_xsetbv(u32 index, u64 value)
{
	asm volatile(GUARDED("xsetbv")
		     :
		     : "a"((u32)value), "d"((u32)(value >> 32)), "c"(index)
		     : "memory");
	return trap_last.vector;
}

static inline u64 xgetbv(u32 index)
{
	u32 lo, hi;

	asm volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(index));
	return (u64)hi << 32 | lo;
}

#define CONTROL_REGISTER(cr)                                                   \
	static inline u64 read_##cr(void)                                      \
	{                                                                      \
		u64 v;                                                         \
                                                                               \
		asm volatile("mov %%" #cr ", %0" : "=r"(v) : : "memory");      \
		return v;                                                      \
	}                                                                      \
	static inline u32 try_##cr(u64 v)                                      \
	{                                                                      \
		asm volatile(GUARDED("mov %0, %%" #cr) : : "r"(v) : "memory"); \
		return trap_last.vector;                                       \
	}
CONTROL_REGISTER(cr0)
CONTROL_REGISTER(cr3)
CONTROL_REGISTER(cr4)
CONTROL_REGISTER(cr8)
#undef CONTROL_REGISTER

/* A value for a control register that must fault; not tried where it might be taken. */
static inline void report_refused(const char *name, u32 (*try_cr)(u64), u64 value)
{
	if (need_strict(name))
		report_eq(name, try_cr(value), VEC_GP);
}

/* Opens the interrupt window for one instruction. */
static inline void irq_window(void)
{
	asm volatile("sti\n\tnop\n\tcli" : : : "memory");
}
