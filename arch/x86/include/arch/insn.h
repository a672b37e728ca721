/* SPDX-License-Identifier: MIT */
/*
 * Every privileged or special instruction, one wrapper each: the only inline
 * assembly in the tree. Unit tests shadow this header with plain C.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "lib/compiler.h"

#define RFLAGS_IF (1UL << 9)

static inline void outb(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(port) : "memory");
}
static inline uint8_t inb(uint16_t port)
{
	uint8_t v;
	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}
static inline void outw(uint16_t port, uint16_t v)
{
	__asm__ volatile("outw %0, %1" ::"a"(v), "Nd"(port) : "memory");
}
static inline uint16_t inw(uint16_t port)
{
	uint16_t v;
	__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}
static inline void outl(uint16_t port, uint32_t v)
{
	__asm__ volatile("outl %0, %1" ::"a"(v), "Nd"(port) : "memory");
}
static inline uint32_t inl(uint16_t port)
{
	uint32_t v;
	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t lo, hi;
	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr) : "memory");
	return (uint64_t)hi << 32 | lo;
}
static inline void wrmsr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr" ::"c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

struct cpuid_regs {
	uint32_t eax, ebx, ecx, edx;
};
static inline struct cpuid_regs cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid_regs r;
	__asm__ volatile("cpuid"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "a"(leaf), "c"(subleaf));
	return r;
}

static inline uint64_t rdtsc(void)
{
	uint64_t lo, hi; /* RDTSC clears the upper halves */
	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi)::"memory");
	return hi << 32 | lo;
}

/* Adds one and returns what was there: whole to this CPU's interrupts and NMIs, not to other CPUs. */
static inline uint64_t fetch_inc(uint64_t *p)
{
	uint64_t v = 1;
	__asm__ volatile("xaddq %0, %1" : "+r"(v), "+m"(*p)::"memory");
	return v;
}

/* False if the generator has no number at the moment. */
static inline bool rdrand(uint64_t *v)
{
	bool ok;
	__asm__ volatile("rdrand %1" : "=@ccc"(ok), "=r"(*v));
	return ok;
}
static inline bool rdseed(uint64_t *v)
{
	bool ok;
	__asm__ volatile("rdseed %1" : "=@ccc"(ok), "=r"(*v));
	return ok;
}

static inline uint64_t read_cr0(void)
{
	uint64_t v;
	__asm__ volatile("mov %%cr0, %0" : "=r"(v)::"memory");
	return v;
}
static inline void write_cr0(uint64_t v)
{
	__asm__ volatile("mov %0, %%cr0" ::"r"(v) : "memory");
}
static inline uint64_t read_cr2(void)
{
	uint64_t v;
	__asm__ volatile("mov %%cr2, %0" : "=r"(v)::"memory");
	return v;
}
static inline void write_cr2(uint64_t v)
{
	__asm__ volatile("mov %0, %%cr2" ::"r"(v) : "memory");
}
static inline uint64_t read_cr3(void)
{
	uint64_t v;
	__asm__ volatile("mov %%cr3, %0" : "=r"(v)::"memory");
	return v;
}
/* Bit 63 set keeps the new PCID's translations (SDM, "MOV to CR3" under process-context identifiers). */
static inline void write_cr3(uint64_t v)
{
	__asm__ volatile("mov %0, %%cr3" ::"r"(v) : "memory");
}
static inline uint64_t read_cr4(void)
{
	uint64_t v;
	__asm__ volatile("mov %%cr4, %0" : "=r"(v)::"memory");
	return v;
}
static inline void write_cr4(uint64_t v)
{
	__asm__ volatile("mov %0, %%cr4" ::"r"(v) : "memory");
}

/* DR0 to DR3, one after the other: the register's number is part of the instruction. */
static inline void read_breakpoints(uint64_t v[4])
{
	__asm__ volatile("mov %%dr0, %0" : "=r"(v[0])::"memory");
	__asm__ volatile("mov %%dr1, %0" : "=r"(v[1])::"memory");
	__asm__ volatile("mov %%dr2, %0" : "=r"(v[2])::"memory");
	__asm__ volatile("mov %%dr3, %0" : "=r"(v[3])::"memory");
}
static inline void write_breakpoints(const uint64_t v[4])
{
	__asm__ volatile("mov %0, %%dr0" ::"r"(v[0]) : "memory");
	__asm__ volatile("mov %0, %%dr1" ::"r"(v[1]) : "memory");
	__asm__ volatile("mov %0, %%dr2" ::"r"(v[2]) : "memory");
	__asm__ volatile("mov %0, %%dr3" ::"r"(v[3]) : "memory");
}
static inline uint64_t read_dr6(void)
{
	uint64_t v;
	__asm__ volatile("mov %%dr6, %0" : "=r"(v)::"memory");
	return v;
}
static inline void write_dr6(uint64_t v)
{
	__asm__ volatile("mov %0, %%dr6" ::"r"(v) : "memory");
}

static inline uint64_t xgetbv(uint32_t reg)
{
	uint32_t lo, hi;
	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(reg));
	return (uint64_t)hi << 32 | lo;
}
static inline void xsetbv(uint32_t reg, uint64_t v)
{
	__asm__ volatile("xsetbv" ::"c"(reg), "a"((uint32_t)v), "d"((uint32_t)(v >> 32))
			 : "memory");
}
/* @area is 64-byte aligned; @mask selects the components. */
static inline void xsave(void *area, uint64_t mask)
{
	__asm__ volatile("xsave64 (%0)" ::"r"(area), "a"((uint32_t)mask),
			 "d"((uint32_t)(mask >> 32))
			 : "memory");
}
static inline void xsavec(void *area, uint64_t mask)
{
	__asm__ volatile("xsavec64 (%0)" ::"r"(area), "a"((uint32_t)mask),
			 "d"((uint32_t)(mask >> 32))
			 : "memory");
}
static inline void xrstor(const void *area, uint64_t mask)
{
	__asm__ volatile("xrstor64 (%0)" ::"r"(area), "a"((uint32_t)mask),
			 "d"((uint32_t)(mask >> 32))
			 : "memory");
}

static inline void invlpg(uint64_t va)
{
	__asm__ volatile("invlpg (%0)" ::"r"(va) : "memory");
}
enum { INVPCID_ADDRESS = 0, INVPCID_CONTEXT = 1, INVPCID_ALL_GLOBAL = 2, INVPCID_ALL = 3 };
static inline void invpcid(uint64_t type, uint64_t pcid, uint64_t va)
{
	struct {
		uint64_t pcid, va;
	} d = { pcid, va };
	__asm__ volatile("invpcid %0, %1" ::"m"(d), "r"(type) : "memory");
}

static inline uint64_t irq_save(void)
{
	uint64_t flags;
	__asm__ volatile("pushfq; popq %0; cli" : "=r"(flags)::"memory");
	return flags;
}
static inline void irq_restore(uint64_t flags)
{
	if (flags & RFLAGS_IF)
		__asm__ volatile("sti" ::: "memory");
}
static inline uint64_t read_rflags(void)
{
	uint64_t flags;
	__asm__ volatile("pushfq; popq %0" : "=r"(flags)::"memory");
	return flags;
}
static inline bool irqs_enabled(void)
{
	return read_rflags() & RFLAGS_IF;
}
static inline void irq_disable(void)
{
	__asm__ volatile("cli" ::: "memory");
}
/* Lets everything that is pending in, then closes again; STI holds off one instruction. */
static inline void irq_window(void)
{
	__asm__ volatile("sti; nop; cli" ::: "memory");
}
/* Runs our NMI handler as an NMI would; its IRET ends the blocking of NMIs. */
static inline void int_nmi(void)
{
	__asm__ volatile("int $2" ::: "memory");
}
/* Any vector's handler, as a trap of the next instruction; a constant. */
static __always_inline void int_vector(uint8_t vector)
{
	__asm__ volatile("int %0" ::"i"(vector) : "memory");
}
/* Runs our machine-check handler, which reads from the banks what there is to know. */
static inline void int_mc(void)
{
	__asm__ volatile("int $18" ::: "memory");
}
static inline void cpu_pause(void)
{
	__asm__ volatile("pause" ::: "memory");
}
static inline void cpu_hlt(void)
{
	__asm__ volatile("hlt" ::: "memory");
}
/* Waits, with interrupts on, for the next one; one that is pending comes at once. Off again behind it. */
static inline void cpu_wait(void)
{
	__asm__ volatile("sti; hlt; cli" ::: "memory");
}
static inline __noreturn void cpu_halt_forever(void)
{
	for (;;)
		__asm__ volatile("cli; hlt" ::: "memory");
}
/*
 * Stores @v in this CPU's copy of a per-CPU variable of 8 bytes, and orders what comes before and behind as
 * memory_fence() does. By hand: gcc's atomics know no GS.
 */
#define this_cpu_xchg(var, v)                                                          \
	do {                                                                           \
		__typeof__(var) v_ = (v);                                              \
		_Static_assert(sizeof(var) == 8, "xchgq");                             \
		__asm__ volatile("xchgq %0, %%gs:%1" : "+r"(v_), "+m"(var)::"memory"); \
	} while (0)
/* Orders every earlier load and store before every later one, between processors too. */
static inline void memory_fence(void)
{
	__asm__ volatile("mfence" ::: "memory");
}
/* No later instruction executes, not even speculatively, before all earlier ones have completed. */
static inline void load_fence(void)
{
	__asm__ volatile("lfence" ::: "memory");
}
/* With a memory operand it clears buffers too, where the CPU has been taught to; a register's need not. */
static inline void verw(const uint16_t *selector)
{
	__asm__ volatile("verw %0" ::"m"(*selector) : "cc", "memory");
}
static inline void wbinvd(void)
{
	__asm__ volatile("wbinvd" ::: "memory");
}

struct descriptor_ptr {
	uint16_t limit;
	uint64_t base;
} __packed;
static inline void lgdt(const struct descriptor_ptr *p)
{
	__asm__ volatile("lgdt %0" ::"m"(*p) : "memory");
}
static inline void lidt(const struct descriptor_ptr *p)
{
	__asm__ volatile("lidt %0" ::"m"(*p) : "memory");
}
static inline void ltr(uint16_t selector)
{
	__asm__ volatile("ltr %0" ::"r"(selector) : "memory");
}
/* Loads CS by a far return, and DS, ES, SS. FS and GS stay: loading a selector sets their base. */
static inline void load_segments(uint16_t code, uint16_t data)
{
	__asm__ volatile("pushq %0\n\t"
			 "leaq 1f(%%rip), %%rax\n\t"
			 "pushq %%rax\n\t"
			 "lretq\n"
			 "1:\n\t"
			 "movl %1, %%ds\n\t"
			 "movl %1, %%es\n\t"
			 "movl %1, %%ss" ::"r"((uint64_t)code),
			 "r"((uint32_t)data)
			 : "rax", "memory");
}

/* rep stosq: on Bochs one tick per 8 bytes; on hardware as fast as rep stosb. @len is a multiple of 8. */
static inline void clear_words(void *p, uint64_t len)
{
	uint64_t n = len / 8;
	__asm__ volatile("rep stosq" : "+D"(p), "+c"(n) : "a"(0UL) : "memory");
}
static inline void rep_movsb(void *dst, const void *src, uint64_t len)
{
	__asm__ volatile("rep movsb" : "+D"(dst), "+S"(src), "+c"(len)::"memory");
}
static inline void rep_stosb(void *dst, uint8_t byte, uint64_t len)
{
	__asm__ volatile("rep stosb" : "+D"(dst), "+c"(len) : "a"(byte) : "memory");
}

/* VMX instructions return false on VMfail (CF or ZF; SDM, "Conventions" of the VMX instruction reference). */
static inline bool vmxon(uint64_t hpa)
{
	bool fail;
	__asm__ volatile("vmxon %1" : "=@ccbe"(fail) : "m"(hpa) : "memory");
	return !fail;
}
static inline bool vmclear(uint64_t hpa)
{
	bool fail;
	__asm__ volatile("vmclear %1" : "=@ccbe"(fail) : "m"(hpa) : "memory");
	return !fail;
}
static inline bool vmptrld(uint64_t hpa)
{
	bool fail;
	__asm__ volatile("vmptrld %1" : "=@ccbe"(fail) : "m"(hpa) : "memory");
	return !fail;
}
static __always_inline bool vmread(uint64_t field, uint64_t *v)
{
	bool fail;
	__asm__ volatile("vmread %2, %1" : "=@ccbe"(fail), "=r"(*v) : "r"(field) : "memory");
	return !fail;
}
static __always_inline bool vmwrite(uint64_t field, uint64_t v)
{
	bool fail;
	__asm__ volatile("vmwrite %2, %1" : "=@ccbe"(fail) : "r"(field), "r"(v) : "memory");
	return !fail;
}
struct inv_descriptor {
	uint64_t id, address;
};
static inline bool invept(uint64_t type, uint64_t eptp)
{
	bool fail;
	struct inv_descriptor d = { eptp, 0 };
	__asm__ volatile("invept %1, %2" : "=@ccbe"(fail) : "m"(d), "r"(type) : "memory");
	return !fail;
}
static inline bool invvpid(uint64_t type, uint64_t vpid, uint64_t gva)
{
	bool fail;
	struct inv_descriptor d = { vpid, gva };
	__asm__ volatile("invvpid %1, %2" : "=@ccbe"(fail) : "m"(d), "r"(type) : "memory");
	return !fail;
}
