/* SPDX-License-Identifier: MIT */
/*
 * VMX of this CPU. What we use of it stands in two tables, each row with the SDM's name, so that
 * a machine that lacks something is told what it is. SDM, appendix "VMX Capability Reporting
 * Facility".
 */
#include "arch/vmx.h"
#include "arch/regs.h"
#include "arch/vmxcpu.h"
#include "lib/errno.h"
#include "lib/panic.h"
#include "lib/string.h"

#define BASIC_REVISION_MASK 0x7fffffffu
#define MISC_STORES_LMA	    BIT(5)
#define MISC_TIMER_SHIFT    0x1fu
#define FEATURE_CONTROL_VMX_OFF(v) \
	(((v)&FEATURE_CONTROL_LOCKED) && !((v)&FEATURE_CONTROL_VMX_OUTSIDE))

static const uint32_t ctl_msr[VMX_CTL_NR] = {
	[VMX_PIN] = MSR_VMX_TRUE_PIN_CTLS,     [VMX_PROC] = MSR_VMX_TRUE_PROC_CTLS,
	[VMX_PROC2] = MSR_VMX_PROC2_CTLS,      [VMX_EXIT] = MSR_VMX_TRUE_EXIT_CTLS,
	[VMX_ENTRY] = MSR_VMX_TRUE_ENTRY_CTLS,
};

enum ctl_use { ON, OFF, IF_POSSIBLE };

/* The controls that we set, that must be off, and that we set where they exist; all else is off. */
static const struct {
	uint8_t ctl, use;
	uint32_t bit;
	const char *name;
} ctl_uses[] = {
	/* Interrupts and NMIs are the machine's; a guest gets its own by injection only. */
	{ VMX_PIN, ON, PIN_EXT_INT_EXIT, "external-interrupt exiting" },
	{ VMX_PIN, ON, PIN_NMI_EXIT, "NMI exiting" },
	{ VMX_PIN, ON, PIN_VIRTUAL_NMI, "virtual NMIs" },
	/* Bounds a guest that runs with interrupts off and never exits. */
	{ VMX_PIN, ON, PIN_PREEMPTION_TIMER, "activate VMX-preemption timer" },

	{ VMX_PROC, ON, PROC_SECONDARY, "activate secondary controls" },
	{ VMX_PROC, ON, PROC_HLT_EXIT, "HLT exiting" },
	{ VMX_PROC, ON, PROC_MWAIT_EXIT, "MWAIT exiting" },
	{ VMX_PROC, ON, PROC_MONITOR_EXIT, "MONITOR exiting" },
	{ VMX_PROC, ON, PROC_RDPMC_EXIT, "RDPMC exiting" },
	/* Without a TPR shadow, an unintercepted MOV CR8 would reach the machine's own APIC. */
	{ VMX_PROC, ON, PROC_CR8_LOAD_EXIT, "CR8-load exiting" },
	{ VMX_PROC, ON, PROC_CR8_STORE_EXIT, "CR8-store exiting" },
	{ VMX_PROC, ON, PROC_IO_BITMAPS, "use I/O bitmaps" },
	{ VMX_PROC, ON, PROC_MSR_BITMAPS, "use MSR bitmaps" },
	/* EPT makes these needless; a CPU without the true controls cannot turn them off. */
	{ VMX_PROC, OFF, PROC_CR3_LOAD_EXIT, "CR3-load exiting off" },
	{ VMX_PROC, OFF, PROC_CR3_STORE_EXIT, "CR3-store exiting off" },

	{ VMX_PROC2, ON, PROC2_EPT, "enable EPT" },
	{ VMX_PROC2, ON, PROC2_VPID, "enable VPID" },
	{ VMX_PROC2, ON, PROC2_UNRESTRICTED_GUEST, "unrestricted guest" },
	/* WBINVD by a guest would write back and drop everyone's caches. */
	{ VMX_PROC2, ON, PROC2_WBINVD_EXIT, "WBINVD exiting" },
	/* Without the control the instruction is #UD in the guest. */
	{ VMX_PROC2, IF_POSSIBLE, PROC2_RDTSCP, "enable RDTSCP" },
	{ VMX_PROC2, IF_POSSIBLE, PROC2_INVPCID, "enable INVPCID" },

	{ VMX_EXIT, ON, EXIT_HOST_64BIT, "host address-space size" },
	{ VMX_EXIT, ON, EXIT_SAVE_DEBUG, "save debug controls" },
	{ VMX_EXIT, ON, EXIT_SAVE_PAT, "save IA32_PAT" },
	{ VMX_EXIT, ON, EXIT_LOAD_PAT, "load IA32_PAT at VM exit" },
	{ VMX_EXIT, ON, EXIT_SAVE_EFER, "save IA32_EFER" },
	{ VMX_EXIT, ON, EXIT_LOAD_EFER, "load IA32_EFER at VM exit" },
	{ VMX_EXIT, ON, EXIT_SAVE_PREEMPTION_TIMER, "save VMX-preemption timer value" },

	{ VMX_ENTRY, ON, ENTRY_LOAD_DEBUG, "load debug controls" },
	{ VMX_ENTRY, ON, ENTRY_LOAD_PAT, "load IA32_PAT at VM entry" },
	{ VMX_ENTRY, ON, ENTRY_LOAD_EFER, "load IA32_EFER at VM entry" },
};

/* Controls that are off at first and set while the guest runs: they must be possible. */
static const struct {
	uint32_t bit;
	const char *name;
} ctl_later[] = {
	{ PROC_INTR_WINDOW_EXIT, "interrupt-window exiting" },
	{ PROC_NMI_WINDOW_EXIT, "NMI-window exiting" },
	{ PROC_RDTSC_EXIT, "RDTSC exiting" },
};

/* At least one bit of each row. */
static const struct {
	uint64_t any;
	const char *name;
} ept_vpid_needs[] = {
	{ EPT_CAP_WALK_4, "EPT with a page-walk length of 4" },
	{ EPT_CAP_WB, "EPT paging structures of type WB" },
	{ EPT_CAP_2M, "2-MByte pages in EPT" },
	{ EPT_CAP_INVEPT, "INVEPT" },
	{ EPT_CAP_INVEPT_SINGLE | EPT_CAP_INVEPT_ALL, "single-context or all-context INVEPT" },
	{ VPID_CAP_INVVPID, "INVVPID" },
	{ VPID_CAP_INVVPID_SINGLE | VPID_CAP_INVVPID_ALL, "single-context or all-context INVVPID" },
};

enum { INV_SINGLE_CONTEXT = 1, INV_ALL_CONTEXTS = 2 }; /* INVEPT and INVVPID alike */

/* What handlers need while restricted: properties of the CPU, the same for every guest. */
static __nonsensitive struct {
	uint8_t invept_type, invvpid_type, timer_shift, timer_extra;
	bool ept_has_1g;
} cpu_vmx;

static uint32_t control_words[VMX_CTL_NR];

/* Makes the control words. NULL, or what the CPU cannot do. */
static const char *controls_prepare(void)
{
	uint64_t cap;

	for (unsigned int ctl = 0; ctl < VMX_CTL_NR; ctl++)
		control_words[ctl] = 0;
	for (unsigned int i = 0; i < ARRAY_SIZE(ctl_uses); i++) {
		uint32_t one = ctl_uses[i].use == OFF ? 0 : ctl_uses[i].bit;
		uint32_t zero = ctl_uses[i].use == OFF ? ctl_uses[i].bit : 0, word;

		/* Only "activate secondary controls", checked before, makes that MSR exist. */
		cap = rdmsr(ctl_msr[ctl_uses[i].ctl]);
		if (!vmx_ctls(cap, one, zero, &word))
			control_words[ctl_uses[i].ctl] |= word;
		else if (ctl_uses[i].use != IF_POSSIBLE)
			return ctl_uses[i].name;
	}
	cap = rdmsr(ctl_msr[VMX_PROC]);
	for (unsigned int i = 0; i < ARRAY_SIZE(ctl_later); i++) {
		uint32_t word;

		if (vmx_ctls(cap, ctl_later[i].bit, ctl_later[i].bit, &word))
			return ctl_later[i].name;
	}
	return NULL;
}

static const char *ept_vpid_prepare(void)
{
	uint64_t cap = rdmsr(MSR_VMX_EPT_VPID_CAP);

	for (unsigned int i = 0; i < ARRAY_SIZE(ept_vpid_needs); i++)
		if (!(cap & ept_vpid_needs[i].any))
			return ept_vpid_needs[i].name;
	cpu_vmx.ept_has_1g = cap & EPT_CAP_1G;
	cpu_vmx.invept_type = cap & EPT_CAP_INVEPT_SINGLE ? INV_SINGLE_CONTEXT : INV_ALL_CONTEXTS;
	cpu_vmx.invvpid_type =
		cap & VPID_CAP_INVVPID_SINGLE ? INV_SINGLE_CONTEXT : INV_ALL_CONTEXTS;
	return NULL;
}

static const char *find_missing(void)
{
	struct cpuid_regs r = cpuid(1, 0);
	const char *missing;

	if (!(r.ecx & CPUID_1_ECX_VMX))
		return "VMX (CPUID.1:ECX.VMX)";
	if (FEATURE_CONTROL_VMX_OFF(rdmsr(MSR_FEATURE_CONTROL)))
		return "VMX outside SMX operation: the firmware has locked it off "
		       "(IA32_FEATURE_CONTROL)";
	if (!(r.ecx & CPUID_1_ECX_XSAVE))
		return "XSAVE (CPUID.1:ECX.XSAVE)";
	if (!(rdmsr(MSR_VMX_BASIC) & BASIC_TRUE_CTLS))
		return "true VMX controls (IA32_VMX_BASIC bit 55)";
	missing = controls_prepare();
	if (!missing)
		missing = ept_vpid_prepare();
	if (missing)
		return missing;
	if (!(rdmsr(MSR_VMX_MISC) & MISC_STORES_LMA))
		return "storing IA32_EFER.LMA at VM exit (IA32_VMX_MISC bit 5)";
	return NULL;
}

bool vmx_supported(const char **missing)
{
	*missing = find_missing();
	if (*missing)
		return false;
	/*
	 * SDM, "VMX-Preemption Timer": it counts down when bit X of the TSC changes. The first change
	 * may come at once, and ticks below that bit count as one, unless every tick counts.
	 */
	cpu_vmx.timer_shift = rdmsr(MSR_VMX_MISC) & MISC_TIMER_SHIFT;
	cpu_vmx.timer_extra = cpu_vmx.timer_shift ? 2 : 0;
	return true;
}

/* An unlocked IA32_FEATURE_CONTROL refuses VMXON: allow it, and lock as the SDM asks. */
static int feature_control_allow(void)
{
	uint64_t v = rdmsr(MSR_FEATURE_CONTROL);

	if (FEATURE_CONTROL_VMX_OFF(v))
		return -ENODEV;
	if (!(v & FEATURE_CONTROL_LOCKED))
		wrmsr(MSR_FEATURE_CONTROL,
		      v | FEATURE_CONTROL_VMX_OUTSIDE | FEATURE_CONTROL_LOCKED);
	return 0;
}

uint32_t vmx_revision(void)
{
	return (uint32_t)rdmsr(MSR_VMX_BASIC) & BASIC_REVISION_MASK;
}

int vmx_on(uint64_t hpa, void *region)
{
	uint32_t revision = vmx_revision();
	int err = feature_control_allow();

	if (err)
		return err;
	/* SDM, "Restrictions on VMX Operation": some bits are fixed while it lasts. */
	write_cr0((read_cr0() | rdmsr(MSR_VMX_CR0_FIXED0)) & rdmsr(MSR_VMX_CR0_FIXED1));
	write_cr4((read_cr4() | rdmsr(MSR_VMX_CR4_FIXED0)) & rdmsr(MSR_VMX_CR4_FIXED1));
	memcpy(region, &revision, sizeof(revision));
	return vmxon(hpa) ? 0 : -EIO;
}

uint32_t vmx_control_word(enum vmx_ctl ctl)
{
	return control_words[ctl];
}

/* Whether the control can be 1. */
static bool is_offered(enum vmx_ctl ctl, uint32_t bits)
{
	uint32_t word;

	return !vmx_ctls(rdmsr(ctl_msr[ctl]), bits, 0, &word);
}

bool vmx_has_apicv(void)
{
	return is_offered(VMX_PROC, PROC_TPR_SHADOW) && is_offered(VMX_PROC2, PROC2_VIRTUAL_X2APIC);
}

bool vmx_has_apic_access(void)
{
	return is_offered(VMX_PROC2, PROC2_APIC_ACCESS);
}

bool vmx_has_posted_interrupts(void)
{
	return is_offered(VMX_PIN, PIN_POSTED_INTR);
}

bool vmx_ept_has_1g(void)
{
	return cpu_vmx.ept_has_1g;
}

void vmx_flush_ept(uint64_t eptp)
{
	if (!invept(cpu_vmx.invept_type, eptp))
		panic("INVEPT failed");
}

void vmx_flush_vpid(uint16_t vpid)
{
	if (!invvpid(cpu_vmx.invvpid_type, vpid, 0))
		panic("INVVPID failed");
}

uint32_t vmx_timer_value(uint64_t tsc_ticks)
{
	uint64_t value = (tsc_ticks >> cpu_vmx.timer_shift) + cpu_vmx.timer_extra;

	return (uint32_t)MIN(value, UINT32_MAX);
}

const char *vmcs_field_name(uint32_t field)
{
	static const struct {
		uint32_t field;
		const char *name;
	} names[] = {
#define VMCS_NAME(name, encoding) { (encoding), #name },
		VMCS_FIELDS(VMCS_NAME)
#undef VMCS_NAME
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].field == field)
			return names[i].name;
	return "unknown field";
}

const char *vmx_error_name(uint32_t error)
{
	/* SDM, "VM Instruction Error Numbers". */
	static const char *const names[] = {
		[1] = "VMCALL executed in VMX root operation",
		[2] = "VMCLEAR with invalid physical address",
		[3] = "VMCLEAR with VMXON pointer",
		[4] = "VMLAUNCH with non-clear VMCS",
		[5] = "VMRESUME with non-launched VMCS",
		[6] = "VMRESUME after VMXOFF",
		[7] = "VM entry with invalid control field(s)",
		[8] = "VM entry with invalid host-state field(s)",
		[9] = "VMPTRLD with invalid physical address",
		[10] = "VMPTRLD with VMXON pointer",
		[11] = "VMPTRLD with incorrect VMCS revision identifier",
		[12] = "VMREAD/VMWRITE from/to unsupported VMCS component",
		[13] = "VMWRITE to read-only VMCS component",
		[15] = "VMXON executed in VMX root operation",
		[26] = "VM entry with events blocked by MOV SS",
		[28] = "invalid operand to INVEPT/INVVPID",
	};

	return error < ARRAY_SIZE(names) && names[error] ? names[error] : "unknown error";
}

void vmcs_fail(uint32_t field, const char *access)
{
	uint64_t error = 0;

	/* Without a current VMCS (VMfailInvalid) there is no error number either. */
	if (!vmread(VMCS_INSTRUCTION_ERROR, &error))
		panic("VMCS %s of %s (0x%x) failed: no current VMCS", access,
		      vmcs_field_name(field), field);
	panic("VMCS %s of %s (0x%x) failed: %s", access, vmcs_field_name(field), field,
	      vmx_error_name((uint32_t)error));
}
