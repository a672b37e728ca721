/* SPDX-License-Identifier: MIT */
/*
 * msr: reading and writing model-specific registers.
 *
 * Why: an MSR that the hypervisor passes through, keeps itself, or refuses must look the same
 * to the guest as on a processor: values that the SDM calls reserved fault instead of reaching
 * the host (where they would fault the hypervisor), unknown numbers fault, and nothing of VMX
 * can be seen. The sweep finds what nobody thought of.
 * Expected: pass.
 */
#include "guest-tests/lib/cpu.h"

#define NON_CANONICAL 0x0000800000000000ull
#define KERNEL_ADDR   0xffff800012345678ull
#define OK	      TRAP_NONE

/* Writes, with the vector expected; a value that is accepted must read back. */
static const struct {
	const char *name;
	u32 msr;
	u64 value;
	u32 vector;
} writes[] = {
	{ "FS_BASE user address", MSR_FS_BASE, 0x7fff12345678, OK },
	{ "FS_BASE kernel address", MSR_FS_BASE, KERNEL_ADDR, OK },
	{ "FS_BASE non-canonical", MSR_FS_BASE, NON_CANONICAL, VEC_GP },
	{ "GS_BASE kernel address", MSR_GS_BASE, KERNEL_ADDR, OK },
	{ "GS_BASE non-canonical", MSR_GS_BASE, NON_CANONICAL, VEC_GP },
	{ "KERNEL_GS_BASE kernel address", MSR_KERNEL_GS, KERNEL_ADDR, OK },
	{ "KERNEL_GS_BASE non-canonical", MSR_KERNEL_GS, NON_CANONICAL, VEC_GP },
	{ "SYSENTER_CS", 0x174, 0x18, OK },
	{ "SYSENTER_ESP", 0x175, KERNEL_ADDR, OK },
	{ "SYSENTER_ESP non-canonical", 0x175, NON_CANONICAL, VEC_GP },
	{ "SYSENTER_EIP", 0x176, KERNEL_ADDR, OK },
	{ "SYSENTER_EIP non-canonical", 0x176, NON_CANONICAL, VEC_GP },
	{ "STAR", 0xc0000081, 0x0023001012345678, OK },
	{ "LSTAR", 0xc0000082, KERNEL_ADDR, OK },
	{ "LSTAR non-canonical", 0xc0000082, NON_CANONICAL, VEC_GP },
	{ "CSTAR", 0xc0000083, KERNEL_ADDR, OK },
	{ "FMASK", 0xc0000084, 0x47700, OK },
	{ "PAT all write-back", MSR_PAT, 0x0606060606060606, OK },
	{ "PAT with UC-", MSR_PAT, 0x0007040600070406, OK },
	{ "PAT type 2", MSR_PAT, 0x0606060606060602, VEC_GP },
	{ "PAT type 8", MSR_PAT, 0x0806060606060606, VEC_GP },
	{ "unknown MSR 0x12345", 0x12345, 0, VEC_GP },
	{ "unknown MSR 0xc0012345", 0xc0012345, 0, VEC_GP },
	{ "unknown MSR 0xffffffff", 0xffffffff, 0, VEC_GP },
	{ "VMX_BASIC", MSR_VMX_BASIC, 0, VEC_GP },
};

static const struct {
	const char *name;
	u32 msr;
	u32 vector;
} reads[] = {
	{ "read of MISC_ENABLE", MSR_MISC_ENABLE, OK },
	{ "read of BIOS_SIGN_ID", MSR_BIOS_SIGN_ID, OK },
	{ "read of TSC", MSR_TSC, OK },
	{ "read of unknown MSR 0x12345", 0x12345, VEC_GP },
	{ "read of unknown MSR 0xc0012345", 0xc0012345, VEC_GP },
};

static void check_writes(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(writes); i++) {
		u64 old, got;
		u32 vector;
		u32 readable = try_rdmsr(writes[i].msr, &old);

		vector = try_wrmsr(writes[i].msr, writes[i].value);
		report_strict(writes[i].name, vector, writes[i].vector);
		if (vector != TRAP_NONE)
			continue;
		if (writes[i].vector == OK) {
			try_rdmsr(writes[i].msr, &got);
			report_strict("reads back", got, writes[i].value);
		}
		if (readable == TRAP_NONE)
			try_wrmsr(writes[i].msr, old);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(reads); i++) {
		u64 got;

		report_strict(reads[i].name, try_rdmsr(reads[i].msr, &got), reads[i].vector);
	}
}

static void check_efer(void)
{
	u64 efer, got;

	report_eq("EFER can be read", try_rdmsr(MSR_EFER, &efer), OK);
	report_eq("EFER has LME and LMA", efer & 0x500, 0x500);
	report_eq("EFER.SCE on", try_wrmsr(MSR_EFER, efer | 1), OK);
	try_rdmsr(MSR_EFER, &got);
	report_eq("EFER.SCE reads back", got, efer | 1);
	report_eq("EFER.SCE off", try_wrmsr(MSR_EFER, efer & ~1ull), OK);
	report_strict("EFER bit 1 is reserved", try_wrmsr(MSR_EFER, efer | BIT(1)), VEC_GP);
	report_strict("EFER bit 9 is reserved", try_wrmsr(MSR_EFER, efer | BIT(9)), VEC_GP);
	report_strict("EFER bit 63 is reserved", try_wrmsr(MSR_EFER, efer | BIT(63)), VEC_GP);
	report_strict("EFER.LME cannot go while paging", try_wrmsr(MSR_EFER, efer & ~BIT(8)),
		      VEC_GP);
	/* Intel ignores a write to LMA, AMD faults: in no case may the bit change. */
	try_wrmsr(MSR_EFER, efer & ~BIT(10));
	try_rdmsr(MSR_EFER, &got);
	report_eq("EFER.LMA is read-only", got & 0x500, 0x500);
	try_wrmsr(MSR_EFER, efer);
}

static void check_platform(void)
{
	u64 apic, feature, got;
	bool faulted = false;

	if (cpuid(1, 0).edx & BIT(9)) {
		report_eq("APIC_BASE can be read", try_rdmsr(MSR_APIC_BASE, &apic), OK);
		report_eq("APIC_BASE has the BSP flag", apic >> 8 & 1, 1);
	} else {
		report(try_rdmsr(MSR_APIC_BASE, &apic) == OK || trap_last.vector == VEC_GP,
		       "APIC_BASE without an APIC", "vector %u", trap_last.vector);
	}
	faulted = try_rdmsr(MSR_FEATURE_CTL, &feature) != OK;
	report(faulted || ((feature & 1) && !(feature & 6)) || !hypervisor(),
	       "FEATURE_CONTROL locked without VMX, or absent", "0x%lx", feature);
	for (u32 i = 0, visible = 0; i < 0x12; i++) {
		visible += try_rdmsr(MSR_VMX_BASIC + i, &got) == OK;
		if (i == 0x11)
			report_strict("VMX capabilities hidden", visible, 0);
	}
	if (cpuid(0x80000001, 0).edx & BIT(27)) {
		u32 aux = 0;

		report_eq("TSC_AUX", try_wrmsr(MSR_TSC_AUX, 0x1234), OK);
		asm volatile("rdtscp" : "=c"(aux) : : "rax", "rdx");
		report_eq("RDTSCP reads TSC_AUX", aux, 0x1234);
		/* #GP on a processor; Bochs drops the upper half instead. */
		got = 0;
		if (try_wrmsr(MSR_TSC_AUX, BIT(32)) == OK)
			try_rdmsr(MSR_TSC_AUX, &got);
		report_strict("TSC_AUX upper half", got >> 32, 0);
	} else {
		skip("TSC_AUX", "no RDTSCP");
	}
}

/* FS_BASE is not only kept but used. */
static void check_fs_used(void)
{
	static const u64 word = 0x1122334455667788;
	u64 got;

	try_wrmsr(MSR_FS_BASE, (u64)&word);
	asm volatile("mov %%fs:0, %0" : "=r"(got));
	report_eq("FS_BASE is used", got, word);
	try_wrmsr(MSR_GS_BASE, 0);
	try_wrmsr(MSR_KERNEL_GS, (u64)&word);
	asm volatile("swapgs\n\tmov %%gs:0, %0\n\tswapgs" : "=r"(got));
	report_eq("SWAPGS takes KERNEL_GS_BASE", got, word);
	try_wrmsr(MSR_FS_BASE, 0);
}

/* Writing these back would move time itself or start something. */
static bool write_back(u32 msr)
{
	static const u32 skipped[] = { MSR_TSC, MSR_TSC_ADJUST, 0x79 /* microcode load */,
				       0x830 /* x2APIC ICR */, 0x83f /* x2APIC self-IPI */ };

	for (unsigned int i = 0; i < ARRAY_SIZE(skipped); i++) {
		if (msr == skipped[i])
			return false;
	}
	return true;
}

static void sweep(const char *name, u32 first, u32 last)
{
	u32 values = 0, wrong = 0, wrong_msr = 0;
	u64 value;

	for (u32 msr = first; msr <= last; msr++) {
		u32 vector = try_rdmsr(msr, &value);

		if (vector == OK) {
			values++;
			if (write_back(msr))
				vector = try_wrmsr(msr, value);
		}
		if (vector != OK && vector != VEC_GP) {
			wrong++;
			wrong_msr = msr;
		}
	}
	print("sweep: %u MSRs of 0x%x-0x%x can be read\n", values, first, last);
	report(!wrong, name, "%u answered neither with a value nor #GP, last 0x%x", wrong,
	       wrong_msr);
}

void guest_main(void)
{
	check_efer();
	check_writes();
	check_platform();
	check_fs_used();
	sweep("sweep of low MSRs", 0, 0x1fff);
	sweep("sweep of high MSRs", 0xc0000000, 0xc0001fff);
	report_eq("still the same EFER", try_rdmsr(MSR_EFER, &(u64){ 0 }), OK);
}
