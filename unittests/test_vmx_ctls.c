/* SPDX-License-Identifier: MIT */
/* The arithmetic of VMX control words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "arch/vmxcpu.h"
#include "lib/compiler.h"

/* Low half: bits that must be 1. High half: bits that may be 1. */
#define CAP(fixed1, allowed1) ((uint64_t)(allowed1) << 32 | (fixed1))

static const struct {
	uint64_t cap;
	uint32_t must1, must0;
	uint32_t missing, out;
} cases[] = {
	/* Nothing wanted: exactly the bits that must be 1. */
	{ CAP(0x16, 0xff), 0, 0, 0, 0x16 },
	/* What is wanted is added. */
	{ CAP(0x16, 0xff), 0x81, 0, 0, 0x97 },
	/* What is fixed to 1 anyway may be wanted. */
	{ CAP(0x16, 0xff), 0x02, 0, 0, 0x16 },
	/* A bit that may not be 1 is reported, alone. */
	{ CAP(0x16, 0x7f), 0x81, 0, 0x80, 0x97 },
	/* A bit that may be 0 can be wanted off. */
	{ CAP(0x16, 0xff), 0, 0x08, 0, 0x16 },
	/* A bit that must be 1 cannot. */
	{ CAP(0x16, 0xff), 0, 0x0a, 0x02, 0x16 },
	/* Both kinds of trouble at once. */
	{ CAP(0x01, 0x0f), 0x30, 0x01, 0x31, 0x31 },
	/* Bit 31 is a bit like any other. */
	{ CAP(0, 0x80000000), 0x80000000, 0, 0, 0x80000000 },
	{ CAP(0, 0x7fffffff), 0x80000000, 0, 0x80000000, 0x80000000 },
	/* On and off at once, to ask whether a bit is free: only if it is neither fixed to 0 nor to 1. */
	{ CAP(0x16, 0xff), 0x80, 0x80, 0, 0x96 },
	{ CAP(0x16, 0xff), 0x02, 0x02, 0x02, 0x16 },
	/* Real ones: the true processor-based controls of a Skylake, HLT exiting without CR3 exiting. */
	{ 0xfff9fffe04006172, 0x80, 0x18000, 0, 0x040061f2 },
	/* The same CPU's old controls, where CR3 exiting is fixed to 1. */
	{ 0xfff9fffe0401e172, 0x80, 0x18000, 0x18000, 0x0401e1f2 },
};

static void test_cases(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		uint32_t out = 0;

		assert_int_equal(vmx_ctls(cases[i].cap, cases[i].must1, cases[i].must0, &out),
				 cases[i].missing);
		assert_int_equal(out, cases[i].out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
