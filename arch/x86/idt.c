/* SPDX-License-Identifier: MIT */
/* The IDT: one interrupt gate per vector, all through the stubs of entry.S. */
#include "arch/desc.h"
#include "arch/insn.h"
#include "arch/regs.h"
#include "arch/trap.h"

#define STUB_SIZE 16

struct gate {
	uint16_t offset_low, selector;
	uint8_t ist, type;
	uint16_t offset_mid;
	uint32_t offset_high, reserved;
};

extern char trap_stubs[];
static __nonsensitive struct gate idt[256] __aligned(16);
_Static_assert(sizeof(idt) == IDT_SIZE, "arch/desc.h");

void idt_load(void)
{
	struct descriptor_ptr ptr = { sizeof(idt) - 1, (uint64_t)idt };

	lidt(&ptr);
}

static void gate_set(struct gate *gate, uint64_t entry, uint8_t ist)
{
	*gate = (struct gate){
		.offset_low = (uint16_t)entry,
		.selector = SEL_CODE,
		.ist = ist,
		.type = 0x8e, /* present, DPL 0, 64-bit interrupt gate */
		.offset_mid = (uint16_t)(entry >> 16),
		.offset_high = (uint32_t)(entry >> 32),
	};
}

static uint64_t stub_of(uint8_t vector)
{
	return (uint64_t)trap_stubs + vector * STUB_SIZE;
}

void idt_init(void)
{
	for (unsigned int i = 0; i < 256; i++)
		gate_set(&idt[i], stub_of((uint8_t)i), IST_NONE);
	idt_load();
}

void idt_redirect(uint8_t vector, const void *entry)
{
	gate_set(&idt[vector], entry ? (uint64_t)entry : stub_of(vector), idt[vector].ist);
}

/* The stack exists only once the TSS is loaded. All other vectors use the current stack, for good. */
void idt_use_ist(void)
{
	idt[VEC_DF].ist = IST_DF;
}

uint64_t idt_base(void)
{
	return (uint64_t)idt;
}
