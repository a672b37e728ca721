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

static void idt_load(void)
{
	struct descriptor_ptr ptr = { sizeof(idt) - 1, (uint64_t)idt };

	lidt(&ptr);
}

void idt_init(void)
{
	for (unsigned int i = 0; i < 256; i++) {
		uint64_t stub = (uint64_t)trap_stubs + i * STUB_SIZE;

		idt[i] = (struct gate){
			.offset_low = (uint16_t)stub,
			.selector = SEL_CODE,
			.type = 0x8e, /* present, DPL 0, 64-bit interrupt gate */
			.offset_mid = (uint16_t)(stub >> 16),
			.offset_high = (uint32_t)(stub >> 32),
		};
	}
	idt_load();
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
