/* SPDX-License-Identifier: MIT */
/* What tests of a guest's devices share: a PC that has just been set up, its ports, and what the next VM entry delivers. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "arch/insn.h"
#include "arch/regs.h"
#include "arch/tsc.h"
#include "arch/vmx.h"
#include "lib/log.h"
#include "unittests/fake/vmx.h"
#include "unittests/guest_ram.h"
#include "vmm/exit.h"
#include "vmm/lapic.h"
#include "vmm/ports.h"
#include "vmm/post.h"

#define V	 (&fake_vcpu)
#define VM	 (&fake_vm)
#define PC	 (&fake_vm.platform)
#define TSC_HZ	 (tsc_khz() * 1000)
#define CLOCK(n) ((n)*TSC_HZ / PIT_HZ + 1) /* TSC ticks in which n clocks have passed for sure */

static struct mem_owner owner = { .id = 1 };
static char console[8192];

void console_write(const char *text, size_t len)
{
	strncat(console, text, len);
}

/* With what the exit path does behind the access. */
static inline void out(uint16_t port, uint8_t value)
{
	assert_true(port_out(VM, port, 1, value));
	post_collect(V);
}

static inline uint8_t in(uint16_t port)
{
	uint8_t value = (uint8_t)port_in(VM, port, 1);

	post_collect(V);
	return value;
}

/* Vectors 0x20 and 0x28; the timer and COM1 unmasked. */
static inline int start(void **state)
{
	static const uint8_t icws[] = { 0x11, 0x20, 4, 1 };

	(void)state;
	fake_vcpu_reset();
	memset(console, 0, sizeof(console));
	fake_tsc = 123456789;
	strcpy(fake_vm.options.name, "t");
	fake_vm.owner = &owner;
	fake_vm.options.cpus = 3;
	fake_vm.ram_bytes = 64 << 20;
	platform_start(VM);
	vmcs_write(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF);
	for (unsigned int i = 0; i < 4; i++) {
		out(i ? 0x21 : 0x20, icws[i]);
		out(i ? 0xa1 : 0xa0, i == 1 ? 0x28 : icws[i]);
	}
	out(0x21, 0xee);
	return 0;
}

/* What the next VM entry delivers: a vector, or -1. */
static inline int delivered(void)
{
	uint32_t info;

	vmcs_write(VMCS_ENTRY_INTR_INFO, 0);
	vcpu_deliver_events(V);
	info = vmcs_read32(VMCS_ENTRY_INTR_INFO);
	return info & INTR_INFO_VALID ? (int)(info & INTR_INFO_VECTOR_MASK) : -1;
}
