/* SPDX-License-Identifier: MIT */
/* Control registers, flags, MSRs and CPUID bits under their SDM names. Pure constants. */
#pragma once

#define CR0_PE 0x00000001UL
#define CR0_MP 0x00000002UL
#define CR0_EM 0x00000004UL
#define CR0_TS 0x00000008UL
#define CR0_ET 0x00000010UL
#define CR0_NE 0x00000020UL
#define CR0_WP 0x00010000UL
#define CR0_AM 0x00040000UL
#define CR0_NW 0x20000000UL
#define CR0_CD 0x40000000UL
#define CR0_PG 0x80000000UL

#define CR4_VME	       0x00000001UL
#define CR4_PVI	       0x00000002UL
#define CR4_TSD	       0x00000004UL
#define CR4_DE	       0x00000008UL
#define CR4_PSE	       0x00000010UL
#define CR4_PAE	       0x00000020UL
#define CR4_MCE	       0x00000040UL
#define CR4_PGE	       0x00000080UL
#define CR4_PCE	       0x00000100UL
#define CR4_OSFXSR     0x00000200UL
#define CR4_OSXMMEXCPT 0x00000400UL
#define CR4_UMIP       0x00000800UL
#define CR4_LA57       0x00001000UL
#define CR4_VMXE       0x00002000UL
#define CR4_SMXE       0x00004000UL
#define CR4_FSGSBASE   0x00010000UL
#define CR4_PCIDE      0x00020000UL
#define CR4_OSXSAVE    0x00040000UL
#define CR4_SMEP       0x00100000UL
#define CR4_SMAP       0x00200000UL
#define CR4_PKE	       0x00400000UL

#define CR3_NOFLUSH   (1UL << 63)
#define CR3_PCID_MASK 0xfffUL

#define EFER_SCE 0x001UL
#define EFER_LME 0x100UL
#define EFER_LMA 0x400UL
#define EFER_NXE 0x800UL

#define RFLAGS_CF    0x00000001UL
#define RFLAGS_FIXED 0x00000002UL /* bit 1 reads 1 */
#define RFLAGS_PF    0x00000004UL
#define RFLAGS_AF    0x00000010UL
#define RFLAGS_ZF    0x00000040UL
#define RFLAGS_SF    0x00000080UL
#define RFLAGS_TF    0x00000100UL
#define RFLAGS_DF    0x00000400UL
#define RFLAGS_OF    0x00000800UL
#define RFLAGS_RF    0x00010000UL
#define RFLAGS_VM    0x00020000UL
#define RFLAGS_AC    0x00040000UL

#define DR6_FIXED 0xffff0ff0UL
#define DR6_BS	  0x00004000UL
#define DR7_FIXED 0x00000400UL

#ifndef __ASSEMBLER__
enum vector {
	VEC_DE = 0,
	VEC_DB = 1,
	VEC_NMI = 2,
	VEC_BP = 3,
	VEC_OF = 4,
	VEC_BR = 5,
	VEC_UD = 6,
	VEC_NM = 7,
	VEC_DF = 8,
	VEC_TS = 10,
	VEC_NP = 11,
	VEC_SS = 12,
	VEC_GP = 13,
	VEC_PF = 14,
	VEC_MF = 16,
	VEC_AC = 17,
	VEC_MC = 18,
	VEC_XM = 19,
	VEC_VE = 20,
	VEC_CP = 21,
	VEC_FIRST_IRQ = 32
};
#endif

/* Page-fault error code (SDM, "Interrupt 14: Page-Fault Exception"). */
#define PF_PRESENT 0x0001UL
#define PF_WRITE   0x0002UL
#define PF_USER	   0x0004UL
#define PF_RSVD	   0x0008UL
#define PF_FETCH   0x0010UL
#define PF_PK	   0x0020UL
#define PF_SS	   0x0040UL
#define PF_SGX	   0x8000UL

#define MSR_TSC			 0x010
#define MSR_APIC_BASE		 0x01b
#define MSR_FEATURE_CONTROL	 0x03a
#define MSR_TSC_ADJUST		 0x03b
#define MSR_SPEC_CTRL		 0x048
#define MSR_PRED_CMD		 0x049
#define MSR_BIOS_SIGN_ID	 0x08b
#define MSR_MTRRCAP		 0x0fe
#define MSR_ARCH_CAPABILITIES	 0x10a
#define MSR_FLUSH_CMD		 0x10b
#define MSR_SYSENTER_CS		 0x174
#define MSR_SYSENTER_ESP	 0x175
#define MSR_SYSENTER_EIP	 0x176
#define MSR_MCG_CAP		 0x179
#define MSR_MCG_STATUS		 0x17a
#define MSR_MCG_CTL		 0x17b
#define MSR_MISC_ENABLE		 0x1a0
#define MISC_ENABLE_FAST_STRINGS 1UL
#define MSR_DEBUGCTL		 0x1d9
#define MSR_PAT			 0x277
#define MSR_MTRR_DEF_TYPE	 0x2ff
#define MSR_VMX_BASIC		 0x480
#define MSR_VMX_PIN_CTLS	 0x481
#define MSR_VMX_PROC_CTLS	 0x482
#define MSR_VMX_EXIT_CTLS	 0x483
#define MSR_VMX_ENTRY_CTLS	 0x484
#define MSR_VMX_MISC		 0x485
#define MSR_VMX_CR0_FIXED0	 0x486
#define MSR_VMX_CR0_FIXED1	 0x487
#define MSR_VMX_CR4_FIXED0	 0x488
#define MSR_VMX_CR4_FIXED1	 0x489
#define MSR_VMX_PROC2_CTLS	 0x48b
#define MSR_VMX_EPT_VPID_CAP	 0x48c
#define MSR_VMX_TRUE_PIN_CTLS	 0x48d
#define MSR_VMX_TRUE_PROC_CTLS	 0x48e
#define MSR_VMX_TRUE_EXIT_CTLS	 0x48f
#define MSR_VMX_TRUE_ENTRY_CTLS	 0x490
#define MSR_TSC_DEADLINE	 0x6e0
#define MSR_XSS			 0xda0
#define MSR_X2APIC		 0x800 /* of the first register */
#define MSR_X2APIC_EOI		 0x80b
#define MSR_EFER		 0xc0000080
#define MSR_STAR		 0xc0000081
#define MSR_LSTAR		 0xc0000082
#define MSR_CSTAR		 0xc0000083
#define MSR_FMASK		 0xc0000084
#define MSR_FS_BASE		 0xc0000100
#define MSR_GS_BASE		 0xc0000101
#define MSR_KERNEL_GS_BASE	 0xc0000102
#define MSR_TSC_AUX		 0xc0000103

#define MCG_CAP_COUNT	0xffUL	    /* banks */
#define MCG_CAP_CTL	(1UL << 8)  /* MCG_CTL exists */
#define MCG_CAP_SER	(1UL << 24) /* software error recovery: S and AR in the banks */
#define MCG_STATUS_RIPV (1UL << 0)  /* the interrupted code can go on */

#define FEATURE_CONTROL_LOCKED	    0x1UL
#define FEATURE_CONTROL_VMX_OUTSIDE 0x4UL /* VMXON outside SMX operation */

/* IA32_SPEC_CTRL, IA32_PRED_CMD and IA32_FLUSH_CMD: each exists where CPUID says so only. */
#define SPEC_CTRL_IBRS 0x1UL
#define PRED_CMD_IBPB  0x1UL
#define FLUSH_CMD_L1D  0x1UL

/* IA32_ARCH_CAPABILITIES */
#define ARCH_CAP_RDCL_NO	    (1UL << 0)
#define ARCH_CAP_IBRS_ALL	    (1UL << 1)
#define ARCH_CAP_SKIP_L1DFL_VMENTRY (1UL << 3)
#define ARCH_CAP_MDS_NO		    (1UL << 5)
#define ARCH_CAP_TAA_NO		    (1UL << 8)
#define ARCH_CAP_SBDR_SSDP_NO	    (1UL << 13)
#define ARCH_CAP_FBSDP_NO	    (1UL << 14)
#define ARCH_CAP_PSDP_NO	    (1UL << 15)
#define ARCH_CAP_FB_CLEAR	    (1UL << 17)
#define ARCH_CAP_RFDS_NO	    (1UL << 27)
#define ARCH_CAP_RFDS_CLEAR	    (1UL << 28)

#define PAT_RESET 0x0007040600070406UL

/* CPUID leaf 1 */
#define CPUID_1_ECX_VMX		 (1U << 5)
#define CPUID_1_ECX_PCID	 (1U << 17)
#define CPUID_1_ECX_X2APIC	 (1U << 21)
#define CPUID_1_ECX_TSC_DEADLINE (1U << 24)
#define CPUID_1_ECX_XSAVE	 (1U << 26)
#define CPUID_1_ECX_OSXSAVE	 (1U << 27)
#define CPUID_1_ECX_RDRAND	 (1U << 30)
#define CPUID_1_ECX_HYPERVISOR	 (1U << 31)
#define CPUID_1_EDX_MCE		 (1U << 7)
#define CPUID_1_EDX_APIC	 (1U << 9)
#define CPUID_1_EDX_MCA		 (1U << 14)
#define CPUID_1_EDX_HTT		 (1U << 28)
/* CPUID leaf 6 */
#define CPUID_6_EAX_ARAT (1U << 2)
/* CPUID leaf 7, subleaf 0 */
#define CPUID_7_EBX_FSGSBASE   (1U << 0)
#define CPUID_7_EBX_TSC_ADJUST (1U << 1)
#define CPUID_7_EBX_SMEP       (1U << 7)
#define CPUID_7_EBX_ERMS       (1U << 9)
#define CPUID_7_EBX_INVPCID    (1U << 10)
#define CPUID_7_EBX_RTM	       (1U << 11)
#define CPUID_7_EBX_RDSEED     (1U << 18)
#define CPUID_7_EBX_SMAP       (1U << 20)
#define CPUID_7_EDX_FSRM       (1U << 4)
#define CPUID_7_EDX_MD_CLEAR   (1U << 10)
#define CPUID_7_EDX_IBRS       (1U << 26) /* IA32_SPEC_CTRL and IA32_PRED_CMD.IBPB */
#define CPUID_7_EDX_L1D_FLUSH  (1U << 28)
#define CPUID_7_EDX_ARCH_CAP   (1U << 29)
/* CPUID leaf 0x80000001 */
#define CPUID_D1_EAX_XSAVEC (1U << 1)
#define CPUID_81_EDX_NX	    (1U << 20)
#define CPUID_81_EDX_1G	    (1U << 26)
#define CPUID_81_EDX_RDTSCP (1U << 27)

#define SEL_CODE 0x08
#define SEL_DATA 0x10
#define SEL_TSS	 0x18
