/* SPDX-License-Identifier: MIT */
/*
 * GDT and TSS. Both are per CPU and nonsensitive: interrupts reach them in every
 * address space. They hold no guest data, only addresses of stacks.
 */
#include "arch/desc.h"
#include "arch/insn.h"
#include "arch/percpu.h"
#include "arch/percpu_area.h"
#include "arch/regs.h"

struct tss {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7]; /* ist[n - 1] is IST n */
	uint64_t reserved2;
	uint16_t reserved3, iomap_base;
} __packed;

static __percpu uint64_t gdt[5];
static __percpu struct tss tss;
_Static_assert(sizeof(gdt) == GDT_SIZE && sizeof(tss) == TSS_SIZE, "arch/desc.h");

void gdt_init(void)
{
	struct tss *t = this_cpu_ptr(tss);
	uint64_t *g = *this_cpu_ptr(gdt), base = (uint64_t)t;
	struct descriptor_ptr ptr = { sizeof(gdt) - 1, (uint64_t)g };

	t->ist[IST_DF - 1] = percpu_df_stack_top(this_cpu(cpu_number));
	t->iomap_base = sizeof(*t);

	g[SEL_CODE / 8] = 0x00af9b000000ffff;
	g[SEL_DATA / 8] = 0x00cf93000000ffff;
	/* SDM, "TSS Descriptor in 64-bit mode": type 9, present, byte limit. */
	g[SEL_TSS / 8] = (sizeof(*t) - 1) | (base & 0xffffff) << 16 | 0x89UL << 40 |
			 (base >> 24 & 0xff) << 56;
	g[SEL_TSS / 8 + 1] = base >> 32;

	lgdt(&ptr);
	load_segments(SEL_CODE, SEL_DATA);
	ltr(SEL_TSS);
}

uint64_t gdt_base(void)
{
	return (uint64_t)*this_cpu_ptr(gdt);
}

uint64_t gdt_tss_base(void)
{
	return (uint64_t)this_cpu_ptr(tss);
}
