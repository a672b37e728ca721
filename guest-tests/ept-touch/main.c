/* SPDX-License-Identifier: MIT */
/*
 * ept-touch: all the memory that the guest was promised, and some that it was not.
 *
 * Why: every page of RAM must be there, be the guest's own (no two guest pages on one frame),
 * and start zeroed: what the last owner left is a secret. Outside RAM the hypervisor decodes
 * the access or the guest hangs there; with no device a read gives all ones.
 * Expected: pass.
 */
#include "guest-tests/lib/cpu.h"

#define FOUR_GIB 0x100000000ull
#define OUTSIDE	 0xe0000000ull
#define MIX	 0x9e3779b97f4a7c15ull

static volatile u64 *word(u64 addr)
{
	asm("" : "+r"(addr)); /* address 0 is RAM like any other */
	return (volatile u64 *)addr;
}

/* Calls fn for each whole page of RAM that neither image nor loader has filled. */
static u64 for_pages(u64 (*fn)(u64 page))
{
	u64 sum = 0;

	for (unsigned int i = 0; i < boot.nr_map; i++) {
		const struct region *r = &boot.map[i];
		u64 end = r->end < FOUR_GIB ? r->end : FOUR_GIB;

		if (r->type != 1)
			continue;
		for (u64 p = (r->start + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1); p + PAGE_SIZE <= end;
		     p += PAGE_SIZE) {
			if (!info_used(p, p + PAGE_SIZE))
				sum += fn(p);
		}
	}
	return sum;
}

static u64 count_page(u64 page)
{
	(void)page;
	return 1;
}

static u64 page_not_zero(u64 page)
{
	u64 bits = 0;

	for (u64 a = page; a < page + PAGE_SIZE; a += 8)
		bits |= *word(a);
	return bits != 0;
}

/* A word in each page, at an offset that walks through the page's 512. */
static u64 pattern_at(u64 page)
{
	return page + page / PAGE_SIZE % 512 * 8;
}

static u64 write_pattern(u64 page)
{
	*word(pattern_at(page)) = page * MIX;
	return 0;
}

static u64 wrong_pattern(u64 page)
{
	return *word(pattern_at(page)) != page * MIX;
}

/* A value across the boundary with the page before, if that is ours as well. */
static u64 straddle(u64 page)
{
	volatile u64 *w = word(page - 3);

	if (page < PAGE_SIZE || page == 0x100000 || info_used(page - PAGE_SIZE, page))
		return 0;
	*w = page * MIX;
	return *w != page * MIX;
}

static void touch_stride(const char *name, u64 start, u64 stride)
{
	u64 wrong = 0, end = start;

	for (unsigned int i = 0; i < boot.nr_map; i++) {
		if (boot.map[i].type == 1 && boot.map[i].start <= start && boot.map[i].end > start)
			end = boot.map[i].end < FOUR_GIB ? boot.map[i].end : FOUR_GIB;
	}
	for (u64 a = start; a + 8 <= end; a += stride) {
		if (!info_used(a, a + 8))
			*word(a) = a * MIX;
	}
	for (u64 a = start; a + 8 <= end; a += stride) {
		if (!info_used(a, a + 8))
			wrong += *word(a) != a * MIX;
	}
	report_eq(name, wrong, 0);
}

static void check_reads_outside(void)
{
	u64 a = OUTSIDE, b = 0x1100, w = 0x110000, l = 0x11ull << 32, q = 0, z = 0, m = 0, s = 0;

	asm volatile("movb (%1), %b0" : "+r"(b) : "r"(a));
	asm volatile("movw (%1), %w0" : "+r"(w) : "r"(a));
	asm volatile("movl (%1), %k0" : "+r"(l) : "r"(a));
	asm volatile("movq (%1), %0" : "=r"(q) : "r"(a));
	asm volatile("movzbl 3(%1), %k0" : "=r"(z) : "r"(a));
	asm volatile("movswq 2(%1), %0" : "=r"(s) : "r"(a));
	asm volatile("movabs 0xe0000010, %%eax" : "=a"(m));
	report_strict("8-bit read outside RAM", b, 0x11ff);
	report_strict("16-bit read outside RAM", w, 0x11ffff);
	report_strict("32-bit read outside RAM", l, 0xffffffff);
	report_strict("64-bit read outside RAM", q, ~0ull);
	report_strict("MOVZX outside RAM", z, 0xff);
	report_strict("MOVSX outside RAM", s, ~0ull);
	report_strict("MOV from an absolute address", m, 0xffffffff);
}

static void check_writes_outside(void)
{
	u64 a = OUTSIDE, left = ~0ull;

	asm volatile("movb %b0, (%1)" : : "r"(0), "r"(a) : "memory");
	asm volatile("movw %w0, 8(%1)" : : "r"(0), "r"(a) : "memory");
	asm volatile("movl %k0, 16(%1)" : : "r"(0), "r"(a) : "memory");
	asm volatile("movq %q0, 24(%1)" : : "r"(0ul), "r"(a) : "memory");
	asm volatile("movb $0, 32(%0)" : : "r"(a) : "memory");
	asm volatile("movl $0, 40(%0)" : : "r"(a) : "memory");
	asm volatile("movq $0, 48(%0)" : : "r"(a) : "memory");
	asm volatile("movl %%eax, 56(%1,%2,2)" : : "a"(0), "r"(a), "r"(0ul) : "memory");
	for (unsigned int i = 0; i < 64; i += 8)
		left &= *word(a + i);
	report_strict("writes outside RAM are ignored", left, ~0ull);
}

void guest_main(void)
{
	u64 pages = for_pages(count_page);

	print("%lu pages to test\n", pages);
	report(pages >= 256, "memory map", "only %lu free pages", pages);
	report_strict("memory starts zeroed", for_pages(page_not_zero), 0);
	for_pages(write_pattern);
	report_eq("every page keeps its own pattern", for_pages(wrong_pattern), 0);
	report_eq("values across two pages", for_pages(straddle), 0);
	touch_stride("stride of 3 pages and 24 bytes", 0x200001, 3 * PAGE_SIZE + 24);
	touch_stride("stride of 2 MiB less 8 bytes", 0x300ff8, 0x200000 - 8);
	touch_stride("low memory by 1 KiB and 1", 0x1003, 1025);
	check_reads_outside();
	check_writes_outside();
}
