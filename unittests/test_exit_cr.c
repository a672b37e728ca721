/* SPDX-License-Identifier: MIT */
/* vmm/exit_cr.c: which transitions of CR0, CR4 and XCR0 are legal, and what they bring along. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "arch/insn.h"
#include "arch/regs.h"
#include "arch/vmx.h"
#include "lib/errno.h"
#include "unittests/fake/vmx.h"
#include "vmm/cpuid.h"
#include "vmm/exit.h"
#include "vmm/lapic.h"
#include "vmm/guestmem.h"

#define V	 (&fake_vcpu)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Where the tests' page-directory-pointer table is; there is no other memory. */
#define TABLE 0x12340

static const struct guest_cpu cpu = {
	.cr4 = CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCE |
	       CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_PCIDE | CR4_OSXSAVE | CR4_SMEP | CR4_SMAP,
	.xcr0 = 0xe7,
	.phys_mask = 0xffffffffff,
};
static uint64_t table[4];

const struct guest_cpu *guest_cpu(void)
{
	return &cpu;
}

int guestmem_read(const struct vm *vm, gpa_t gpa, void *buf, size_t len)
{
	assert_ptr_equal(vm, &fake_vm);
	if (gpa.v != TABLE || len != sizeof(table))
		return -EFAULT;
	memcpy(buf, table, len);
	return 0;
}

enum mode { REAL, PROTECTED, PAGING32, PAE, LONG_CODE32, LONG };

static void start(enum mode mode)
{
	static const struct {
		uint64_t cr0, cr4, efer, cs;
	} modes[] = {
		[REAL] = { CR0_ET, 0, 0, 0x9b },
		[PROTECTED] = { CR0_ET | CR0_PE, 0, 0, 0xc09b },
		[PAGING32] = { CR0_ET | CR0_PE | CR0_PG, 0, 0, 0xc09b },
		[PAE] = { CR0_ET | CR0_PE | CR0_PG, CR4_PAE, 0, 0xc09b },
		[LONG_CODE32] = { CR0_ET | CR0_PE | CR0_PG, CR4_PAE, EFER_LME | EFER_LMA, 0xc09b },
		[LONG] = { CR0_ET | CR0_PE | CR0_PG, CR4_PAE, EFER_LME | EFER_LMA, 0xa09b },
	};

	fake_vcpu_reset();
	memset(table, 0, sizeof(table));
	vmcs_write(VMCS_GUEST_CR0, modes[mode].cr0 | CR0_NE);
	vmcs_write(VMCS_CR0_SHADOW, modes[mode].cr0);
	vmcs_write(VMCS_GUEST_CR4, modes[mode].cr4 | CR4_VMXE);
	vmcs_write(VMCS_CR4_SHADOW, modes[mode].cr4);
	V->cr4_guest = modes[mode].cr4;
	vmcs_write(VMCS_GUEST_EFER, modes[mode].efer);
	vmcs_write(VMCS_ENTRY_CTLS, modes[mode].efer ? ENTRY_IA32E_GUEST : 0);
	vmcs_write(VMCS_GUEST_CS_AR, modes[mode].cs);
	vmcs_write(VMCS_GUEST_CR3, TABLE);
}

static enum exit_action write_cr(unsigned int cr, uint64_t value)
{
	V->regs[R9] = value;
	vmcs_write(VMCS_EXIT_QUAL, R9 << 8 | cr);
	return exit_cr(V);
}

static bool is_gp(enum exit_action action)
{
	bool gp = V->events.exception;

	assert_int_equal(action, gp ? RESUME : RESUME_NEXT);
	if (gp)
		assert_int_equal(V->events.vector, VEC_GP);
	V->events.exception = false;
	return gp;
}

static void test_cr0(void **state)
{
	const uint64_t pe = CR0_PE, pg = CR0_PG, et = CR0_ET;
	const struct {
		enum mode mode;
		uint64_t value;
		bool gp;
	} cases[] = {
		{ REAL, pe, false },
		{ REAL, pg, true },
		{ REAL, CR0_NW, true },
		{ REAL, CR0_NW | CR0_CD, false },
		{ REAL, CR0_CD, false },
		{ PROTECTED, 0, false },
		{ PROTECTED, pe | pg, false },
		{ PROTECTED, pe | 1UL << 28 | 1UL << 6, false }, /* reserved: ignored */
		{ PAGING32, pg, true },
		{ PAGING32, pe, false },
		{ LONG, pe | pg | 1UL << 32, true },
		{ LONG, pe | pg | 1UL << 63, true },
		{ LONG, pe, true }, /* paging off in 64-bit mode */
		{ LONG_CODE32, pe, false },
		{ LONG, pe | pg | CR0_WP | CR0_AM | CR0_TS, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		start(cases[i].mode);
		assert_int_equal(is_gp(write_cr(0, cases[i].value)), cases[i].gp);
		if (cases[i].gp)
			continue;
		assert_int_equal(vmcs_read(VMCS_CR0_SHADOW),
				 (cases[i].value & ~(1UL << 28 | 1UL << 6)) | et);
		assert_true(vmcs_read(VMCS_GUEST_CR0) & CR0_NE);
		assert_false(vmcs_read(VMCS_GUEST_CR0) & (CR0_CD | CR0_NW));
	}
}

/* Outside 64-bit mode the register has 32 bits, whatever the vCPU's holds above. */
static void test_cr0_upper_half(void **state)
{
	(void)state;
	start(PROTECTED);
	assert_false(is_gp(write_cr(0, 0xffffffff00000000 | CR0_PE)));
	assert_int_equal(vmcs_read(VMCS_CR0_SHADOW), CR0_PE | CR0_ET);
}

/* Into IA-32e mode and out of it: LMA, the entry control, the TLB. */
static void test_long_mode(void **state)
{
	(void)state;
	start(PROTECTED);
	vmcs_write(VMCS_GUEST_EFER, EFER_LME);
	assert_true(is_gp(write_cr(0, CR0_PE | CR0_PG))); /* without PAE */
	assert_false(is_gp(write_cr(4, CR4_PAE)));
	assert_int_equal(fake_nr_invvpid, 1);
	vmcs_write(VMCS_GUEST_CS_AR, 0xa09b);
	assert_true(is_gp(write_cr(0, CR0_PE | CR0_PG))); /* with CS.L */
	vmcs_write(VMCS_GUEST_CS_AR, 0xc09b);
	vmcs_write(VMCS_GUEST_TR_AR, 0x83);
	assert_true(is_gp(write_cr(0, CR0_PE | CR0_PG))); /* with a 16-bit TSS */
	vmcs_write(VMCS_GUEST_TR_AR, 0x8b);
	assert_false(vmcs_read(VMCS_GUEST_EFER) & EFER_LMA);
	assert_false(is_gp(write_cr(0, CR0_PE | CR0_PG)));
	assert_int_equal(vmcs_read(VMCS_GUEST_EFER), EFER_LME | EFER_LMA);
	assert_int_equal(vmcs_read(VMCS_ENTRY_CTLS), ENTRY_IA32E_GUEST);
	assert_int_equal(fake_nr_invvpid, 2);

	assert_true(is_gp(write_cr(4, 0))); /* PAE must stay */
	assert_false(is_gp(write_cr(0, CR0_PE)));
	assert_int_equal(vmcs_read(VMCS_GUEST_EFER), EFER_LME);
	assert_int_equal(vmcs_read(VMCS_ENTRY_CTLS), 0);
	assert_int_equal(fake_nr_invvpid, 3);
}

/* Each bit of CR4 alone: what CPUID hides is reserved. */
static void test_cr4_reserved(void **state)
{
	(void)state;
	for (unsigned int bit = 0; bit < 64; bit++) {
		uint64_t value = CR4_PAE | 1UL << bit;

		start(LONG);
		vmcs_write(VMCS_GUEST_CR3, 0x1000);
		assert_int_equal(is_gp(write_cr(4, value)), !(cpu.cr4 >> bit & 1));
		if (!(cpu.cr4 >> bit & 1)) {
			assert_int_equal(vmcs_read(VMCS_CR4_SHADOW), CR4_PAE);
			continue;
		}
		assert_int_equal(vmcs_read(VMCS_CR4_SHADOW), value);
		assert_int_equal(V->cr4_guest, value);
		assert_int_equal(vmcs_read(VMCS_GUEST_CR4), value | CR4_VMXE);
	}
}

static void test_pcid(void **state)
{
	(void)state;
	start(PAE);
	assert_true(is_gp(write_cr(4, CR4_PAE | CR4_PCIDE))); /* not in IA-32e mode */
	start(LONG);
	vmcs_write(VMCS_GUEST_CR3, 0x1001);
	assert_true(is_gp(write_cr(4, CR4_PAE | CR4_PCIDE))); /* CR3[11:0] is not 0 */
	vmcs_write(VMCS_GUEST_CR3, 0x1018);
	assert_true(is_gp(write_cr(4, CR4_PAE | CR4_PCIDE)));
	vmcs_write(VMCS_GUEST_CR3, 0x1000);
	assert_false(is_gp(write_cr(4, CR4_PAE | CR4_PCIDE)));
	vmcs_write(VMCS_GUEST_CR3, 0x1001);
	assert_false(is_gp(write_cr(4, CR4_PAE | CR4_PCIDE | CR4_PGE))); /* it was on already */
	vmcs_write(VMCS_GUEST_CS_AR, 0xc09b);
	assert_true(is_gp(write_cr(0, CR0_PE))); /* paging off with PCIDE */
}

static void test_pdptes(void **state)
{
	static const struct {
		uint64_t entry;
		bool gp;
	} cases[] = {
		{ 0, false },
		{ 0x1e6, false }, /* absent: nothing is checked */
		{ 0x5001, false },
		{ 0x5019, false }, /* PWT, PCD */
		{ 0x5003, true },
		{ 0x5005, true },
		{ 0x5021, true },
		{ 0x5101, true },
		{ 0x8000000000005001, true },
		{ 0x10000005001, true }, /* bit 40: above the address width */
		{ 0xfffffff001, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		for (int at = 0; at < 4; at++) {
			start(PROTECTED);
			vmcs_write(VMCS_CR4_SHADOW, CR4_PAE);
			table[at] = cases[i].entry;
			assert_int_equal(is_gp(write_cr(0, CR0_PE | CR0_PG)), cases[i].gp);
			if (!cases[i].gp)
				assert_int_equal(vmcs_read(VMCS_GUEST_PDPTE0 + 2 * (uint32_t)at),
						 cases[i].entry);
			start(PAE);
			table[at] = cases[i].entry;
			assert_int_equal(is_gp(write_cr(4, CR4_PAE | CR4_PGE)), cases[i].gp);
		}
	}
	start(PAE);
	vmcs_write(VMCS_GUEST_CR3, 0x99000);			/* no RAM there */
	assert_false(is_gp(write_cr(4, CR4_PAE | CR4_OSFXSR))); /* loads nothing */
	assert_true(is_gp(write_cr(4, CR4_PAE | CR4_PSE)));
	start(PAGING32);
	vmcs_write(VMCS_GUEST_CR3, 0x99000);
	assert_true(is_gp(write_cr(4, CR4_PAE)));
}

static void test_clts_lmsw(void **state)
{
	(void)state;
	start(PROTECTED);
	assert_false(is_gp(write_cr(0, CR0_PE | CR0_TS | CR0_EM)));
	vmcs_write(VMCS_EXIT_QUAL, CR_ACCESS_CLTS << 4);
	assert_int_equal(exit_cr(V), RESUME_NEXT);
	assert_int_equal(vmcs_read(VMCS_CR0_SHADOW), CR0_PE | CR0_EM | CR0_ET);
	vmcs_write(VMCS_EXIT_QUAL, 0xfffaUL << 16 | CR_ACCESS_LMSW << 4);
	assert_int_equal(exit_cr(V), RESUME_NEXT); /* TS and MP in, EM out, PE stays */
	assert_int_equal(vmcs_read(VMCS_CR0_SHADOW), CR0_PE | CR0_MP | CR0_TS | CR0_ET);
}

static void test_cr8(void **state)
{
	(void)state;
	start(LONG);
	assert_false(is_gp(write_cr(8, 9)));
	assert_true(is_gp(write_cr(8, 0x10)));
	assert_true(is_gp(write_cr(8, 1UL << 63)));
	vmcs_write(VMCS_EXIT_QUAL, RSI << 8 | CR_ACCESS_FROM_CR << 4 | 8);
	assert_int_equal(exit_cr(V), RESUME_NEXT);
	assert_int_equal(V->regs[RSI], 9);
}

/* With a local APIC it is the upper half of TPR. */
static void test_cr8_is_tpr(void **state)
{
	static uint32_t regs[LAPIC_REGS_NR][4];
	static struct lapic lapic = { .regs = regs };

	(void)state;
	start(LONG);
	V->lapic = &lapic;
	lapic_init(V);
	regs[LAPIC_TPR][0] = 0x5f;
	vmcs_write(VMCS_EXIT_QUAL, RSI << 8 | CR_ACCESS_FROM_CR << 4 | 8);
	assert_int_equal(exit_cr(V), RESUME_NEXT);
	assert_int_equal(V->regs[RSI], 5);
	assert_false(is_gp(write_cr(8, 9)));
	assert_int_equal(regs[LAPIC_TPR][0], 0x90);
	assert_true(is_gp(write_cr(8, 0x10)));
}

/* Every value of the low byte, and other bits. */
static void test_xsetbv(void **state)
{
	(void)state;
	start(LONG);
	for (uint64_t value = 0; value < 0x400; value++) {
		bool avx512 = value & 0xe0;
		bool ok = (value & 1) && !(value & ~cpu.xcr0) && (!(value & 4) || (value & 2)) &&
			  (!avx512 || (value & 0xe6) == 0xe6);

		V->cr4_guest = CR4_PAE | CR4_OSXSAVE;
		V->regs[RCX] = 0x100000000;
		V->regs[RAX] = value;
		V->regs[RDX] = 0;
		assert_int_equal(is_gp(exit_xsetbv(V)), !ok);
		if (ok) {
			assert_int_equal(V->xcr0, value);
			assert_int_equal(fake_xcr0, value);
		}
	}
	V->regs[RAX] = 3;
	V->regs[RDX] = 1;
	assert_true(is_gp(exit_xsetbv(V)));
	V->regs[RDX] = 0;
	V->regs[RCX] = 1;
	assert_true(is_gp(exit_xsetbv(V)));
	V->regs[RCX] = 0;
	vmcs_write(VMCS_GUEST_SS_AR, 3 << SEG_AR_DPL_SHIFT);
	assert_true(is_gp(exit_xsetbv(V)));
	V->cr4_guest = CR4_PAE;
	assert_int_equal(exit_xsetbv(V), RESUME);
	assert_int_equal(V->events.vector, VEC_UD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cr0),	   cmocka_unit_test(test_cr0_upper_half),
		cmocka_unit_test(test_long_mode),  cmocka_unit_test(test_cr4_reserved),
		cmocka_unit_test(test_pcid),	   cmocka_unit_test(test_pdptes),
		cmocka_unit_test(test_clts_lmsw),  cmocka_unit_test(test_cr8),
		cmocka_unit_test(test_cr8_is_tpr), cmocka_unit_test(test_xsetbv),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
