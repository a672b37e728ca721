/* SPDX-License-Identifier: MIT */
/* IDT, TSS and the one place where all 256 vectors arrive. See trap.h. */
#include "guest-tests/lib/cpu.h"

enum { IST_TRAP = 1, IST_NMI = 2, IST_DF = 3 };
/* From a guarded instruction to where it goes on: its own length and that of a MOV. */
enum { GUARD_REACH = 15 + 6 };

struct gate {
	u16 offset_low, selector;
	u8 ist, type;
	u16 offset_mid;
	u32 offset_high, reserved;
};

struct table_pointer {
	u16 limit;
	u64 base;
} __attribute__((packed));

extern u8 vector_stubs[256][16];
extern u64 gdt[];

struct trap_record trap_last = { .vector = TRAP_NONE };
u64 trap_fixup;
u8 irq_log[16];
u32 irq_total;

static struct gate idt[256] __attribute__((aligned(16)));
static struct trap_cpu first;
static trap_hook_t hooks[256];

void trap_hook(unsigned int vector, trap_hook_t fn)
{
	hooks[vector] = fn;
}

void irq_forget(void)
{
	irq_total = 0;
	memset(irq_log, 0, sizeof(irq_log));
}

void trap_all_on_ist(void)
{
	for (unsigned int i = 32; i < 256; i++)
		idt[i].ist = IST_TRAP;
}

void gate_present(unsigned int vector, bool present)
{
	idt[vector].type = present ? idt[vector].type | 0x80 : idt[vector].type & 0x7f;
}

void gate_dpl3(unsigned int vector)
{
	idt[vector].type |= 0x60;
}

/* Of several CPUs only the first one says so, and ends the guest. */
static void unexpected(const struct trap_frame *f, u64 cr2)
{
	static bool again;

	if (__atomic_exchange_n(&again, true, __ATOMIC_SEQ_CST))
		for (;;)
			asm volatile("cli\n\thlt");
	report(false, "unexpected exception",
	       "vector %lu error 0x%lx rip 0x%lx rsp 0x%lx cr2 0x%lx", f->vector, f->error, f->rip,
	       f->rsp, cr2);
	finish();
}

/* Called by the stubs in vectors.S. */
void trap_dispatch(struct trap_frame *f);
void trap_dispatch(struct trap_frame *f)
{
	u64 cr2;

	if (hooks[f->vector]) {
		hooks[f->vector](f);
		return;
	}
	if (f->vector >= 32) {
		if (irq_total < ARRAY_SIZE(irq_log))
			irq_log[irq_total] = (u8)f->vector;
		irq_total++;
		return;
	}
	asm volatile("mov %%cr2, %0" : "=r"(cr2));
	if (f->r10 == GUARD_MARK && f->r11 - f->rip <= GUARD_REACH) {
		f->r10 = f->vector;
		f->rip = f->r11;
		return;
	}
	if (!trap_fixup)
		unexpected(f, cr2);
	trap_last = (struct trap_record){
		.vector = (u32)f->vector,
		.error = (u32)f->error,
		.rip = f->rip,
		.cr2 = cr2,
	};
	f->rip = trap_fixup;
	trap_fixup = 0;
}

static void gate_set(unsigned int vector)
{
	u64 addr = (u64)vector_stubs[vector];
	u8 ist = vector >= 32 ? 0 : IST_TRAP;

	if (vector == VEC_NMI)
		ist = IST_NMI;
	else if (vector == VEC_DF)
		ist = IST_DF;
	idt[vector] = (struct gate){
		.offset_low = (u16)addr,
		.selector = SEL_CODE64,
		.ist = ist,
		.type = 0x8e,
		.offset_mid = (u16)(addr >> 16),
		.offset_high = (u32)(addr >> 32),
	};
}

void trap_init_cpu(struct trap_cpu *cpu)
{
	struct table_pointer idtr = { sizeof(idt) - 1, (u64)idt };
	struct table_pointer gdtr = { sizeof(cpu->gdt) - 1, (u64)cpu->gdt };
	u64 base = (u64)&cpu->tss;

	cpu->tss.rsp[0] = (u64)(cpu->stacks[0] + PAGE_SIZE);
	for (unsigned int i = 1; i < ARRAY_SIZE(cpu->stacks); i++)
		cpu->tss.ist[i - 1] = (u64)(cpu->stacks[i] + PAGE_SIZE);
	cpu->tss.iomap = sizeof(cpu->tss);
	memcpy(cpu->gdt, gdt, sizeof(cpu->gdt));
	cpu->gdt[SEL_TSS / 8] = (sizeof(cpu->tss) - 1) | (base & 0xffffff) << 16 | 0x89ull << 40 |
				(base >> 24 & 0xff) << 56;
	cpu->gdt[SEL_TSS / 8 + 1] = base >> 32;
	asm volatile("lgdt %0\n\tlidt %1\n\tltr %w2" : : "m"(gdtr), "m"(idtr), "r"(SEL_TSS));
}

void trap_init(void)
{
	for (unsigned int i = 0; i < 256; i++)
		gate_set(i);
	/* A bare PC's timer would come as vector 8; where there is no PIC these go nowhere. */
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
	trap_init_cpu(&first);
}
