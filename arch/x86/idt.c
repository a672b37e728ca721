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

static uint8_t ist_of(unsigned int vector)
{
	switch (vector) {
	case VEC_DF:
		return IST_DF;
	case VEC_NMI:
		return IST_NMI;
	case VEC_MC:
		return IST_MC;
	default:
		return IST_NONE;
	}
}

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

/* IST stacks exist only once the TSS is loaded; until then every vector uses the current stack. */
void idt_use_ist(void)
{
	for (unsigned int i = 0; i < 32; i++)
		idt[i].ist = ist_of(i);
}

uint64_t idt_base(void)
{
	return (uint64_t)idt;
}
