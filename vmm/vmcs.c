/* SPDX-License-Identifier: MIT */
/*
 * The VMCS of a new vCPU, as tables that can be read against the SDM's: "Host-State Area", "IA-32
 * Processor States Following Power-up, Reset, or INIT", "Guest-State Area".
 */
#include "vmm/vmcs.h"
#include "arch/desc.h"
#include "arch/regs.h"
#include "arch/vmx.h"
#include "asi/mitigate.h"
#include "lib/assert.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "mm/buddy.h"
#include "vmm/cpuid.h"
#include "vmm/lapic.h"
#include "vmm/vm.h"

/*
 * CR0. The guest owns what changes nothing of ours and of VMX: PE, MP, EM, TS, ET, WP, AM.
 *   NE      must be 1 in VMX operation; the guest may believe otherwise.
 *   CD, NW  would turn the caches of the machine off, for everyone.
 *   PG      with EFER.LME decides LMA, without it whether PDPTEs are loaded: one way for both.
 * Everything else is reserved.
 */
#define CR0_GUEST_OWNED (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_WP | CR0_AM)

/*
 * CR4. The guest owns these as far as CPUID offers them: the CPU itself checks and acts, PDPTEs
 * and PCIDs included. Not owned, so that setting one exits:
 *   OSXSAVE  CPUID reports it: exit_cpuid reads cr4_guest instead of the VMCS.
 *   MCE      machine checks are the machine's.
 *   VMXE     must be 1 here, and is not offered. SMXE neither.
 *   LA57     guestmem walks four levels.
 *   PKE, CET, PKS, UINTR and what is yet to come: state that is not switched.
 */
#define CR4_GUEST_OWNED                                                                 \
	(CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCE | \
	 CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_UMIP | CR4_FSGSBASE | CR4_PCIDE | CR4_SMEP | CR4_SMAP)

/*
 * MSRs that the guest reads and writes without an exit. Those marked are switched by vcpu_load(),
 * the others by the VMCS: SDM, "Guest Register State".
 */
enum msr_access { READ = 1, WRITE = 2 };
static const struct {
	uint32_t msr;
	uint8_t access;
	bool switched;
} msrs_passed[] = {
	{ MSR_TSC, READ, false }, /* read through the TSC offset, which is 0 */
	{ MSR_SYSENTER_CS, READ | WRITE, false },
	{ MSR_SYSENTER_ESP, READ | WRITE, false },
	{ MSR_SYSENTER_EIP, READ | WRITE, false },
	{ MSR_FS_BASE, READ | WRITE, false },
	{ MSR_GS_BASE, READ | WRITE, false },
	{ MSR_KERNEL_GS_BASE, READ | WRITE, true },
	{ MSR_STAR, READ | WRITE, true },
	{ MSR_LSTAR, READ | WRITE, true },
	{ MSR_CSTAR, READ | WRITE, true },
	{ MSR_FMASK, READ | WRITE, true },
	{ MSR_TSC_AUX, READ | WRITE, true }, /* exists with RDTSCP only */
};

/*
 * #DB and #AC: a guest whose handler raises them again during their delivery would hold the CPU for
 * ever, out of reach of every interrupt (CVE-2015-8104, CVE-2015-5307). #MC is the machine's.
 */
#define EXCEPTION_BITMAP (1u << VEC_DB | 1u << VEC_AC | 1u << VEC_MC)

#define NO_LINK	     (~0UL) /* no VMCS shadowing */
#define FLAT_LIMIT   0xffffffffUL
#define AR_CODE32    (0xb | SEG_AR_S | SEG_AR_P | SEG_AR_DB | SEG_AR_G) /* read, accessed */
#define AR_DATA32    (0x3 | SEG_AR_S | SEG_AR_P | SEG_AR_DB | SEG_AR_G) /* write, accessed */
#define AR_REAL_MODE (0x3 | SEG_AR_S | SEG_AR_P) /* write, accessed; CS too */
#define AR_LDT	     (0x2 | SEG_AR_P)
#define AR_TSS32     (0xb | SEG_AR_P) /* busy: the only one that enters */
#define SEL_GUEST_CS 0x08
#define SEL_GUEST_DS 0x10

struct field_value {
	uint32_t field;
	uint64_t value;
};

static const struct field_value controls[] = {
	{ VMCS_EXCEPTION_BITMAP, EXCEPTION_BITMAP },
	{ VMCS_PF_ERROR_MASK, 0 }, /* with bit 14 of the bitmap 0: no page fault exits */
	{ VMCS_PF_ERROR_MATCH, 0 },
	{ VMCS_CR3_TARGET_COUNT, 0 },
	{ VMCS_EXIT_MSR_STORE_COUNT, 0 },
	{ VMCS_EXIT_MSR_LOAD_COUNT, 0 },
	{ VMCS_ENTRY_MSR_LOAD_COUNT, 0 },
	{ VMCS_ENTRY_INTR_INFO, 0 },
	{ VMCS_TSC_OFFSET, 0 },
};

/* Not in the table: what is read from the CPU. */
static const struct field_value host_state[] = {
	{ VMCS_HOST_ES_SELECTOR, SEL_DATA }, { VMCS_HOST_CS_SELECTOR, SEL_CODE },
	{ VMCS_HOST_SS_SELECTOR, SEL_DATA }, { VMCS_HOST_DS_SELECTOR, SEL_DATA },
	{ VMCS_HOST_FS_SELECTOR, 0 }, /* the bases come from fields of their own */
	{ VMCS_HOST_GS_SELECTOR, 0 },	     { VMCS_HOST_TR_SELECTOR, SEL_TSS },
	{ VMCS_HOST_SYSENTER_CS, 0 },	     { VMCS_HOST_SYSENTER_ESP, 0 },
	{ VMCS_HOST_SYSENTER_EIP, 0 },
};

/*
 * 32-bit flat protected mode, as the Multiboot specification wants it under "Machine state"; what
 * that leaves open, as after RESET. GDTR has no table: the guest loads its own before a selector.
 */
static const struct field_value guest_reset[] = {
	{ VMCS_GUEST_CS_SELECTOR, SEL_GUEST_CS },
	{ VMCS_GUEST_CS_BASE, 0 },
	{ VMCS_GUEST_CS_LIMIT, FLAT_LIMIT },
	{ VMCS_GUEST_CS_AR, AR_CODE32 },
	{ VMCS_GUEST_SS_SELECTOR, SEL_GUEST_DS },
	{ VMCS_GUEST_SS_BASE, 0 },
	{ VMCS_GUEST_SS_LIMIT, FLAT_LIMIT },
	{ VMCS_GUEST_SS_AR, AR_DATA32 },
	{ VMCS_GUEST_DS_SELECTOR, SEL_GUEST_DS },
	{ VMCS_GUEST_DS_BASE, 0 },
	{ VMCS_GUEST_DS_LIMIT, FLAT_LIMIT },
	{ VMCS_GUEST_DS_AR, AR_DATA32 },
	{ VMCS_GUEST_ES_SELECTOR, SEL_GUEST_DS },
	{ VMCS_GUEST_ES_BASE, 0 },
	{ VMCS_GUEST_ES_LIMIT, FLAT_LIMIT },
	{ VMCS_GUEST_ES_AR, AR_DATA32 },
	{ VMCS_GUEST_FS_SELECTOR, SEL_GUEST_DS },
	{ VMCS_GUEST_FS_BASE, 0 },
	{ VMCS_GUEST_FS_LIMIT, FLAT_LIMIT },
	{ VMCS_GUEST_FS_AR, AR_DATA32 },
	{ VMCS_GUEST_GS_SELECTOR, SEL_GUEST_DS },
	{ VMCS_GUEST_GS_BASE, 0 },
	{ VMCS_GUEST_GS_LIMIT, FLAT_LIMIT },
	{ VMCS_GUEST_GS_AR, AR_DATA32 },
	{ VMCS_GUEST_LDTR_SELECTOR, 0 },
	{ VMCS_GUEST_LDTR_BASE, 0 },
	{ VMCS_GUEST_LDTR_LIMIT, 0 },
	{ VMCS_GUEST_LDTR_AR, SEG_AR_UNUSABLE },
	{ VMCS_GUEST_TR_SELECTOR, 0 },
	{ VMCS_GUEST_TR_BASE, 0 },
	{ VMCS_GUEST_TR_LIMIT, 0xffff },
	{ VMCS_GUEST_TR_AR, AR_TSS32 },
	{ VMCS_GUEST_GDTR_BASE, 0 },
	{ VMCS_GUEST_GDTR_LIMIT, 0xffff },
	{ VMCS_GUEST_IDTR_BASE, 0 },
	{ VMCS_GUEST_IDTR_LIMIT, 0xffff },
	{ VMCS_CR0_SHADOW, CR0_PE | CR0_ET },
	{ VMCS_GUEST_CR0, CR0_PE | CR0_ET | CR0_NE },
	{ VMCS_GUEST_CR3, 0 },
	{ VMCS_CR4_SHADOW, 0 },
	{ VMCS_GUEST_CR4, CR4_VMXE },
	{ VMCS_GUEST_EFER, 0 },
	{ VMCS_GUEST_PAT, PAT_RESET },
	{ VMCS_GUEST_DR7, DR7_FIXED },
	{ VMCS_GUEST_RSP, 0 },
	{ VMCS_GUEST_RIP, 0 },
	{ VMCS_GUEST_RFLAGS, RFLAGS_FIXED },
	{ VMCS_GUEST_DEBUGCTL, 0 },
	{ VMCS_GUEST_SYSENTER_CS, 0 },
	{ VMCS_GUEST_SYSENTER_ESP, 0 },
	{ VMCS_GUEST_SYSENTER_EIP, 0 },
	{ VMCS_GUEST_INTERRUPTIBILITY, 0 },
	{ VMCS_GUEST_ACTIVITY, ACTIVITY_ACTIVE },
	{ VMCS_GUEST_PENDING_DBG, 0 },
	{ VMCS_LINK_POINTER, NO_LINK },
};

/*
 * SDM, "IA-32 and Intel 64 Processor States Following Power-up, Reset, or INIT", the column of INIT: what is not named is
 * not changed. CS leads nowhere yet: a start-up IPI sets it.
 */
static const struct field_value guest_init[] = {
	{ VMCS_GUEST_CS_SELECTOR, 0xf000 },
	{ VMCS_GUEST_CS_BASE, 0xffff0000 },
	{ VMCS_GUEST_CS_LIMIT, 0xffff },
	{ VMCS_GUEST_CS_AR, AR_REAL_MODE },
	{ VMCS_GUEST_SS_SELECTOR, 0 },
	{ VMCS_GUEST_SS_BASE, 0 },
	{ VMCS_GUEST_SS_LIMIT, 0xffff },
	{ VMCS_GUEST_SS_AR, AR_REAL_MODE },
	{ VMCS_GUEST_DS_SELECTOR, 0 },
	{ VMCS_GUEST_DS_BASE, 0 },
	{ VMCS_GUEST_DS_LIMIT, 0xffff },
	{ VMCS_GUEST_DS_AR, AR_REAL_MODE },
	{ VMCS_GUEST_ES_SELECTOR, 0 },
	{ VMCS_GUEST_ES_BASE, 0 },
	{ VMCS_GUEST_ES_LIMIT, 0xffff },
	{ VMCS_GUEST_ES_AR, AR_REAL_MODE },
	{ VMCS_GUEST_FS_SELECTOR, 0 },
	{ VMCS_GUEST_FS_BASE, 0 },
	{ VMCS_GUEST_FS_LIMIT, 0xffff },
	{ VMCS_GUEST_FS_AR, AR_REAL_MODE },
	{ VMCS_GUEST_GS_SELECTOR, 0 },
	{ VMCS_GUEST_GS_BASE, 0 },
	{ VMCS_GUEST_GS_LIMIT, 0xffff },
	{ VMCS_GUEST_GS_AR, AR_REAL_MODE },
	{ VMCS_GUEST_LDTR_SELECTOR, 0 },
	{ VMCS_GUEST_LDTR_BASE, 0 },
	{ VMCS_GUEST_LDTR_LIMIT, 0xffff },
	{ VMCS_GUEST_LDTR_AR, AR_LDT },
	{ VMCS_GUEST_TR_SELECTOR, 0 },
	{ VMCS_GUEST_TR_BASE, 0 },
	{ VMCS_GUEST_TR_LIMIT, 0xffff },
	{ VMCS_GUEST_TR_AR, AR_TSS32 },
	{ VMCS_GUEST_GDTR_BASE, 0 },
	{ VMCS_GUEST_GDTR_LIMIT, 0xffff },
	{ VMCS_GUEST_IDTR_BASE, 0 },
	{ VMCS_GUEST_IDTR_LIMIT, 0xffff },
	{ VMCS_GUEST_CR0, CR0_ET | CR0_NE },
	{ VMCS_GUEST_CR3, 0 },
	{ VMCS_CR4_SHADOW, 0 },
	{ VMCS_GUEST_CR4, CR4_VMXE },
	{ VMCS_GUEST_EFER, 0 },
	{ VMCS_GUEST_DR7, DR7_FIXED },
	{ VMCS_GUEST_RSP, 0 },
	{ VMCS_GUEST_RIP, 0xfff0 },
	{ VMCS_GUEST_RFLAGS, RFLAGS_FIXED },
	{ VMCS_GUEST_DEBUGCTL, 0 },
	{ VMCS_GUEST_INTERRUPTIBILITY, 0 },
	{ VMCS_GUEST_ACTIVITY, ACTIVITY_ACTIVE },
	{ VMCS_GUEST_PENDING_DBG, 0 },
};

static void write_all(const struct field_value *t, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		vmcs_write(t[i].field, t[i].value);
}

static bool msr_exists(uint32_t msr)
{
	return msr != MSR_TSC_AUX || (vmx_control_word(VMX_PROC2) & PROC2_RDTSCP);
}

/*
 * The same of a local APIC that the CPU serves: what it reads from the page of registers, and what it does itself. Not
 * so TMCCT and ICR: they are computed, or laid out otherwise. Runs of @count.
 */
static const struct {
	uint16_t first, count;
	uint8_t access;
} x2apic_passed[] = {
	{ LAPIC_ID, 2, READ },
	{ LAPIC_TPR, 1, READ | WRITE },
	{ LAPIC_PPR, 1, READ },
	{ LAPIC_EOI, 1, WRITE },
	{ LAPIC_LDR, 1, READ },
	{ LAPIC_SVR, 1, READ },
	{ LAPIC_ISR, LAPIC_ESR - LAPIC_ISR + 1, READ },
	{ LAPIC_LVT_TIMER, LAPIC_TMICT - LAPIC_LVT_TIMER + 1, READ },
	{ LAPIC_DCR, 1, READ },
	{ LAPIC_SELF_IPI, 1, WRITE },
};

/* Those of msrs_passed[], and a 0: every change of vCPUs walks through them. */
static uint32_t switched_msrs[ARRAY_SIZE(msrs_passed) + 1];

static void __init list_switched_msrs(void)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(msrs_passed); i++)
		if (msrs_passed[i].switched && msr_exists(msrs_passed[i].msr))
			switched_msrs[n++] = msrs_passed[i].msr;
	ASSERT(n <= ARRAY_SIZE(((struct vcpu *)NULL)->switched_msrs));
}

/* A page of ones: both I/O bitmaps of every guest, since no port is passed through. */
static hpa_t io_bitmap;
/* The MSR bitmaps of every vCPU whose local APIC the CPU serves. */
static hpa_t x2apic_msr_bitmap;

int __init vmcs_init(void)
{
	void *page = page_alloc(0, SENSITIVE, NULL), *x2apic = page_alloc(0, SENSITIVE, NULL);

	if (!page || !x2apic)
		return -ENOMEM;
	memset(page, 0xff, PAGE_SIZE);
	io_bitmap = hva_to_hpa(page);
	vmcs_setup_x2apic_msr_bitmap(x2apic);
	x2apic_msr_bitmap = hva_to_hpa(x2apic);
	list_switched_msrs();
	return 0;
}

static void setup_controls(const struct vcpu *v)
{
	vmcs_write(VMCS_PIN_CTLS, vmx_control_word(VMX_PIN));
	vmcs_write(VMCS_PROC_CTLS, vmx_control_word(VMX_PROC));
	vmcs_write(VMCS_PROC2_CTLS,
		   vmx_control_word(VMX_PROC2) | (v->vm->apic_page.v ? PROC2_APIC_ACCESS : 0));
	vmcs_write(VMCS_EXIT_CTLS, vmx_control_word(VMX_EXIT));
	vmcs_write(VMCS_ENTRY_CTLS, vmx_control_word(VMX_ENTRY));
	write_all(controls, ARRAY_SIZE(controls));
	vmcs_write(VMCS_IO_BITMAP_A, io_bitmap.v);
	vmcs_write(VMCS_IO_BITMAP_B, io_bitmap.v);
	vmcs_write(VMCS_MSR_BITMAP, v->msr_bitmap.v);
	vmcs_write(VMCS_EPTP, v->vm->eptp);
	if (v->vm->apic_page.v)
		vmcs_write(VMCS_APIC_ACCESS_ADDR, v->vm->apic_page.v);
	if (v->x2apic_msr_bitmap.v)
		vmcs_write(VMCS_VIRTUAL_APIC_ADDR, hva_to_hpa(v->lapic->regs).v);
	vmcs_write(VMCS_VPID, v->vpid);
	vmcs_write(VMCS_CR0_MASK, ~CR0_GUEST_OWNED);
	vmcs_write(VMCS_CR4_MASK, ~(CR4_GUEST_OWNED & guest_cpu()->cr4));
}

static void setup_host(const struct vcpu *v)
{
	write_all(host_state, ARRAY_SIZE(host_state));
	vmcs_write(VMCS_HOST_CR0, read_cr0());
	vmcs_write(VMCS_HOST_CR4, read_cr4());
	vmcs_write(VMCS_HOST_EFER, rdmsr(MSR_EFER));
	vmcs_write(VMCS_HOST_PAT, rdmsr(MSR_PAT));
	vmcs_write(VMCS_HOST_FS_BASE, (uint64_t)&v->stack); /* the canary of exit handlers */
	/*
	 * SDM, "Loading Host Segment and Descriptor-Table Registers": every exit sets the limits of
	 * GDTR and IDTR to 0xffff. The IDT is whole, and no selector beyond the GDT is ever loaded.
	 */
	vmcs_write(VMCS_HOST_IDTR_BASE, idt_base());
	vmcs_write(VMCS_HOST_RIP,
		   (uint64_t)(mitigate_each_exit(v->asi) ? vmx_exit_flush : vmx_exit));
	/* Written at the first entry, when they are known: HOST_CR3 by run.c, HOST_RSP by vmx_run. */
}

void vmcs_setup_host_cpu(void)
{
	vmcs_write(VMCS_HOST_GS_BASE, rdmsr(MSR_GS_BASE));
	vmcs_write(VMCS_HOST_GDTR_BASE, gdt_base());
	vmcs_write(VMCS_HOST_TR_BASE, gdt_tss_base());
}

void vmcs_setup(struct vcpu *v)
{
	setup_controls(v);
	setup_host(v);
	write_all(guest_reset, ARRAY_SIZE(guest_reset));
}

void vmcs_init_guest(void)
{
	/* SDM: CD and NW stay; the guest's are in the shadow. */
	uint64_t caches = vmcs_read(VMCS_CR0_SHADOW) & (CR0_CD | CR0_NW);

	write_all(guest_init, ARRAY_SIZE(guest_init));
	vmcs_write(VMCS_CR0_SHADOW, CR0_ET | caches);
	vmcs_write(VMCS_ENTRY_CTLS, vmcs_read32(VMCS_ENTRY_CTLS) & ~ENTRY_IA32E_GUEST);
	vmcs_write(VMCS_ENTRY_INTR_INFO, 0);
}

/* The bit of a read bitmap, in bits from the start of the page; SDM, "MSR-Bitmap Address". */
static unsigned int msr_bit(uint32_t msr)
{
	return (msr & 0x1fff) + (msr >= 0xc0000000 ? 1024 * 8 : 0);
}

static void pass_msr(uint8_t *page, uint32_t msr, uint8_t access)
{
	const unsigned int write_bitmaps = 2048 * 8;
	unsigned int bit = msr_bit(msr);

	if (access & READ)
		page[bit / 8] &= (uint8_t) ~(1u << bit % 8);
	bit += write_bitmaps;
	if (access & WRITE)
		page[bit / 8] &= (uint8_t) ~(1u << bit % 8);
}

void vmcs_setup_msr_bitmap(uint8_t *page)
{
	for (unsigned int i = 0; i < PAGE_SIZE; i++)
		page[i] = 0xff;
	for (unsigned int i = 0; i < ARRAY_SIZE(msrs_passed); i++)
		if (msr_exists(msrs_passed[i].msr))
			pass_msr(page, msrs_passed[i].msr, msrs_passed[i].access);
}

void vmcs_setup_x2apic_msr_bitmap(uint8_t *page)
{
	vmcs_setup_msr_bitmap(page);
	for (unsigned int i = 0; i < ARRAY_SIZE(x2apic_passed); i++)
		for (uint32_t n = 0; n < x2apic_passed[i].count; n++)
			pass_msr(page, MSR_X2APIC + x2apic_passed[i].first + n,
				 x2apic_passed[i].access);
}

hpa_t vmcs_x2apic_msr_bitmap(void)
{
	return x2apic_msr_bitmap;
}

const uint32_t *vmcs_switched_msrs(void)
{
	return switched_msrs;
}
