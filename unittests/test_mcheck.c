/* SPDX-License-Identifier: MIT */
/* arch/x86/mcheck.c on a fake CPU: which errors let the interrupted code go on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/insn.h"
#include "arch/mcheck.h"
#include "arch/regs.h"

#define BANKS 3
#define VAL   (1UL << 63)
#define OVER  (1UL << 62)
#define UC    (1UL << 61)
#define EN    (1UL << 60)
#define MISCV (1UL << 59)
#define ADDRV (1UL << 58)
#define PCC   (1UL << 57)
#define S     (1UL << 56)
#define AR    (1UL << 55)

#define RIPV 1UL
#define MCIP 4UL

static uint64_t cap, global, global_ctl, banks[BANKS][4];
static uint32_t cpu_signature, features;
static unsigned int nr_lines;

static struct cpuid_regs cpuid_of(uint32_t leaf, uint32_t subleaf)
{
	assert_int_equal(leaf, 1);
	assert_int_equal(subleaf, 0);
	return (struct cpuid_regs){ .eax = cpu_signature, .edx = features };
}
struct cpuid_regs (*fake_cpuid)(uint32_t, uint32_t) = cpuid_of;
uint64_t fake_tsc, fake_xcr0, fake_dr6;
unsigned int fake_nr_nmi, fake_nr_mc;

void console_write(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		nr_lines += text[i] == '\n';
}

static uint64_t *bank_register(uint32_t msr)
{
	assert_in_range(msr, 0x400, 0x400 + 4 * BANKS - 1);
	return &banks[(msr - 0x400) / 4][msr % 4];
}

uint64_t rdmsr(uint32_t msr)
{
	if (msr == MSR_MCG_CAP)
		return cap;
	if (msr == MSR_MCG_STATUS)
		return global;
	/* Address and misc exist only where the status says so: else #GP. */
	if (msr % 4 == 2)
		assert_true(banks[(msr - 0x400) / 4][1] & ADDRV);
	if (msr % 4 == 3)
		assert_true(banks[(msr - 0x400) / 4][1] & MISCV);
	return *bank_register(msr);
}

void wrmsr(uint32_t msr, uint64_t v)
{
	if (msr == MSR_MCG_CTL) {
		assert_true(cap & MCG_CAP_CTL);
		global_ctl = v;
	} else if (msr == MSR_MCG_STATUS) {
		assert_int_equal(v, 0);
		global = 0;
	} else {
		assert_true(msr % 4 == 0 || (msr % 4 == 1 && v == 0)); /* else #GP */
		*bank_register(msr) = v;
	}
}

static int reset(void **state)
{
	(void)state;
	memset(banks, 0, sizeof(banks));
	cap = MCG_CAP_SER | BANKS;
	global = RIPV | MCIP;
	global_ctl = 0;
	cpu_signature = 0x50654; /* family 6, model 0x55 */
	features = CPUID_1_EDX_MCE | CPUID_1_EDX_MCA;
	nr_lines = 0;
	return 0;
}

static const struct {
	const char *what;
	uint64_t status;
	bool with_recovery, without;
} errors[] = {
	{ "corrected", VAL | EN, true, true },
	{ "corrected, several", VAL | OVER | EN | ADDRV | MISCV, true, true },
	{ "not valid", UC | EN | PCC, true, true },
	{ "context corrupt", VAL | UC | EN | PCC, false, false },
	{ "context corrupt, though not signalled", VAL | UC | PCC, false, false },
	{ "context corrupt, signalled", VAL | UC | EN | PCC | S | AR, false, false },
	{ "no action (UCNA)", VAL | UC | EN | ADDRV, true, false },
	{ "no action, not enabled", VAL | UC, true, true },
	{ "action optional (SRAO)", VAL | UC | EN | S, true, false },
	{ "action optional, several", VAL | OVER | UC | EN | S, true, false },
	{ "action required (SRAR)", VAL | UC | EN | S | AR | ADDRV, false, false },
	{ "action required, several", VAL | OVER | UC | EN | S | AR, false, false },
};

static void test_errors(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		for (unsigned int bank = 0; bank < BANKS; bank++) {
			for (unsigned int recovery = 0; recovery < 2; recovery++) {
				bool want = recovery ? errors[i].with_recovery : errors[i].without;

				reset(state);
				if (!recovery)
					cap &= ~MCG_CAP_SER;
				banks[bank][1] = errors[i].status;
				if (mcheck_handle() != want)
					fail_msg("%s, recovery %u", errors[i].what, recovery);
				assert_false(banks[bank][1] & VAL);
				assert_int_equal(global, 0);
			}
		}
	}
}

/* One error that is fatal is enough, and the others are logged and cleared all the same. */
static void test_several(void **state)
{
	reset(state);
	banks[0][1] = VAL | EN;
	banks[1][1] = VAL | UC | EN | PCC;
	banks[2][1] = VAL | EN;
	assert_false(mcheck_handle());
	assert_int_equal(nr_lines, 4);
	for (unsigned int i = 0; i < BANKS; i++)
		assert_int_equal(banks[i][1], 0);
}

static void test_no_rip(void **state)
{
	reset(state);
	global = MCIP;
	assert_false(mcheck_handle());
	assert_int_equal(global, 0);
}

/* Without the architecture nobody says what has happened, and there is no MSR to ask. */
static void test_no_mca(void **state)
{
	reset(state);
	features = CPUID_1_EDX_MCE;
	assert_false(mcheck_handle());
	mcheck_init();
	assert_int_equal(global, RIPV | MCIP);
	assert_int_equal(banks[0][0], 0);
}

static void test_init(void **state)
{
	for (unsigned int old = 0; old < 2; old++) {
		reset(state);
		cap |= old ? 0 : MCG_CAP_CTL;
		cpu_signature =
			old ? 0x10676 : 0x106a5; /* Core 2, model 0x17; Nehalem, model 0x1a */
		banks[1][1] = VAL | UC | PCC;
		mcheck_init();
		assert_int_equal(global_ctl, old ? 0 : ~0UL);
		assert_int_equal(banks[0][0], old ? 0 : ~0UL);
		assert_int_equal(banks[1][0], ~0UL);
		assert_int_equal(banks[2][0], ~0UL);
		assert_int_equal(banks[1][1], 0);
		assert_int_equal(nr_lines, 1);
	}
}

/* A storm does not fill the console: errors are cleared unseen, and still judged. The last test: it counts on. */
static void test_storm(void **state)
{
	unsigned int lines = 0;

	for (unsigned int i = 0; i < 1000; i++) {
		reset(state);
		banks[0][1] = VAL | EN;
		assert_true(mcheck_handle());
		lines += nr_lines;
	}
	assert_true(lines < 100);
	banks[0][1] = VAL | UC | EN | PCC;
	assert_false(mcheck_handle());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_several), cmocka_unit_test(test_no_rip),
		cmocka_unit_test(test_no_mca),	cmocka_unit_test(test_init),
		cmocka_unit_test(test_errors),	cmocka_unit_test(test_storm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
