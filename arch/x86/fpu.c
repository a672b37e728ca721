/* SPDX-License-Identifier: MIT */
/* XSAVE areas of guests (SDM, "Managing State Using the XSAVE Feature Set"). */
#include "arch/fpu.h"
#include "arch/insn.h"
#include "arch/regs.h"
#include "lib/assert.h"
#include "lib/string.h"

#define XCR0_SSE    0x02UL
#define XCR0_AVX    0x04UL
#define XCR0_AVX512 0xe0UL /* opmask, upper halves, upper registers: all three or none */

#define CPUID_XSAVE 0x0d
#define MXCSR_RESET 0x1f80u
#define FCW_RESET   0x037fu

/* The start of an area: as FXSAVE has it, then the XSAVE header. */
struct xsave_area {
	uint16_t fcw, fsw;
	uint8_t ftw, unused1[19];
	uint32_t mxcsr, mxcsr_mask;
	uint8_t unused2[480];
	uint64_t xstate_bv, xcomp_bv;
	uint8_t unused3[48];
};
_Static_assert(sizeof(struct xsave_area) == 576, "legacy region and header");
_Static_assert(offsetof(struct xsave_area, mxcsr) == 24, "as in the SDM");

#define XCOMP_COMPACT (1UL << 63)
#define AVX_OFFSET    \
	sizeof(struct \
	       xsave_area) /* in either format, being the first component behind the header */
#define AVX_SIZE  256U
#define TEST_AREA 4096

static uint64_t mask;
static size_t area_size;

void fpu_init(void)
{
	struct cpuid_regs r = cpuid(CPUID_XSAVE, 0);

	/*
	 * MPX is half gone from CPUs, AMX would cost 8 KiB a vCPU, and PKRU needs CR4.PKE: none of
	 * them. Whoever adds one adds it to the CPUID table too.
	 */
	mask = r.eax & (XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512);
	if (!(mask & XCR0_AVX) || (mask & XCR0_AVX512) != XCR0_AVX512)
		mask &= ~XCR0_AVX512;
	xsetbv(0, mask);
	area_size = cpuid(CPUID_XSAVE, 0).ebx; /* for what XCR0 has enabled now */
	ASSERT(area_size >= sizeof(struct xsave_area));
}

size_t fpu_area_size(void)
{
	return area_size;
}

void fpu_init_area(void *area)
{
	struct xsave_area init = { .fcw = FCW_RESET, .mxcsr = MXCSR_RESET };

	/* XSTATE_BV 0 puts each component into its initial state; MXCSR is loaded from here all the same. */
	memcpy(area, &init, sizeof(init));
}

void fpu_save(void *area)
{
	/* The guest may have turned components off, which keep their contents and belong to it. */
	xsetbv(0, mask);
	xsave(area, mask);
}

/* XCR0 is as fpu_init() or fpu_save() have left it. */
void fpu_load(const void *area, uint64_t xcr0)
{
	xrstor(area, mask);
	xsetbv(0, xcr0);
}

bool __init fpu_xsavec_works(void)
{
	static __initdata uint8_t out[TEST_AREA] __aligned(64), in[TEST_AREA] __aligned(64);
	struct xsave_area *from = (struct xsave_area *)in, *to = (struct xsave_area *)out;
	bool right;

	if (!(mask & XCR0_AVX) || area_size > TEST_AREA)
		return true;
	fpu_init_area(in);
	from->xstate_bv = XCR0_SSE | XCR0_AVX;
	for (unsigned int i = 0; i < AVX_SIZE; i++)
		in[AVX_OFFSET + i] = (uint8_t)(i + 1);
	xrstor(in, mask);
	xsavec(out, mask);
	right = to->xcomp_bv == (XCOMP_COMPACT | mask) && (to->xstate_bv & XCR0_AVX) &&
		!memcmp(out + AVX_OFFSET, in + AVX_OFFSET, AVX_SIZE);
	from->xstate_bv = 0;
	xrstor(in, mask);
	return right;
}
