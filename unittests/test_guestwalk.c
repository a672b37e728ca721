/* SPDX-License-Identifier: MIT */
/* The walk of a guest's page tables, over 64 KiB of guest memory made here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/pte.h"
#include "arch/regs.h"
#include "lib/bitops.h"
#include "lib/errno.h"
#include "vmm/guestmem.h"
#include "vmm/guestwalk.h"

#define RAM_SIZE  0x10000
#define PHYS_BITS 40

static uint8_t ram[RAM_SIZE];
static unsigned int reads;

int guestmem_read(const struct vm *vm, gpa_t gpa, void *buf, size_t len)
{
	(void)vm;
	reads++;
	if (gpa.v > RAM_SIZE || len > RAM_SIZE - gpa.v)
		return -EFAULT;
	memcpy(buf, ram + gpa.v, len);
	return 0;
}

int guestmem_read_entry(const struct vm *vm, gpa_t gpa, bool wide, uint64_t *entry)
{
	*entry = 0;
	return guestmem_read(vm, gpa, entry, wide ? 8 : 4);
}

static void put64(uint64_t gpa, uint64_t v)
{
	memcpy(ram + gpa, &v, sizeof(v));
}

static void put32(uint64_t gpa, uint32_t v)
{
	memcpy(ram + gpa, &v, sizeof(v));
}

static struct guest_paging paging(uint64_t cr4, uint64_t efer)
{
	return (struct guest_paging){ .cr0 = CR0_PE | CR0_PG,
				      .cr3 = 0x1000,
				      .cr4 = cr4,
				      .efer = efer,
				      .phys_mask = BITS(PHYS_BITS - 1, 0) };
}

/* Expects a translation. */
static void expect(const struct guest_paging *p, uint64_t gva, uint32_t access, uint64_t want)
{
	uint32_t error = 0;
	gpa_t gpa = GPA(~0UL);

	assert_int_equal(guestwalk(NULL, p, GVA(gva), access, &gpa, &error), 0);
	assert_int_equal(gpa.v, want);
}

/* Expects a page fault with this error code. */
static void expect_fault(const struct guest_paging *p, uint64_t gva, uint32_t access, uint32_t want)
{
	uint32_t error = ~0u;
	gpa_t gpa;

	assert_int_equal(guestwalk(NULL, p, GVA(gva), access, &gpa, &error), -EFAULT);
	assert_int_equal(error, want);
}

#define GVA_4K 0x0000123456789abcUL

/* Four levels at 0x1000, 0x2000, 0x3000, 0x4000 for GVA_4K; the flags of each entry. */
static void map_long(const uint64_t flags[4])
{
	for (unsigned int i = 0; i < 4; i++) {
		uint64_t index = GVA_4K >> (39 - 9 * i) & 511;
		uint64_t to = i < 3 ? 0x2000 + 0x1000 * i : 0xab000;

		put64(0x1000 + 0x1000 * i + index * 8, to | flags[i]);
	}
}

static int setup(void **state)
{
	(void)state;
	memset(ram, 0, sizeof(ram));
	reads = 0;
	return 0;
}

static void test_paging_off(void **state)
{
	struct guest_paging p = paging(0, 0);

	(void)state;
	p.cr0 = CR0_PE;
	expect(&p, 0x12345678, PF_WRITE, 0x12345678);
	assert_int_equal(reads, 0);
}

static void test_4level(void **state)
{
	const uint64_t all = PTE_P | PTE_W | PTE_U;
	struct guest_paging p = paging(CR4_PAE, EFER_LME | EFER_LMA);

	(void)state;
	map_long((uint64_t[]){ all, all, all, all });
	expect(&p, GVA_4K, PF_WRITE | PF_USER, 0xababc);
	assert_int_equal(reads, 4);
	expect_fault(&p, GVA_4K + PAGE_SIZE, PF_WRITE, PF_WRITE);

	/* PCID bits of CR3 are no address. */
	p.cr3 |= 0x123;
	expect(&p, GVA_4K, 0, 0xababc);
}

/* The weakest entry of the walk counts, whichever it is. */
static void test_rights(void **state)
{
	struct guest_paging p = paging(CR4_PAE, EFER_LME | EFER_LMA | EFER_NXE);

	(void)state;
	p.cr0 |= CR0_WP;
	for (unsigned int i = 0; i < 4; i++) {
		uint64_t flags[4] = { PTE_P | PTE_W | PTE_U, PTE_P | PTE_W | PTE_U,
				      PTE_P | PTE_W | PTE_U, PTE_P | PTE_W | PTE_U };

		flags[i] &= ~PTE_W;
		map_long(flags);
		expect(&p, GVA_4K, PF_USER, 0xababc);
		expect_fault(&p, GVA_4K, PF_WRITE, PF_PRESENT | PF_WRITE);
		p.cr0 &= ~CR0_WP;
		expect(&p, GVA_4K, PF_WRITE, 0xababc);
		expect_fault(&p, GVA_4K, PF_WRITE | PF_USER, PF_PRESENT | PF_WRITE | PF_USER);
		p.cr0 |= CR0_WP;

		flags[i] = PTE_P | PTE_W;
		map_long(flags);
		expect(&p, GVA_4K, PF_WRITE, 0xababc);
		expect_fault(&p, GVA_4K, PF_USER, PF_PRESENT | PF_USER);

		flags[i] = PTE_P | PTE_W | PTE_U | PTE_NX;
		map_long(flags);
		expect(&p, GVA_4K, PF_WRITE, 0xababc);
		expect_fault(&p, GVA_4K, PF_FETCH, PF_PRESENT | PF_FETCH);

		/* Without NXE the bit is reserved. */
		p.efer &= ~EFER_NXE;
		expect_fault(&p, GVA_4K, PF_FETCH, PF_PRESENT | PF_RSVD);
		p.efer |= EFER_NXE;
	}
}

static void test_smep_smap(void **state)
{
	const uint64_t all = PTE_P | PTE_W | PTE_U;
	struct guest_paging p = paging(CR4_PAE | CR4_SMEP | CR4_SMAP, EFER_LME | EFER_LMA);

	(void)state;
	map_long((uint64_t[]){ all, all, all, all });
	expect_fault(&p, GVA_4K, PF_FETCH, PF_PRESENT | PF_FETCH);
	expect(&p, GVA_4K, PF_FETCH | PF_USER, 0xababc);
	expect_fault(&p, GVA_4K, 0, PF_PRESENT);
	p.rflags = RFLAGS_AC;
	expect(&p, GVA_4K, 0, 0xababc);
	/* AC does not open SMEP. */
	expect_fault(&p, GVA_4K, PF_FETCH, PF_PRESENT | PF_FETCH);
}

static void test_reserved(void **state)
{
	const uint64_t all = PTE_P | PTE_W | PTE_U;
	struct guest_paging p = paging(CR4_PAE, EFER_LME | EFER_LMA);

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		uint64_t flags[4] = { all, all, all, all };

		flags[i] |= BIT(PHYS_BITS);
		map_long(flags);
		expect_fault(&p, GVA_4K, PF_WRITE, PF_PRESENT | PF_RSVD | PF_WRITE);
		/* Bits 52 to 62 are free in IA-32e mode. */
		flags[i] = all | BITS(62, 52);
		map_long(flags);
		expect(&p, GVA_4K, 0, 0xababc);
	}
	map_long((uint64_t[]){ all | PTE_PS, all, all, all });
	expect_fault(&p, GVA_4K, 0, PF_PRESENT | PF_RSVD);
}

static void test_large(void **state)
{
	const uint64_t all = PTE_P | PTE_W;
	struct guest_paging p = paging(CR4_PAE, EFER_LME | EFER_LMA);
	uint64_t pdpte = 0x2000 + (GVA_4K >> 30 & 511) * 8, pde = 0x3000 + (GVA_4K >> 21 & 511) * 8;

	(void)state;
	map_long((uint64_t[]){ all, all, all, all });
	put64(pde, 0x7fe00000 | PTE_PS | BIT(12) | all); /* bit 12 is the PAT bit */
	expect(&p, GVA_4K, 0, 0x7fe00000 | (GVA_4K & (PAGE_SIZE_2M - 1)));
	put64(pde, 0x7fe00000 | BIT(13) | PTE_PS | all);
	expect_fault(&p, GVA_4K, 0, PF_PRESENT | PF_RSVD);
	put64(pdpte, 0x80000000 | PTE_PS | all);
	expect(&p, GVA_4K, 0, 0x80000000 | (GVA_4K & (PAGE_SIZE_1G - 1)));
	put64(pdpte, 0x80000000 | BIT(29) | PTE_PS | all);
	expect_fault(&p, GVA_4K, 0, PF_PRESENT | PF_RSVD);
}

/* The walk starts from the PDPTE registers, and bits above 51 are reserved. */
static void test_pae(void **state)
{
	struct guest_paging p = paging(CR4_PAE, 0);
	uint32_t gva = 0xc0a01234;

	(void)state;
	p.pdpte[3] = 0x2000 | PTE_P;
	put64(0x2000 + (gva >> 21 & 511) * 8, 0x3000 | PTE_P | PTE_W | PTE_U);
	put64(0x3000 + (gva >> 12 & 511) * 8, 0x1234567000 | PTE_P | PTE_W | PTE_U);
	expect(&p, gva, PF_WRITE | PF_USER, 0x1234567234);
	assert_int_equal(reads, 2);
	put64(0x3000 + (gva >> 12 & 511) * 8, 0x1234567000 | PTE_P | BIT(52));
	expect_fault(&p, gva, 0, PF_PRESENT | PF_RSVD);
	p.pdpte[3] = 0;
	expect_fault(&p, gva, PF_USER, PF_USER);
}

static void test_32bit(void **state)
{
	struct guest_paging p = paging(0, 0);
	uint32_t gva = 0xc0a01234;

	(void)state;
	put32(0x1000 + (gva >> 22) * 4, 0x2000 | PTE_P | PTE_W);
	put32(0x2000 + (gva >> 12 & 1023) * 4, 0xfffff000 | PTE_P | PTE_W);
	expect(&p, gva, PF_WRITE, 0xfffff234);
	/* No I/D flag without NX and SMEP. */
	expect_fault(&p, gva, PF_FETCH | PF_USER, PF_PRESENT | PF_USER);

	/* PS counts only with PSE; PSE-36 has address bits 39:32. */
	put32(0x1000 + (gva >> 22) * 4, 0x80000000 | 0xab << 13 | PTE_PS | PTE_P);
	p.cr4 = CR4_PSE;
	expect(&p, gva, 0, 0xab80000000 | (gva & 0x3fffff));
	put32(0x1000 + (gva >> 22) * 4, 0x80000000 | BIT(21) | PTE_PS | PTE_P);
	expect_fault(&p, gva, 0, PF_PRESENT | PF_RSVD);
}

/* Tables outside of RAM, at any level, are as good as none. */
static void test_tables_outside(void **state)
{
	const uint64_t all = PTE_P | PTE_W | PTE_U;
	struct guest_paging p = paging(CR4_PAE, EFER_LME | EFER_LMA);

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		map_long((uint64_t[]){ all, all, all, all });
		put64(0x1000 + 0x1000 * i + (GVA_4K >> (39 - 9 * i) & 511) * 8, 0x8000000000 | all);
		expect_fault(&p, GVA_4K, PF_WRITE, PF_WRITE);
	}
	p.cr3 = ~0UL;
	expect_fault(&p, GVA_4K, 0, 0);
}

/* Whatever the tables hold: at most four reads, and an answer of one of two kinds. */
static void test_random(void **state)
{
	static const uint64_t modes[][2] = {
		{ 0, 0 },
		{ CR4_PSE, 0 },
		{ CR4_PAE, 0 },
		{ CR4_PAE, EFER_LME | EFER_LMA },
		{ CR4_PAE | CR4_SMEP | CR4_SMAP, EFER_LME | EFER_LMA | EFER_NXE },
	};

	(void)state;
	srand(1);
	for (unsigned int n = 0; n < 200000; n++) {
		struct guest_paging p = paging(modes[n % 5][0], modes[n % 5][1]);
		uint64_t gva = (uint64_t)rand() << 20 ^ (uint64_t)rand();
		uint32_t error = 0;
		gpa_t gpa = GPA(0);

		if (n % 1000 == 0) /* tables that lead back into the memory */
			for (unsigned int i = 0; i < RAM_SIZE; i += 8)
				put64(i, ((uint64_t)rand() & 0xf0ff) | 1);
		p.pdpte[gva >> 30 & 3] = 0x2001;
		reads = 0;
		if (guestwalk(NULL, &p, GVA(gva), (uint32_t)rand() & 0x16, &gpa, &error))
			assert_false(error &
				     ~(PF_PRESENT | PF_WRITE | PF_USER | PF_RSVD | PF_FETCH));
		else
			assert_int_equal(gpa.v & 0xfff, gva & 0xfff);
		assert_in_range(reads, 1, 4);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_paging_off, setup),
		cmocka_unit_test_setup(test_4level, setup),
		cmocka_unit_test_setup(test_rights, setup),
		cmocka_unit_test_setup(test_smep_smap, setup),
		cmocka_unit_test_setup(test_reserved, setup),
		cmocka_unit_test_setup(test_large, setup),
		cmocka_unit_test_setup(test_pae, setup),
		cmocka_unit_test_setup(test_32bit, setup),
		cmocka_unit_test_setup(test_tables_outside, setup),
		cmocka_unit_test_setup(test_random, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
