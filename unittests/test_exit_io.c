/* SPDX-License-Identifier: MIT */
/* vmm/exit_io.c, com1.c and linear.c: ports, strings of them, and the guest's memory behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "arch/regs.h"
#include "arch/vmx.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "unittests/fake/vmx.h"
#include "vmm/decode.h"
#include "vmm/exit.h"
#include "vmm/guestmem.h"
#include "vmm/report.h"

#define V	 (&fake_vcpu)
#define RAM_SIZE 0x4000
#define ABSENT	 0x2000 /* this page is not mapped by the guest's paging */
#define NO_RAM	 0x3000 /* this one is, to where there is no RAM */

static uint8_t ram[RAM_SIZE];
static char console[4096];

void console_write(const char *text, size_t len)
{
	strncat(console, text, len);
}

int guestmem_translate(struct vcpu *v, gva_t gva, uint32_t access, gpa_t *gpa, uint32_t *error)
{
	(void)v;
	*error = access;
	*gpa = GPA(gva.v);
	return gva.v >> PAGE_SHIFT == ABSENT >> PAGE_SHIFT ? -EFAULT : 0;
}

int guestmem_read(const struct vm *vm, gpa_t gpa, void *buf, size_t len)
{
	(void)vm;
	if (gpa.v + len > NO_RAM)
		return -EFAULT;
	memcpy(buf, ram + gpa.v, len);
	return 0;
}

int guestmem_write(const struct vm *vm, gpa_t gpa, const void *buf, size_t len)
{
	(void)vm;
	if (gpa.v + len > NO_RAM)
		return -EFAULT;
	memcpy(ram + gpa.v, buf, len);
	return 0;
}

static int reset(void **state)
{
	(void)state;
	fake_vcpu_reset();
	strcpy(fake_vm.options.name, "t");
	memset(ram, 0, sizeof(ram));
	memset(console, 0, sizeof(console));
	return 0;
}

static uint64_t qual(uint16_t port, unsigned int size, bool in)
{
	return (uint64_t)port << 16 | (in ? 8 : 0) | (size - 1);
}

static enum exit_action out(uint16_t port, unsigned int size, uint32_t value)
{
	V->regs[RAX] = 0xffffffff00000000 | value;
	vmcs_write(VMCS_EXIT_QUAL, qual(port, size, false));
	return exit_io(V);
}

static uint64_t in(uint16_t port, unsigned int size)
{
	V->regs[RAX] = 0x1122334455667788;
	vmcs_write(VMCS_EXIT_QUAL, qual(port, size, true));
	assert_int_equal(exit_io(V), RESUME_NEXT);
	return V->regs[RAX];
}

/* A string instruction: 64-bit addresses unless @addr_bits say otherwise. */
static enum exit_action string(uint16_t port, unsigned int size, bool is_in, bool rep,
			       unsigned int addr_bits, enum insn_seg seg)
{
	uint64_t code = addr_bits == 16 ? 0 : addr_bits == 32 ? 1 : 2;

	vmcs_write(VMCS_EXIT_QUAL, qual(port, size, is_in) | 0x10 | (rep ? 0x20 : 0));
	vmcs_write(VMCS_EXIT_INSN_INFO, code << 7 | (uint64_t)seg << 15);
	return exit_io(V);
}

static void test_unserved(void **state)
{
	(void)state;
	assert_int_equal(in(0x70, 1), 0x11223344556677ff);
	assert_int_equal(in(0x70, 2), 0x112233445566ffff);
	assert_int_equal(in(0xcfc, 4), 0xffffffff);
	assert_int_equal(in(0xf4, 1), 0x11223344556677ff);
	assert_int_equal(out(0x80, 1, 5), RESUME_NEXT);
	assert_int_equal(in(0xffff, 4), 0xffffffff);
	assert_int_equal(fake_nr_unserved, 6);
}

/* A device that has more to do: the instruction is not over, and nothing of it is done. */
static void test_again(void **state)
{
	static const uint32_t desc[4] = { 0, 0, 300, 0 };
	static const uint16_t avail[] = { 0, 1, 0 };

	(void)state;
	for (unsigned int round = 0; round < 2; round++) {
		reset(NULL);
		platform_start(&fake_vm);
		memcpy(ram + 0x1000, desc, sizeof(desc));
		memcpy(ram + 0x1400, avail, sizeof(avail));
		memset(ram, 'a', 400);
		assert_int_equal(out(0xc04e, 2, 1), RESUME_NEXT); /* the console's second queue */
		assert_int_equal(out(0xc048, 4, 1), RESUME_NEXT);
		if (!round) {
			assert_int_equal(out(0xc050, 2, 1), RESUME);
			assert_int_equal(out(0xc050, 2, 1), RESUME_NEXT);
		} else {
			memcpy(ram + 0xff0, &avail[1], 2);
			V->regs[RSI] = 0xff0;
			V->regs[RCX] = 2;
			assert_int_equal(string(0xc050, 2, false, true, 64, INSN_DS), RESUME);
			assert_int_equal(V->regs[RSI], 0xff0);
			assert_int_equal(V->regs[RCX], 2);
			/* The element that ends a request is the last one of its exit. */
			assert_int_equal(string(0xc050, 2, false, true, 64, INSN_DS), RESUME);
			assert_int_equal(V->regs[RSI], 0xff2);
			assert_int_equal(V->regs[RCX], 1);
			assert_int_equal(string(0xc050, 2, false, true, 64, INSN_DS), RESUME_NEXT);
			assert_int_equal(V->regs[RCX], 0);
		}
		assert_int_equal(strlen(console), 4 + 252 + 1); /* the rest of the line is kept */
	}
}

static void test_verdict(void **state)
{
	static const struct {
		unsigned int size;
		uint32_t value, code;
	} cases[] = { { 1, 0, 0 },
		      { 1, 0x1ff, 0xff },
		      { 1, 0x100, 0 },
		      { 2, 0x100, 0x100 },
		      { 4, 0x80000000, 0x80000000 } };

	for (size_t i = 0; i < 5; i++) {
		reset(state);
		assert_int_equal(out(0xf4, cases[i].size, cases[i].value), STOP_VM);
		assert_int_equal(fake_vm.verdict, cases[i].code ? VERDICT_FAIL : VERDICT_PASS);
		assert_int_equal(fake_vm.code, cases[i].code);
		assert_null(fake_vm.reason);
	}
}

static void print(const char *text)
{
	for (; *text; text++)
		assert_int_equal(out(0x3f8, 1, (uint8_t)*text), RESUME_NEXT);
}

/* Lines, escapes, and no way to write a record or an escape sequence to the real console. */
static void test_com1_text(void **state)
{
	(void)state;
	print("one\r\n\n@exits {}\n\x1b[2J\xff\ttab\n");
	assert_string_equal(console, "[t] one\n[t]\n[t] @exits {}\n[t] \\x1b[2J\\xff\ttab\n");
	print("partial");
	com1_flush(&fake_vm);
	com1_flush(&fake_vm);
	assert_non_null(strstr(console, "[t] partial\n"));
	memset(console, 0, sizeof(console));
	for (int i = 0; i < 600; i++)
		print("\x01");
	com1_flush(&fake_vm);
	for (const char *line = console; *line; line = strchr(line, '\n') + 1)
		assert_memory_equal(line, "[t] \\x01", 8);
}

static void test_com1_registers(void **state)
{
	(void)state;
	assert_int_equal((uint8_t)in(0x3fd, 1), 0x60);
	assert_int_equal((uint8_t)in(0x3fa, 1), 0x01);
	out(0x3fb, 1, 0x83);
	out(0x3f8, 2, 0x0203); /* both divisor bytes at once */
	assert_int_equal((uint8_t)in(0x3f8, 1), 3);
	assert_int_equal((uint8_t)in(0x3f9, 1), 2);
	out(0x3fb, 1, 3);
	out(0x3f9, 1, 0xff);
	assert_int_equal((uint8_t)in(0x3f9, 1), 0x0f);
	out(0x3ff, 1, 0x5a);
	assert_int_equal((uint8_t)in(0x3ff, 1), 0x5a);
	assert_int_equal((uint16_t)in(0x3ff, 2), 0xff5a);
	/* The two tests that drivers make: modem lines and data come back in loopback mode. */
	out(0x3fc, 1, 0x1a);
	assert_int_equal((uint8_t)in(0x3fe, 1) & 0xf0, 0x90);
	out(0x3f8, 1, 0xae);
	assert_int_equal((uint8_t)in(0x3fd, 1), 0x61);
	assert_int_equal((uint8_t)in(0x3f8, 1), 0xae);
	assert_int_equal((uint8_t)in(0x3fd, 1), 0x60);
	assert_string_equal(console, "");
}

static void test_outs(void **state)
{
	(void)state;
	strcpy((char *)ram + 0x100, "hello\n");
	V->regs[RSI] = 0x100;
	V->regs[RCX] = 6;
	assert_int_equal(string(0x3f8, 1, false, true, 64, INSN_DS), RESUME_NEXT);
	assert_string_equal(console, "[t] hello\n");
	assert_int_equal(V->regs[RSI], 0x106);
	assert_int_equal(V->regs[RCX], 0);
	/* Nothing to do, and one without REP, backwards. */
	assert_int_equal(string(0x3f8, 1, false, true, 64, INSN_DS), RESUME_NEXT);
	assert_int_equal(V->regs[RSI], 0x106);
	vmcs_write(VMCS_GUEST_RFLAGS, RFLAGS_DF);
	V->regs[RCX] = 7;
	assert_int_equal(string(0x80, 4, false, false, 64, INSN_DS), RESUME_NEXT);
	assert_int_equal(V->regs[RSI], 0x102);
	assert_int_equal(V->regs[RCX], 7);
}

/* A long string is served in parts, and always resumes where it stopped. */
static void test_bounded(void **state)
{
	unsigned int exits = 1;

	(void)state;
	V->regs[RDI] = 0x10;
	V->regs[RCX] = 1000;
	while (string(0x70, 2, true, true, 64, INSN_ES) == RESUME) {
		assert_false(V->events.exception);
		exits++;
	}
	assert_int_equal(exits, 4);
	assert_int_equal(V->regs[RCX], 0);
	assert_int_equal(V->regs[RDI], 0x10 + 2000);
	assert_int_equal(ram[0xf], 0);
	assert_int_equal(ram[0x10], 0xff);
	assert_int_equal(ram[0x10 + 1999], 0xff);
	assert_int_equal(ram[0x10 + 2000], 0);
}

/* The page fault comes at its element, with the ones before done. */
static void test_page_fault(void **state)
{
	(void)state;
	V->regs[RDI] = ABSENT - 6;
	V->regs[RCX] = 10;
	assert_int_equal(string(0x70, 4, true, true, 64, INSN_ES), RESUME);
	assert_true(V->events.exception);
	assert_int_equal(V->events.vector, VEC_PF);
	assert_int_equal(V->events.error_code, PF_WRITE);
	assert_int_equal(V->cr2, ABSENT); /* the second page of an access across both */
	assert_int_equal(V->regs[RDI], ABSENT - 2);
	assert_int_equal(V->regs[RCX], 9);
	assert_int_equal(ram[ABSENT - 3], 0xff);
	assert_int_equal(ram[ABSENT - 2], 0);
}

static void test_no_ram(void **state)
{
	(void)state;
	V->regs[RDI] = V->regs[RSI] = NO_RAM;
	assert_int_equal(string(0x70, 1, true, false, 64, INSN_ES), RESUME_NEXT);
	assert_int_equal(string(0x3ff, 1, false, false, 64, INSN_DS), RESUME_NEXT);
	assert_int_equal(fake_vm.com1.scr, 0xff);
}

/* 16- and 32-bit addresses, segment bases, limits and types outside 64-bit mode. */
static void test_segments(void **state)
{
	(void)state;
	vmcs_write(VMCS_GUEST_CS_AR, 0x9b);
	vmcs_write(VMCS_GUEST_ES_AR, 0x93);
	vmcs_write(VMCS_GUEST_ES_BASE, 0x800);
	vmcs_write(VMCS_GUEST_ES_LIMIT, 0xff);
	V->regs[RDI] = 0xabcd00fe;
	assert_int_equal(string(0x70, 1, true, false, 16, INSN_ES), RESUME_NEXT);
	assert_int_equal(ram[0x8fe], 0xff);
	assert_int_equal(V->regs[RDI], 0xabcd00ff);
	assert_int_equal(string(0x70, 2, true, false, 16, INSN_ES), RESUME);
	assert_int_equal(V->events.vector, VEC_GP);
	V->events.exception = false;
	/* Expand-down: what is above the limit is inside. */
	vmcs_write(VMCS_GUEST_ES_AR, 0x97);
	V->regs[RDI] = 0xffffffff00000100;
	assert_int_equal(string(0x70, 2, true, false, 32, INSN_ES), RESUME_NEXT);
	assert_int_equal(V->regs[RDI], 0x102);
	assert_int_equal(ram[0x900], 0xff);
	vmcs_write(VMCS_GUEST_ES_AR, 0x91); /* read-only */
	assert_int_equal(string(0x70, 1, true, false, 32, INSN_ES), RESUME);
	assert_true(V->events.exception);
	V->events.exception = false;
	vmcs_write(VMCS_GUEST_SS_AR, SEG_AR_UNUSABLE);
	assert_int_equal(string(0x80, 1, false, false, 32, INSN_SS), RESUME);
	assert_int_equal(V->events.vector, VEC_SS);
}

static void test_not_canonical(void **state)
{
	(void)state;
	V->regs[RDI] = 0x7fffffffffff;
	assert_int_equal(string(0x70, 2, true, false, 64, INSN_ES), RESUME);
	assert_int_equal(V->events.vector, VEC_GP);
}

static void test_string_verdict(void **state)
{
	(void)state;
	ram[0x200] = 3;
	V->regs[RSI] = 0x200;
	V->regs[RCX] = 100;
	assert_int_equal(string(0xf4, 1, false, true, 64, INSN_DS), STOP_VM);
	assert_int_equal(fake_vm.code, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_unserved, reset),
		cmocka_unit_test_setup(test_again, reset),
		cmocka_unit_test_setup(test_verdict, reset),
		cmocka_unit_test_setup(test_com1_text, reset),
		cmocka_unit_test_setup(test_com1_registers, reset),
		cmocka_unit_test_setup(test_outs, reset),
		cmocka_unit_test_setup(test_bounded, reset),
		cmocka_unit_test_setup(test_page_fault, reset),
		cmocka_unit_test_setup(test_no_ram, reset),
		cmocka_unit_test_setup(test_segments, reset),
		cmocka_unit_test_setup(test_not_canonical, reset),
		cmocka_unit_test_setup(test_string_verdict, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
