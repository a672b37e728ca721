/* SPDX-License-Identifier: MIT */
/*
 * Detection: SDM, CPUID leaf 7 (EDX) and MSR IA32_ARCH_CAPABILITIES; Intel, "CPUID Enumeration and
 * Architectural MSRs" of the speculative execution guidance. A missing bit means "affected".
 */
#include "arch/mitigation.h"
#include "arch/insn.h"
#include "arch/layout.h"
#include "arch/regs.h"
#include "lib/compiler.h"

#define LINE 64

/* Read by arch/x86/flush.S at each exit of a vCPU that wants it: 0 or 1. */
__nonsensitive uint8_t mitigation_ibpb;
/* What the software flush reads; NULL: the MSR does it. */
static __nonsensitive const uint8_t *l1d_buffer;
static __nonsensitive size_t l1d_len;

static const uint16_t verw_selector =
	SEL_DATA; /* one that can be written, or VERW clears nothing */

/* SDM, CPUID leaf 4: a row for each cache. */
static size_t l1d_size(uint32_t max_leaf)
{
	for (uint32_t i = 0; max_leaf >= 4 && i < 16; i++) {
		struct cpuid_regs r = cpuid(4, i);
		uint32_t type = r.eax & 0x1f, level = r.eax >> 5 & 7;

		if (type == 0)
			break;
		if (type == 1 && level == 1)
			return ((size_t)(r.ebx >> 22) + 1) * ((r.ebx >> 12 & 0x3ff) + 1) *
			       ((r.ebx & 0xfff) + 1) * ((size_t)r.ecx + 1);
	}
	return 0;
}

/*
 * Each problem that VERW answers has its own bit for "not affected". The last two count only where VERW
 * answers them: CPUs too old to be affected have neither bit.
 */
static bool needs_verw(uint32_t ebx, uint64_t cap)
{
	const uint64_t mmio_no = ARCH_CAP_SBDR_SSDP_NO | ARCH_CAP_FBSDP_NO | ARCH_CAP_PSDP_NO;
	bool mds = !(cap & ARCH_CAP_MDS_NO);
	bool taa = ebx & CPUID_7_EBX_RTM && !(cap & ARCH_CAP_TAA_NO);
	bool mmio = cap & ARCH_CAP_FB_CLEAR && (cap & mmio_no) != mmio_no;
	bool rfds = cap & ARCH_CAP_RFDS_CLEAR && !(cap & ARCH_CAP_RFDS_NO);

	return mds || taa || mmio || rfds;
}

void mitigation_detect(struct mitigation_cpu *out)
{
	uint32_t max_leaf = cpuid(0, 0).eax, ebx = 0, edx = 0;
	uint64_t cap = 0;

	if (max_leaf >= 7) {
		ebx = cpuid(7, 0).ebx;
		edx = cpuid(7, 0).edx;
	}
	if (edx & CPUID_7_EDX_ARCH_CAP)
		cap = rdmsr(MSR_ARCH_CAPABILITIES);

	*out = (struct mitigation_cpu){ .cpuid_7_edx = edx, .arch_capabilities = cap };
	out->has = FLUSH_L1D | FLUSH_RSB;
	/* No CPU says that trained branches of one guest cannot steer another, or us. */
	out->needs = FLUSH_IBPB | FLUSH_RSB;
	if (edx & CPUID_7_EDX_MD_CLEAR || cap & (ARCH_CAP_FB_CLEAR | ARCH_CAP_RFDS_CLEAR))
		out->has |= FLUSH_VERW;
	if (needs_verw(ebx, cap))
		out->needs |= FLUSH_VERW;
	if (edx & CPUID_7_EDX_IBRS) {
		out->has |= FLUSH_IBPB;
		if (cap & ARCH_CAP_IBRS_ALL)
			out->spec_ctrl = SPEC_CTRL_IBRS;
	}
	if (!(cap & (ARCH_CAP_RDCL_NO | ARCH_CAP_SKIP_L1DFL_VMENTRY)))
		out->needs |= FLUSH_L1D;
	out->l1d_msr = edx & CPUID_7_EDX_L1D_FLUSH;
	out->l1d_bytes = l1d_size(max_leaf);
}

void mitigation_use(unsigned int flushes, const void *buffer, size_t len)
{
	mitigation_ibpb = (flushes & FLUSH_IBPB) != 0;
	l1d_buffer = buffer;
	l1d_len = len;
}

size_t mitigation_set_l1d_len(size_t len)
{
	size_t before = l1d_len;

	l1d_len = len;
	return before;
}

void mitigation_set_spec_ctrl(uint64_t value)
{
	wrmsr(MSR_SPEC_CTRL, value);
}

static void read_every(size_t step)
{
	const volatile uint8_t *end = l1d_buffer + l1d_len;

	for (const volatile uint8_t *p = l1d_buffer; p < end; p += step)
		(void)*p;
	load_fence();
}

/*
 * In software every line is displaced by one of the buffer, which is larger than the cache, since
 * replacement is not quite least-recently-used. Page by page before: walks of page tables
 * in the second pass would bring in lines of their own.
 */
static void flush_l1d(void)
{
	if (l1d_buffer) {
		read_every(PAGE_SIZE);
		read_every(LINE);
	} else {
		wrmsr(MSR_FLUSH_CMD, FLUSH_CMD_L1D);
	}
}

void mitigation_flush(unsigned int flushes)
{
	if (flushes & FLUSH_IBPB)
		wrmsr(MSR_PRED_CMD, PRED_CMD_IBPB);
	if (flushes & FLUSH_RSB)
		rsb_fill();
	if (flushes & FLUSH_L1D)
		flush_l1d();
	if (flushes & FLUSH_VERW)
		verw(&verw_selector);
}
