/* SPDX-License-Identifier: MIT */
/*
 * Machine checks. There is nothing to recover: what is not merely to be logged ends the machine. SDM, sections
 * "Machine-Check Initialization", "Machine-Check Exception Handler for Error Recovery" and the table
 * "MC Error Flag Bits and Actions" of "Uncorrected Recoverable Errors".
 */
#include "arch/mcheck.h"
#include <stdint.h>
#include "arch/insn.h"
#include "arch/regs.h"
#include "lib/log.h"

/* Registers of one bank. */
#define MC_CTL(bank)	(0x400 + 4 * (bank))
#define MC_STATUS(bank) (0x401 + 4 * (bank))
#define MC_ADDR(bank)	(0x402 + 4 * (bank))
#define MC_MISC(bank)	(0x403 + 4 * (bank))

#define STATUS_VAL   (1UL << 63)
#define STATUS_UC    (1UL << 61) /* not corrected */
#define STATUS_EN    (1UL << 60) /* signalled by #MC if uncorrected */
#define STATUS_MISCV (1UL << 59)
#define STATUS_ADDRV (1UL << 58)
#define STATUS_PCC   (1UL << 57) /* the state of the processor may be corrupt */
#define STATUS_S     (1UL << 56) /* signalled by #MC; these two with MCG_SER_P only */
#define STATUS_AR    (1UL << 55) /* action required */

/* An error storm must not drown the console; the counters in the banks lose nothing by it. */
#define REPORTS_MAX 64

static unsigned int reports; /* lines so far; sensitive, as all of this */

static bool has_mca(void)
{
	const uint32_t both = CPUID_1_EDX_MCE | CPUID_1_EDX_MCA;

	return (cpuid(1, 0).edx & both) == both;
}

static bool may_report(void)
{
	return reports < REPORTS_MAX && ++reports;
}

static void report(unsigned int bank, uint64_t status)
{
	if (!may_report())
		return;
	log_error("machine check: bank %u, status 0x%016lx, address 0x%lx, misc 0x%lx", bank,
		  status, status & STATUS_ADDRV ? rdmsr(MC_ADDR(bank)) : 0,
		  status & STATUS_MISCV ? rdmsr(MC_MISC(bank)) : 0);
}

/* Whether an error with @status lets the interrupted code go on. */
static bool harmless(uint64_t status, uint64_t cap)
{
	if (!(status & STATUS_UC))
		return true;
	if (status & STATUS_PCC)
		return false;
	/* Without recovery every uncorrected error that has been signalled is fatal. */
	if (!(cap & MCG_CAP_SER))
		return !(status & STATUS_EN);
	/*
	 * PCC is clear: no action (S = AR = 0), action optional (S = 1), or required: poisoned data has been
	 * consumed. AR without S is no legal combination.
	 */
	return !(status & STATUS_AR);
}

/* Logs and clears all banks; whether each error was harmless. */
static bool drain_banks(void)
{
	uint64_t cap = rdmsr(MSR_MCG_CAP);
	bool all = true;

	for (unsigned int bank = 0; bank < (cap & MCG_CAP_COUNT); bank++) {
		uint64_t status = rdmsr(MC_STATUS(bank));

		if (!(status & STATUS_VAL))
			continue;
		report(bank, status);
		all &= harmless(status, cap);
		wrmsr(MC_STATUS(bank), 0); /* any other value is #GP */
	}
	return all;
}

/* Before Nehalem bank 0 is the platform's: SDM, initialization pseudocode. */
static unsigned int first_bank(void)
{
	uint32_t eax = cpuid(1, 0).eax, family = eax >> 8 & 15, model = eax >> 4 & 15;

	return family == 6 && (eax >> 12 & 0xf0) + model < 0x1a;
}

void mcheck_init(void)
{
	uint64_t cap;

	if (!has_mca())
		return;
	cap = rdmsr(MSR_MCG_CAP);
	if (cap & MCG_CAP_CTL)
		wrmsr(MSR_MCG_CTL, ~0UL);
	for (unsigned int bank = first_bank(); bank < (cap & MCG_CAP_COUNT); bank++)
		wrmsr(MC_CTL(bank), ~0UL);
	drain_banks();
}

bool mcheck_handle(void)
{
	uint64_t status;
	bool go_on;

	if (!has_mca()) {
		log_error("machine check: this CPU does not say what has happened");
		return false;
	}
	status = rdmsr(MSR_MCG_STATUS);
	go_on = drain_banks() && status & MCG_STATUS_RIPV;
	if (!go_on || may_report())
		log_error("machine check: global status 0x%lx; %s", status,
			  go_on ? "the interrupted code goes on" : "no way to go on");
	/* Until then the next machine check would shut the CPU down. */
	wrmsr(MSR_MCG_STATUS, 0);
	return go_on;
}
