/* SPDX-License-Identifier: MIT */
/*
 * The histogram of exit times. Buckets 0 to 63 hold one value each; above, every octave is
 * cut into 32, so that a bucket's number is the value's leading six bits and its exponent.
 */
#include "vmm/stats.h"
#include "arch/vmx.h"
#include "lib/bitops.h"

uint64_t stats_bucket_edge(unsigned int bucket)
{
	unsigned int shift;

	if (bucket < 2 * HIST_SUB_NR)
		return bucket;
	shift = bucket / HIST_SUB_NR - 1;
	return ((uint64_t)(bucket - shift * HIST_SUB_NR) + 1) * BIT(shift) - 1;
}

uint64_t stats_quantile(const struct vcpu_stats *s, uint32_t reason, unsigned int permille)
{
	const struct exit_stats *e = &s->exits[reason];
	/* The rank is rounded up, and is at least 1: the 0th permille is the smallest sample. */
	uint64_t rank = MAX(DIV_ROUND_UP(e->count * permille, 1000), 1U), seen = 0;

	for (unsigned int i = 0; e->count && i < HIST_BUCKETS; i++) {
		seen += s->bucket[reason][i];
		/* An edge may lie outside of what was seen. */
		if (seen >= rank)
			return MAX(MIN(stats_bucket_edge(i), e->max), e->min);
	}
	return 0;
}

/* Every second one, the last of all among them: what is between two is then the sum of what was. */
static void thin_out(struct exit_samples *s)
{
	for (uint32_t i = 0; i < SAMPLES_MAX / 2; i++)
		s->at[i] = s->at[2 * i + 1];
	s->nr = SAMPLES_MAX / 2;
	s->period *= 2;
}

void stats_sample(struct vcpu_stats *stats, uint64_t tsc)
{
	struct exit_samples *s = &stats->samples;
	struct exit_sample *sample;
	uint32_t left = 0;

	if (s->nr == SAMPLES_MAX)
		thin_out(s);
	sample = &s->at[s->nr++];
	sample->tsc = tsc;
	/* The counts of all other reasons are 0 still, in each row: those that thin_out() has left behind too. */
	for (unsigned int word = 0; word < ARRAY_SIZE(stats->seen); word++)
		for (uint64_t rest = stats->seen[word]; rest; rest &= rest - 1) {
			uint64_t i = word * 64 + bit_lowest(rest);
			uint32_t count = (uint32_t)stats->exits[i].count;

			sample->counts[i] = count;
			left += count - (uint32_t)stats->exits[i].restricted;
		}
	sample->counts[SAMPLE_LEFT] = left;
	s->next = tsc + s->period;
}

const char *stats_reason_name(uint32_t reason)
{
	/* clang-format off */
	static const char *const names[EXIT_REASON_NR] = {
		[EXIT_REASON_EXCEPTION_NMI]	 = "EXCEPTION_NMI",
		[EXIT_REASON_EXTERNAL_INTERRUPT] = "EXTERNAL_INTERRUPT",
		[EXIT_REASON_TRIPLE_FAULT]	 = "TRIPLE_FAULT",
		[EXIT_REASON_INIT]		 = "INIT",
		[EXIT_REASON_SIPI]		 = "SIPI",
		[EXIT_REASON_IO_SMI]		 = "IO_SMI",
		[EXIT_REASON_OTHER_SMI]		 = "OTHER_SMI",
		[EXIT_REASON_INTERRUPT_WINDOW]	 = "INTERRUPT_WINDOW",
		[EXIT_REASON_NMI_WINDOW]	 = "NMI_WINDOW",
		[EXIT_REASON_TASK_SWITCH]	 = "TASK_SWITCH",
		[EXIT_REASON_CPUID]		 = "CPUID",
		[EXIT_REASON_GETSEC]		 = "GETSEC",
		[EXIT_REASON_HLT]		 = "HLT",
		[EXIT_REASON_INVD]		 = "INVD",
		[EXIT_REASON_INVLPG]		 = "INVLPG",
		[EXIT_REASON_RDPMC]		 = "RDPMC",
		[EXIT_REASON_RDTSC]		 = "RDTSC",
		[EXIT_REASON_RSM]		 = "RSM",
		[EXIT_REASON_VMCALL]		 = "VMCALL",
		[EXIT_REASON_VMCLEAR]		 = "VMCLEAR",
		[EXIT_REASON_VMLAUNCH]		 = "VMLAUNCH",
		[EXIT_REASON_VMPTRLD]		 = "VMPTRLD",
		[EXIT_REASON_VMPTRST]		 = "VMPTRST",
		[EXIT_REASON_VMREAD]		 = "VMREAD",
		[EXIT_REASON_VMRESUME]		 = "VMRESUME",
		[EXIT_REASON_VMWRITE]		 = "VMWRITE",
		[EXIT_REASON_VMXOFF]		 = "VMXOFF",
		[EXIT_REASON_VMXON]		 = "VMXON",
		[EXIT_REASON_CR_ACCESS]		 = "CR_ACCESS",
		[EXIT_REASON_MOV_DR]		 = "MOV_DR",
		[EXIT_REASON_IO]		 = "IO",
		[EXIT_REASON_RDMSR]		 = "RDMSR",
		[EXIT_REASON_WRMSR]		 = "WRMSR",
		[EXIT_REASON_ENTRY_GUEST_STATE]	 = "ENTRY_GUEST_STATE",
		[EXIT_REASON_ENTRY_MSR_LOADING]	 = "ENTRY_MSR_LOADING",
		[EXIT_REASON_MWAIT]		 = "MWAIT",
		[EXIT_REASON_MONITOR_TRAP_FLAG]	 = "MONITOR_TRAP_FLAG",
		[EXIT_REASON_MONITOR]		 = "MONITOR",
		[EXIT_REASON_PAUSE]		 = "PAUSE",
		[EXIT_REASON_ENTRY_MACHINE_CHECK] = "ENTRY_MACHINE_CHECK",
		[EXIT_REASON_TPR_BELOW_THRESHOLD] = "TPR_BELOW_THRESHOLD",
		[EXIT_REASON_APIC_ACCESS]	 = "APIC_ACCESS",
		[EXIT_REASON_VIRTUALIZED_EOI]	 = "VIRTUALIZED_EOI",
		[EXIT_REASON_GDTR_IDTR]		 = "GDTR_IDTR",
		[EXIT_REASON_LDTR_TR]		 = "LDTR_TR",
		[EXIT_REASON_EPT_VIOLATION]	 = "EPT_VIOLATION",
		[EXIT_REASON_EPT_MISCONFIG]	 = "EPT_MISCONFIG",
		[EXIT_REASON_INVEPT]		 = "INVEPT",
		[EXIT_REASON_RDTSCP]		 = "RDTSCP",
		[EXIT_REASON_PREEMPTION_TIMER]	 = "PREEMPTION_TIMER",
		[EXIT_REASON_INVVPID]		 = "INVVPID",
		[EXIT_REASON_WBINVD]		 = "WBINVD",
		[EXIT_REASON_XSETBV]		 = "XSETBV",
		[EXIT_REASON_APIC_WRITE]	 = "APIC_WRITE",
		[EXIT_REASON_RDRAND]		 = "RDRAND",
		[EXIT_REASON_INVPCID]		 = "INVPCID",
		[EXIT_REASON_VMFUNC]		 = "VMFUNC",
		[EXIT_REASON_ENCLS]		 = "ENCLS",
		[EXIT_REASON_RDSEED]		 = "RDSEED",
		[EXIT_REASON_PML_FULL]		 = "PML_FULL",
		[EXIT_REASON_XSAVES]		 = "XSAVES",
		[EXIT_REASON_XRSTORS]		 = "XRSTORS",
		[EXIT_REASON_PCONFIG]		 = "PCONFIG",
		[EXIT_REASON_SPP_EVENT]		 = "SPP_EVENT",
		[EXIT_REASON_UMWAIT]		 = "UMWAIT",
		[EXIT_REASON_TPAUSE]		 = "TPAUSE",
		[EXIT_REASON_LOADIWKEY]		 = "LOADIWKEY",
	};
	/* clang-format on */

	return reason < EXIT_REASON_NR && names[reason] ? names[reason] : "RESERVED";
}
