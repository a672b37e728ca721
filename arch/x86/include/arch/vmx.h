/* SPDX-License-Identifier: MIT */
/*
 * VMX as data and accessors: VMCS fields, control bits, exit reasons and the formats that exits
 * report, under the SDM's names. What this CPU supports and VMXON are in arch/vmxcpu.h, the way
 * into the guest is in arch/vmx_run.h.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "arch/insn.h"
#include "arch/vmcs_fields.h"
#include "arch/vmx_run.h"
#include "arch/vmxcpu.h"
#include "lib/bitops.h"
#include "lib/compiler.h"

enum vmcs_field {
#define VMCS_CONSTANT(name, encoding) VMCS_##name = (encoding),
	VMCS_FIELDS(VMCS_CONSTANT)
#undef VMCS_CONSTANT
};

/* IA32_VMX_BASIC. */
#define BASIC_TRUE_CTLS BIT(55)

/* Pin-based controls. */
#define PIN_EXT_INT_EXIT     0x00000001u
#define PIN_NMI_EXIT	     0x00000008u
#define PIN_VIRTUAL_NMI	     0x00000020u
#define PIN_PREEMPTION_TIMER 0x00000040u
#define PIN_POSTED_INTR	     0x00000080u

/* Primary processor-based controls. */
#define PROC_INTR_WINDOW_EXIT 0x00000004u
#define PROC_TSC_OFFSET	      0x00000008u
#define PROC_HLT_EXIT	      0x00000080u
#define PROC_INVLPG_EXIT      0x00000200u
#define PROC_MWAIT_EXIT	      0x00000400u
#define PROC_RDPMC_EXIT	      0x00000800u
#define PROC_RDTSC_EXIT	      0x00001000u
#define PROC_CR3_LOAD_EXIT    0x00008000u
#define PROC_CR3_STORE_EXIT   0x00010000u
#define PROC_CR8_LOAD_EXIT    0x00080000u
#define PROC_CR8_STORE_EXIT   0x00100000u
#define PROC_TPR_SHADOW	      0x00200000u
#define PROC_NMI_WINDOW_EXIT  0x00400000u
#define PROC_MOV_DR_EXIT      0x00800000u
#define PROC_UNCOND_IO_EXIT   0x01000000u
#define PROC_IO_BITMAPS	      0x02000000u
#define PROC_MSR_BITMAPS      0x10000000u
#define PROC_MONITOR_EXIT     0x20000000u
#define PROC_PAUSE_EXIT	      0x40000000u
#define PROC_SECONDARY	      0x80000000u

/* Secondary processor-based controls. */
#define PROC2_APIC_ACCESS	 0x00000001u
#define PROC2_EPT		 0x00000002u
#define PROC2_DESC_TABLE_EXIT	 0x00000004u
#define PROC2_RDTSCP		 0x00000008u
#define PROC2_X2APIC		 0x00000010u
#define PROC2_VPID		 0x00000020u
#define PROC2_WBINVD_EXIT	 0x00000040u
#define PROC2_UNRESTRICTED_GUEST 0x00000080u
#define PROC2_APIC_REGS		 0x00000100u
#define PROC2_VIRTUAL_INTR	 0x00000200u
#define PROC2_INVPCID		 0x00001000u
#define PROC2_XSAVES		 0x00100000u

/* Together: a local APIC that the CPU serves, in x2APIC and in xAPIC mode. */
#define PROC2_VIRTUAL_X2APIC (PROC2_X2APIC | PROC2_APIC_REGS | PROC2_VIRTUAL_INTR)
#define PROC2_VIRTUAL_XAPIC  (PROC2_APIC_ACCESS | PROC2_APIC_REGS | PROC2_VIRTUAL_INTR)

/* VM-exit controls. */
#define EXIT_SAVE_DEBUG		   0x00000004u
#define EXIT_HOST_64BIT		   0x00000200u /* "host address-space size" */
#define EXIT_ACK_INTR		   0x00008000u
#define EXIT_SAVE_PAT		   0x00040000u
#define EXIT_LOAD_PAT		   0x00080000u
#define EXIT_SAVE_EFER		   0x00100000u
#define EXIT_LOAD_EFER		   0x00200000u
#define EXIT_SAVE_PREEMPTION_TIMER 0x00400000u

/* VM-entry controls. */
#define ENTRY_LOAD_DEBUG  0x00000004u
#define ENTRY_IA32E_GUEST 0x00000200u
#define ENTRY_LOAD_PAT	  0x00004000u
#define ENTRY_LOAD_EFER	  0x00008000u

/* IA32_VMX_EPT_VPID_CAP. */
#define EPT_CAP_WALK_4		BIT(6)
#define EPT_CAP_WB		BIT(14)
#define EPT_CAP_2M		BIT(16)
#define EPT_CAP_1G		BIT(17)
#define EPT_CAP_INVEPT		BIT(20)
#define EPT_CAP_INVEPT_SINGLE	BIT(25)
#define EPT_CAP_INVEPT_ALL	BIT(26)
#define VPID_CAP_INVVPID	BIT(32)
#define VPID_CAP_INVVPID_SINGLE BIT(41)
#define VPID_CAP_INVVPID_ALL	BIT(42)

#define EPTP_WB	    6UL
#define EPTP_WALK_4 (3UL << 3) /* page-walk length minus one */

/* Exit reasons (SDM, appendix "VMX Basic Exit Reasons"); bit 31 marks a failed VM entry. */
enum exit_reason {
	EXIT_REASON_EXCEPTION_NMI = 0,
	EXIT_REASON_EXTERNAL_INTERRUPT = 1,
	EXIT_REASON_TRIPLE_FAULT = 2,
	EXIT_REASON_INIT = 3,
	EXIT_REASON_SIPI = 4,
	EXIT_REASON_IO_SMI = 5,
	EXIT_REASON_OTHER_SMI = 6,
	EXIT_REASON_INTERRUPT_WINDOW = 7,
	EXIT_REASON_NMI_WINDOW = 8,
	EXIT_REASON_TASK_SWITCH = 9,
	EXIT_REASON_CPUID = 10,
	EXIT_REASON_GETSEC = 11,
	EXIT_REASON_HLT = 12,
	EXIT_REASON_INVD = 13,
	EXIT_REASON_INVLPG = 14,
	EXIT_REASON_RDPMC = 15,
	EXIT_REASON_RDTSC = 16,
	EXIT_REASON_RSM = 17,
	EXIT_REASON_VMCALL = 18,
	EXIT_REASON_VMCLEAR = 19,
	EXIT_REASON_VMLAUNCH = 20,
	EXIT_REASON_VMPTRLD = 21,
	EXIT_REASON_VMPTRST = 22,
	EXIT_REASON_VMREAD = 23,
	EXIT_REASON_VMRESUME = 24,
	EXIT_REASON_VMWRITE = 25,
	EXIT_REASON_VMXOFF = 26,
	EXIT_REASON_VMXON = 27,
	EXIT_REASON_CR_ACCESS = 28,
	EXIT_REASON_MOV_DR = 29,
	EXIT_REASON_IO = 30,
	EXIT_REASON_RDMSR = 31,
	EXIT_REASON_WRMSR = 32,
	EXIT_REASON_ENTRY_GUEST_STATE = 33,
	EXIT_REASON_ENTRY_MSR_LOADING = 34,
	EXIT_REASON_MWAIT = 36,
	EXIT_REASON_MONITOR_TRAP_FLAG = 37,
	EXIT_REASON_MONITOR = 39,
	EXIT_REASON_PAUSE = 40,
	EXIT_REASON_ENTRY_MACHINE_CHECK = 41,
	EXIT_REASON_TPR_BELOW_THRESHOLD = 43,
	EXIT_REASON_APIC_ACCESS = 44,
	EXIT_REASON_VIRTUALIZED_EOI = 45,
	EXIT_REASON_GDTR_IDTR = 46,
	EXIT_REASON_LDTR_TR = 47,
	EXIT_REASON_EPT_VIOLATION = 48,
	EXIT_REASON_EPT_MISCONFIG = 49,
	EXIT_REASON_INVEPT = 50,
	EXIT_REASON_RDTSCP = 51,
	EXIT_REASON_PREEMPTION_TIMER = 52,
	EXIT_REASON_INVVPID = 53,
	EXIT_REASON_WBINVD = 54,
	EXIT_REASON_XSETBV = 55,
	EXIT_REASON_APIC_WRITE = 56,
	EXIT_REASON_RDRAND = 57,
	EXIT_REASON_INVPCID = 58,
	EXIT_REASON_VMFUNC = 59,
	EXIT_REASON_ENCLS = 60,
	EXIT_REASON_RDSEED = 61,
	EXIT_REASON_PML_FULL = 62,
	EXIT_REASON_XSAVES = 63,
	EXIT_REASON_XRSTORS = 64,
	EXIT_REASON_PCONFIG = 65,
	EXIT_REASON_SPP_EVENT = 66,
	EXIT_REASON_UMWAIT = 67,
	EXIT_REASON_TPAUSE = 68,
	EXIT_REASON_LOADIWKEY = 69,
};
#define EXIT_REASON_BASIC_MASK	 0xffffu
#define EXIT_REASON_FAILED_ENTRY 0x80000000u

/* Interruption information: VM-entry, VM-exit and IDT-vectoring fields alike. */
#define INTR_INFO_VECTOR_MASK	    0x000000ffu
#define INTR_TYPE_MASK		    0x00000700u
#define INTR_TYPE_EXT_INT	    0x00000000u
#define INTR_TYPE_NMI		    0x00000200u
#define INTR_TYPE_HW_EXCEPTION	    0x00000300u
#define INTR_TYPE_SW_INT	    0x00000400u
#define INTR_TYPE_PRIV_SW_EXCEPTION 0x00000500u
#define INTR_TYPE_SW_EXCEPTION	    0x00000600u
#define INTR_INFO_ERROR_CODE	    0x00000800u
#define INTR_INFO_NMI_UNBLOCK	    0x00001000u /* an IRET that faulted had ended NMI blocking */
#define INTR_INFO_VALID		    0x80000000u

/* Guest interruptibility state. */
#define BLOCKED_BY_STI	  0x1u
#define BLOCKED_BY_MOV_SS 0x2u
#define BLOCKED_BY_SMI	  0x4u
#define BLOCKED_BY_NMI	  0x8u

/* Guest activity state. */
#define ACTIVITY_ACTIVE 0u
#define ACTIVITY_HLT	1u

/* Pending debug exceptions. */
#define PENDING_DBG_BS		0x4000u /* a single step; laid out like DR6 */
#define PENDING_DBG_ENABLED_BRK 0x1000u

/* Segment access rights. */
#define SEG_AR_TYPE_MASK 0x0000fu
#define SEG_AR_S	 0x00010u /* code or data */
#define SEG_AR_DPL_SHIFT 5
#define SEG_AR_DPL_MASK	 0x00060u
#define SEG_AR_P	 0x00080u
#define SEG_AR_L	 0x02000u
#define SEG_AR_DB	 0x04000u
#define SEG_AR_G	 0x08000u
#define SEG_AR_UNUSABLE	 0x10000u

/* Qualification of an EPT violation. */
#define EPT_QUAL_READ	     0x001u
#define EPT_QUAL_WRITE	     0x002u
#define EPT_QUAL_FETCH	     0x004u
#define EPT_QUAL_READABLE    0x008u /* what the entries allow */
#define EPT_QUAL_WRITABLE    0x010u
#define EPT_QUAL_EXECUTABLE  0x020u
#define EPT_QUAL_LINEAR	     0x080u /* the guest-linear address field is valid */
#define EPT_QUAL_TRANSLATED  0x100u /* the access itself, not one to a guest page table */
#define EPT_QUAL_NMI_UNBLOCK 0x1000u

/* Qualification of an APIC access: its offset in the page, and what it was. Others are accesses to guest page tables. */
#define APIC_QUAL_OFFSET 0xfffu
enum apic_access {
	APIC_ACCESS_READ = 0,
	APIC_ACCESS_WRITE = 1,
	APIC_ACCESS_FETCH = 2,
	APIC_ACCESS_EVENT = 3,	      /* in the delivery of an event */
	APIC_ACCESS_EVENT_TABLE = 10, /* ... to a guest page table */
};
static inline enum apic_access apic_qual_access(uint64_t qual)
{
	return qual >> 12 & 0xf;
}

/* Qualification of a control-register access. */
enum cr_access { CR_ACCESS_TO_CR, CR_ACCESS_FROM_CR, CR_ACCESS_CLTS, CR_ACCESS_LMSW };

static inline unsigned int cr_qual_number(uint64_t qual)
{
	return (unsigned int)qual & 0xf;
}
static inline enum cr_access cr_qual_access(uint64_t qual)
{
	return (enum cr_access)(qual >> 4 & 3);
}
static inline unsigned int cr_qual_gpr(uint64_t qual)
{
	return (unsigned int)(qual >> 8) & 0xf;
}
static inline uint16_t cr_qual_lmsw_source(uint64_t qual)
{
	return (uint16_t)(qual >> 16);
}

/* Qualification of an I/O instruction. */
static inline unsigned int io_qual_size(uint64_t qual)
{
	return ((unsigned int)qual & 7) + 1;
}
static inline bool io_qual_in(uint64_t qual)
{
	return qual & 8;
}
static inline bool io_qual_string(uint64_t qual)
{
	return qual & 0x10;
}
static inline bool io_qual_rep(uint64_t qual)
{
	return qual & 0x20;
}
static inline uint16_t io_qual_port(uint64_t qual)
{
	return (uint16_t)(qual >> 16);
}

/* Panics with the field's name and the VM-instruction error: a failed access is our bug. */
__noreturn void vmcs_fail(uint32_t field, const char *access);

/* Of the current VMCS. One VMREAD or VMWRITE and one branch. */
static __always_inline uint64_t vmcs_read(uint32_t field)
{
	uint64_t v;

	if (unlikely(!vmread(field, &v)))
		vmcs_fail(field, "read");
	return v;
}

static __always_inline uint32_t vmcs_read32(uint32_t field)
{
	return (uint32_t)vmcs_read(field);
}

static __always_inline void vmcs_write(uint32_t field, uint64_t v)
{
	if (unlikely(!vmwrite(field, v)))
		vmcs_fail(field, "write");
}

/* The SDM's name of a field without "VMCS_", and of a VM-instruction error. */
const char *vmcs_field_name(uint32_t field);
const char *vmx_error_name(uint32_t error);
