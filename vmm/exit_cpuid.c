/* SPDX-License-Identifier: MIT */
/*
 * CPUID. The rows below are allow-lists: a bit that is not in its mask reads 0. The host's values
 * are read and masked at boot, because CPUID is slow and exits itself where we are nested.
 */
#include "arch/fpu.h"
#include "arch/insn.h"
#include "arch/regs.h"
#include "arch/tsc.h"
#include "arch/vmx.h"
#include "arch/vmxcpu.h"
#include "lib/bitops.h"
#include "lib/log.h"
#include "vmm/cpuid.h"
#include "vmm/exit.h"
#include "vmm/lapic.h"
#include "vmm/vm.h"

#define ALL  0xffffffffu
#define B(n) (1u << (n))

#define LEAF_MAX	  0x16u
#define LEAF_HV		  0x40000000u
#define LEAF_EXTENDED	  0x80000000u
#define LEAF_EXTENDED_MAX 0x80000008u

/* Branch trace and PEBS. */
#define MISC_ENABLE_UNAVAILABLE 0x1800

/* x87, SSE, AVX, and the three of AVX-512: the state that fpu.c switches. No MPX, PKRU, AMX. */
#define XCR0_OFFERED 0xe7u

/*
 * SSE3 PCLMULQDQ SSSE3 FMA CX16 PCID SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE AVX F16C RDRAND.
 * Hidden: DTES64 DS-CPL PDCM (their MSRs fault), MONITOR (exits, #UD), VMX SMX (not offered), EIST
 * TM2 (host power), xTPR DCA, SDBG. OSXSAVE follows CR4; x2APIC and TSC-deadline are ours (apic=on).
 */
#define LEAF1_ECX                                                                             \
	(B(0) | B(1) | B(9) | B(12) | B(13) | B(17) | B(19) | B(20) | B(22) | B(23) | B(25) | \
	 B(26) | B(28) | B(29) | B(30))
/*
 * FPU VME DE PSE TSC MSR PAE CX8 SEP MTRR PGE CMOV PAT PSE36 CLFSH MMX FXSR SSE SSE2 SS.
 * Hidden: MCE MCA (their MSRs fault), APIC (ours, with apic=on), PSN, DS ACPI TM PBE (host power and
 * tracing), HTT (of the VM).
 */
#define LEAF1_EDX                                                                                \
	(B(0) | B(1) | B(2) | B(3) | B(4) | B(5) | B(6) | B(8) | B(11) | B(12) | B(13) | B(15) | \
	 B(16) | B(17) | B(19) | B(23) | B(24) | B(25) | B(26) | B(27))
/*
 * FSGSBASE BMI1 AVX2 FDP-EXCPTN SMEP BMI2 ERMS INVPCID FCS-FDS AVX512F AVX512DQ RDSEED ADX SMAP
 * AVX512IFMA CLFLUSHOPT CLWB AVX512CD SHA AVX512BW AVX512VL.
 * TSC_ADJUST is ours (exit_msr.c). Hidden: SGX, HLE RTM (side channels), RDT, MPX (its state is not
 * switched), PT (records the host).
 */
#define LEAF7_EBX                                                                                 \
	(B(0) | B(3) | B(5) | B(6) | B(7) | B(8) | B(9) | B(10) | B(13) | B(16) | B(17) | B(18) | \
	 B(19) | B(20) | B(21) | B(23) | B(24) | B(28) | B(29) | B(30) | B(31))
/*
 * VBMI UMIP VBMI2 GFNI VAES VPCLMULQDQ VNNI BITALG VPOPCNTDQ CLDEMOTE MOVDIRI MOVDIR64B.
 * Hidden: PKU PKS CET KL (their state is not switched), WAITPKG (needs a control), TME, LA57
 * (guestmem walks four levels), RDPID (TSC_AUX), BUS_LOCK, ENQCMD (PASID), SGX_LC.
 */
#define LEAF7_ECX \
	(B(1) | B(2) | B(6) | B(8) | B(9) | B(10) | B(11) | B(12) | B(14) | B(25) | B(27) | B(28))
/*
 * FSRM VP2INTERSECT MD_CLEAR (VERW works as it is) SERIALIZE AVX512_FP16.
 * Hidden: what speaks of MSRs not offered (SRBDS_CTRL, IBRS, STIBP, L1D_FLUSH, ARCH_CAPABILITIES,
 * CORE_CAPABILITIES, SSBD), UINTR, HYBRID, TSXLDTRK, PCONFIG, LBR, CET, AMX.
 */
#define LEAF7_EDX (B(4) | B(8) | B(10) | B(14) | B(23))
/* LAHF in 64-bit mode, LZCNT, PREFETCHW; SYSCALL, NX, 1 GiB pages, RDTSCP, 64-bit mode. */
#define LEAF81_ECX (B(0) | B(5) | B(8))
#define LEAF81_EDX (B(11) | B(20) | B(26) | B(27) | B(29))

/*
 * By leaf and subleaf, the subleaves of a leaf without a gap. A leaf that has no row reads 0:
 * 3 (serial number), 5 (MONITOR), 9 (DCA), 0xa (performance counters), 0xf and
 * 0x10 (RDT), 0x12 (SGX), 0x14 (PT).
 */
static const struct row {
	uint32_t leaf;
	bool by_subleaf; /* else ECX does not matter */
	uint8_t subleaf;
	uint32_t eax, ebx, ecx, edx; /* masks for the host's values */
} rows[] = {
	{ 0, false, 0, 0, ALL, ALL, ALL },
	{ 1, false, 0, ALL, 0xffff, LEAF1_ECX, LEAF1_EDX },
	{ 2, false, 0, ALL, ALL, ALL, ALL },
	/* Cache sizes; without the numbers of threads and cores, which then read one. */
	{ 4, true, 0, 0x3fff, ALL, ALL, ALL },
	{ 4, true, 1, 0x3fff, ALL, ALL, ALL },
	{ 4, true, 2, 0x3fff, ALL, ALL, ALL },
	{ 4, true, 3, 0x3fff, ALL, ALL, ALL },
	{ 4, true, 4, 0x3fff, ALL, ALL, ALL },
	/* No thermal sensors and states of power, but ARAT, filled in: the local APIC's timer never stops. */
	{ 6, false, 0, 0, 0, 0, 0 },
	{ 7, true, 0, 0, LEAF7_EBX, LEAF7_ECX, LEAF7_EDX },
	/* Topology: of the VM, filled in at the time. */
	{ 0xb, true, 0, 0, 0, 0, 0 },
	{ 0xb, true, 1, 0, 0, 0, 0 },
	/* XSAVE: sizes are filled in; XSAVEOPT, XSAVEC and XGETBV(1), but no XSAVES. */
	{ 0xd, true, 0, XCR0_OFFERED, 0, 0, 0 },
	{ 0xd, true, 1, 0x7, 0, 0, 0 },
	{ 0xd, true, 2, ALL, ALL, 0x2, 0 },
	{ 0xd, true, 3, 0, 0, 0, 0 },
	{ 0xd, true, 4, 0, 0, 0, 0 },
	{ 0xd, true, 5, ALL, ALL, 0x2, 0 },
	{ 0xd, true, 6, ALL, ALL, 0x2, 0 },
	{ 0xd, true, 7, ALL, ALL, 0x2, 0 },
	/* Frequencies: as measured, since emulators are wrong about them; filled in. */
	{ 0x15, false, 0, 0, 0, 0, 0 },
	{ 0x16, false, 0, 0, 0, 0, 0 },
	{ LEAF_EXTENDED, false, 0, 0, 0, 0, 0 },
	{ LEAF_EXTENDED + 1, false, 0, 0, 0, LEAF81_ECX, LEAF81_EDX },
	{ LEAF_EXTENDED + 2, false, 0, ALL, ALL, ALL, ALL }, /* the model's name */
	{ LEAF_EXTENDED + 3, false, 0, ALL, ALL, ALL, ALL },
	{ LEAF_EXTENDED + 4, false, 0, ALL, ALL, ALL, ALL },
	{ LEAF_EXTENDED + 6, false, 0, 0, 0, ALL, 0 },	  /* the L2 cache */
	{ LEAF_EXTENDED + 7, false, 0, 0, 0, 0, B(8) },	  /* invariant TSC */
	{ LEAF_EXTENDED + 8, false, 0, 0xffff, 0, 0, 0 }, /* address bits */
};

#define ROW_ZERO ARRAY_SIZE(rows)

struct leaf_index {
	uint8_t first, nr; /* rows */
	bool by_subleaf;
	bool fixed; /* one row, the same at all times: most leaves */
};

/* The masked answers, row by row and a row of zeros; written once, by exit_cpuid_init. */
static __nonsensitive struct cpuid_regs cpuid_answers[ARRAY_SIZE(rows) + 1];
static __nonsensitive struct leaf_index cpuid_basic[LEAF_MAX + 1];
static __nonsensitive struct leaf_index cpuid_extended[LEAF_EXTENDED_MAX - LEAF_EXTENDED + 1];
static __nonsensitive struct guest_cpu cpuid_guest;

/* "VestibuleHv" and no further leaf: a guest finds no interface that is not there. */
static const struct cpuid_regs hv_leaf = { LEAF_HV, 0x74736556, 0x6c756269, 0x00764865 };

uint32_t guest_signature(void)
{
	return cpuid_answers[cpuid_basic[1].first].eax;
}

const struct guest_cpu *guest_cpu(void)
{
	return &cpuid_guest;
}

static struct leaf_index *leaf_index(uint32_t leaf)
{
	if (leaf <= LEAF_MAX)
		return &cpuid_basic[leaf];
	if (leaf >= LEAF_EXTENDED && leaf <= LEAF_EXTENDED_MAX)
		return &cpuid_extended[leaf - LEAF_EXTENDED];
	return NULL;
}

static struct cpuid_regs *find(uint32_t leaf, uint32_t subleaf)
{
	const struct leaf_index *i = leaf_index(leaf);

	if (unlikely(!i)) {
		/* SDM, "CPUID": above the highest leaf comes the data of the highest basic one. */
		i = &cpuid_basic[LEAF_MAX];
		if (leaf >> 28 == LEAF_HV >> 28)
			return &cpuid_answers[ROW_ZERO];
	}
	if (!i->by_subleaf)
		return &cpuid_answers[i->first];
	return &cpuid_answers[subleaf < i->nr ? i->first + subleaf : ROW_ZERO];
}

/* Bytes of the XSAVE area for @xcr0 (SDM, "Extended Region of an XSAVE Area": both formats). */
static uint32_t xsave_size(uint64_t xcr0, bool compacted)
{
	uint32_t size = 512 + 64; /* x87 and SSE, and the header */

	for (unsigned int i = 2; i < 8; i++) {
		const struct cpuid_regs *c = find(0xd, i);

		if (!(xcr0 >> i & 1))
			continue;
		if (!compacted)
			size = MAX(size, c->ebx + c->eax);
		else
			size = (c->ecx & 2 ? ALIGN_UP(size, 64) : size) + c->eax;
	}
	return size;
}

static void set_regs(struct vcpu *v, const struct cpuid_regs *r)
{
	v->regs[RAX] = r->eax;
	v->regs[RBX] = r->ebx;
	v->regs[RCX] = r->ecx;
	v->regs[RDX] = r->edx;
}

/* SDM, "CPUID" leaf 0bh: every vCPU is a core of one thread. */
static struct cpuid_regs topology(const struct vcpu *v, uint32_t subleaf)
{
	uint32_t nr = v->vm->options.cpus, bits = nr > 1 ? bit_highest(nr - 1) + 1 : 0;
	struct cpuid_regs r = { .ecx = subleaf & 0xff,
				.edx = v->id }; /* echoed where there is no such level, too */

	if (subleaf == 0)
		r = (struct cpuid_regs){ 0, 1, 1 << 8, v->id };
	else if (subleaf == 1)
		r = (struct cpuid_regs){ bits, nr, 2 << 8 | 1, v->id };
	return r;
}

/* Leaves that depend on the subleaf, on the vCPU or on what the guest has set. */
static __noinline enum exit_action exit_cpuid_varying(struct vcpu *v)
{
	uint32_t leaf = (uint32_t)v->regs[RAX], subleaf = (uint32_t)v->regs[RCX];
	struct cpuid_regs r = leaf == LEAF_HV ? hv_leaf : *find(leaf, subleaf);

	if (leaf == 1) {
		if (v->cr4_guest & CR4_OSXSAVE)
			r.ecx |= CPUID_1_ECX_OSXSAVE;
		if (v->lapic)
			r.ecx |= CPUID_1_ECX_X2APIC | CPUID_1_ECX_TSC_DEADLINE;
		if (v->lapic && lapic_enabled(v->lapic))
			r.edx |= CPUID_1_EDX_APIC;
		r.ebx |= v->id << 24 | v->vm->options.cpus << 16;
		if (v->vm->options.cpus > 1)
			r.edx |= CPUID_1_EDX_HTT;
	} else if (leaf == 4 && r.eax & 0x1f) {
		r.eax |= (v->vm->options.cpus - 1) << 26; /* each vCPU has caches of its own */
	} else if (leaf == 0xb) {
		r = topology(v, subleaf);
	} else if (leaf == 0xd) {
		if (subleaf == 0 && r.eax)
			r.ebx = xsave_size(v->xcr0, false);
		else if (subleaf == 1 && (r.eax & 2))
			r.ebx = xsave_size(v->xcr0, true);
	}
	set_regs(v, &r);
	return RESUME_NEXT;
}

enum exit_action exit_cpuid(struct vcpu *v)
{
	uint32_t leaf = (uint32_t)v->regs[RAX];

	if (unlikely(leaf > LEAF_MAX || !cpuid_basic[leaf].fixed))
		return exit_cpuid_varying(v);
	set_regs(v, &cpuid_answers[cpuid_basic[leaf].first]);
	return RESUME_NEXT;
}

static __init void mask_host(void)
{
	uint32_t max = cpuid(0, 0).eax, max_extended = cpuid(LEAF_EXTENDED, 0).eax;

	for (uint8_t n = 0; n < ARRAY_SIZE(rows); n++) {
		const struct row *row = &rows[n];
		struct leaf_index *i = leaf_index(row->leaf);
		struct cpuid_regs r = { 0, 0, 0, 0 };

		if (row->leaf <= (row->leaf >= LEAF_EXTENDED ? max_extended : max))
			r = cpuid(row->leaf, row->subleaf);
		cpuid_answers[n] = (struct cpuid_regs){ r.eax & row->eax, r.ebx & row->ebx,
							r.ecx & row->ecx, r.edx & row->edx };
		if (row->subleaf == 0)
			*i = (struct leaf_index){ n, 0, row->by_subleaf,
						  !row->by_subleaf && row->leaf != 1 };
		i->nr++;
	}
}

/* Until a row says otherwise, a leaf reads 0. */
static __init void clear_index(struct leaf_index *x, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		x[i] = (struct leaf_index){ ROW_ZERO, 0, false, true };
}

static __init void fill_frequencies(void)
{
	uint64_t hz = tsc_khz() * 1000;
	uint32_t ratio = guest_crystal_ratio();
	uint32_t mhz = (uint32_t)((tsc_khz() + 500) / 1000) & 0xffff;

	*find(0x15, 0) = (struct cpuid_regs){ 1, ratio, (uint32_t)(hz / ratio), 0 };
	*find(0x16, 0) = (struct cpuid_regs){ mhz, mhz, 100, 0 };
}

static __init void fill_xsave(void)
{
	const uint32_t avx512 = 0xe0;
	struct cpuid_regs *d = find(0xd, 0);

	if (!(find(1, 0)->ecx & CPUID_1_ECX_XSAVE))
		d->eax = 0;
	else if ((find(0xd, 1)->eax & CPUID_D1_EAX_XSAVEC) && !fpu_xsavec_works()) {
		log_info("XSAVEC of this CPU is wrong: hidden from guests");
		find(0xd, 1)->eax &= ~CPUID_D1_EAX_XSAVEC;
	}
	if ((d->eax & avx512) != avx512 || !(d->eax & B(2)))
		d->eax &= ~avx512;
	if (d->eax)
		d->ecx = xsave_size(d->eax, false);
	cpuid_guest.xcr0 = d->eax;
}

/*
 * Systems choose how they copy and clear by IA32_MISC_ENABLE and these together: what it says has to be true of this CPU,
 * and where strings are not fast, short ones (FSRM) are not either. Linux 6.1 moves memory wrongly with FSRM alone.
 */
static __init void fill_strings(void)
{
	uint64_t fast = rdmsr(MSR_MISC_ENABLE) & MISC_ENABLE_FAST_STRINGS;

	cpuid_guest.misc_enable = MISC_ENABLE_UNAVAILABLE | fast;
	if (fast)
		return;
	find(7, 0)->ebx &= ~CPUID_7_EBX_ERMS;
	find(7, 0)->edx &= ~CPUID_7_EDX_FSRM;
}

/* Instructions that are #UD in a guest unless a control of this CPU enables them. */
static __init void hide_uncontrolled(void)
{
	uint32_t proc2 = vmx_control_word(VMX_PROC2);

	if (!(proc2 & PROC2_RDTSCP))
		find(LEAF_EXTENDED + 1, 0)->edx &= ~CPUID_81_EDX_RDTSCP;
	if (!(proc2 & PROC2_INVPCID))
		find(7, 0)->ebx &= ~CPUID_7_EBX_INVPCID;
}

/* CR4 bits by the feature that defines them; the others are reserved (MCE, VMXE, SMXE, PKE, ..). */
static __init uint64_t offered_cr4(void)
{
	const struct cpuid_regs *one = find(1, 0), *seven = find(7, 0);
	const struct {
		uint32_t present;
		uint64_t cr4;
	} rules[] = {
		{ one->edx & B(1), CR4_VME | CR4_PVI },
		{ one->edx & B(2), CR4_DE },
		{ one->edx & B(3), CR4_PSE },
		{ one->edx & B(6), CR4_PAE },
		{ one->edx & B(13), CR4_PGE },
		{ one->edx & B(24), CR4_OSFXSR },
		{ one->edx & B(25), CR4_OSXMMEXCPT },
		{ one->ecx & CPUID_1_ECX_PCID, CR4_PCIDE },
		{ one->ecx & CPUID_1_ECX_XSAVE, CR4_OSXSAVE },
		{ seven->ebx & CPUID_7_EBX_FSGSBASE, CR4_FSGSBASE },
		{ seven->ebx & CPUID_7_EBX_SMEP, CR4_SMEP },
		{ seven->ebx & CPUID_7_EBX_SMAP, CR4_SMAP },
		{ seven->ecx & B(2), CR4_UMIP },
	};
	uint64_t cr4 = CR4_TSD | CR4_PCE;

	for (unsigned int i = 0; i < ARRAY_SIZE(rules); i++)
		if (rules[i].present)
			cr4 |= rules[i].cr4;
	return cr4;
}

void __init exit_cpuid_init(void)
{
	struct cpuid_regs *ext8;
	unsigned int phys_bits, linear_bits;

	clear_index(cpuid_basic, ARRAY_SIZE(cpuid_basic));
	clear_index(cpuid_extended, ARRAY_SIZE(cpuid_extended));
	mask_host();

	find(0, 0)->eax = LEAF_MAX;
	find(LEAF_EXTENDED, 0)->eax = LEAF_EXTENDED_MAX;
	find(1, 0)->ecx |= CPUID_1_ECX_HYPERVISOR;
	find(6, 0)->eax |= CPUID_6_EAX_ARAT; /* or systems keep another timer running beside it */
	find(7, 0)->ebx |= CPUID_7_EBX_TSC_ADJUST; /* systems trust their TSC only with it */
	fill_frequencies();
	fill_xsave();
	hide_uncontrolled();
	fill_strings();

	ext8 = find(LEAF_EXTENDED_MAX, 0);
	phys_bits = ext8->eax & 0xff ? ext8->eax & 0xff : 36;
	linear_bits = 48; /* LA57 is hidden */
	ext8->eax = phys_bits | linear_bits << 8;
	cpuid_guest.phys_mask = BITS(phys_bits - 1, 0);
	cpuid_guest.cr4 = offered_cr4();
	cpuid_guest.efer = EFER_SCE | EFER_LME | EFER_LMA;
	if (find(LEAF_EXTENDED + 1, 0)->edx & CPUID_81_EDX_NX)
		cpuid_guest.efer |= EFER_NXE;
}
