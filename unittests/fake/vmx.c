/* SPDX-License-Identifier: MIT */
/* The fake VMCS and a vCPU on it: what vmm/vcpu.c, vm.c and report.c do for handlers. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "unittests/fake/vmx.h"
#include "arch/cpus.h"
#include "arch/percpu.h"
#include "arch/regs.h"
#include "arch/tsc.h"
#include "arch/vmx.h"
#include "vmm/cpuid.h"
#include "vmm/report.h"
#include "vmm/schedule.h"
#include "vmm/vmcs.h"

uint64_t fake_vmcs[0x8000];
uint64_t fake_tsc, fake_xcr0, fake_dr6;
uint32_t fake_mark;
bool fake_has_apicv, fake_has_posted;
unsigned int fake_nr_unserved, fake_nr_invvpid, fake_nr_nmi, fake_nr_mc;
uint64_t fake_asked, fake_kicked, fake_breakpoints[4];
struct vm fake_vm;
struct vcpu fake_vcpu;
uint32_t fake_control_words[VMX_CTL_NR];

static struct cpuid_regs no_cpuid(uint32_t leaf, uint32_t subleaf)
{
	(void)leaf;
	(void)subleaf;
	return (struct cpuid_regs){ 0, 0, 0, 0 };
}
struct cpuid_regs (*fake_cpuid)(uint32_t, uint32_t) = no_cpuid;

void fake_vcpu_reset(void)
{
	const uint64_t cr0 = CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_PE;

	memset(fake_vmcs, 0, sizeof(fake_vmcs));
	memset(&fake_vm, 0, sizeof(fake_vm));
	spin_init(&fake_vm.lock, LOCK_VM);
	memset(&fake_vcpu, 0, sizeof(fake_vcpu));
	fake_nr_unserved = fake_nr_invvpid = fake_nr_nmi = fake_nr_mc = 0;
	fake_asked = fake_kicked = 0;
	fake_vcpu.vm = &fake_vm;
	fake_vm.vcpus[0] = &fake_vcpu;
	fake_vm.nr_vcpus = fake_vm.options.cpus = 1;
	fake_vm.awake = AWAKE_ONE;
	fake_vcpu.post = &fake_vm.post[0];
	fake_vcpu.post->running = true;
	fake_vcpu.vpid = 1;
	fake_vcpu.xcr0 = 1;
	fake_vcpu.cr4_guest = CR4_PAE;
	vmcs_write(VMCS_GUEST_CR0, cr0);
	vmcs_write(VMCS_CR0_SHADOW, cr0);
	vmcs_write(VMCS_CR0_MASK, ~0UL);
	vmcs_write(VMCS_GUEST_CR4, CR4_PAE | CR4_VMXE);
	vmcs_write(VMCS_CR4_SHADOW, CR4_PAE);
	vmcs_write(VMCS_CR4_MASK, ~0UL);
	vmcs_write(VMCS_GUEST_EFER, EFER_LME | EFER_LMA);
	vmcs_write(VMCS_ENTRY_CTLS, ENTRY_IA32E_GUEST);
	vmcs_write(VMCS_GUEST_CS_AR, 0x9b | SEG_AR_L);
	vmcs_write(VMCS_GUEST_TR_AR, 0x8b);
	vmcs_write(VMCS_GUEST_RFLAGS, RFLAGS_FIXED);
	vmcs_write(VMCS_GUEST_PAT, PAT_RESET);
}

void vm_stop(struct vm *vm, enum verdict verdict, const char *reason, uint32_t code)
{
	if (vm->verdict != VERDICT_NONE)
		return;
	vm->verdict = verdict;
	vm->reason = reason;
	vm->code = code;
}

void report_unserved(struct vm *vm, const char *what, uint64_t address, unsigned int size,
		     bool write)
{
	(void)vm, (void)what, (void)address, (void)size, (void)write;
	fake_nr_unserved++;
}

void report_mark(const struct vm *vm, uint32_t mark)
{
	(void)vm;
	fake_mark = mark;
}

void report_stop(struct vcpu *v, const char *what)
{
	(void)v;
	(void)what;
}

/* The schedulers of all CPUs; a look is what the one of this CPU does. */
void sched_ask(uint32_t cpu)
{
	fake_asked |= BIT(cpu);
}

void sched_look(void)
{
	fake_vcpu.events.due = 0;
}

void cpu_kick(uint32_t cpu)
{
	assert(cpu != cpu_number);
	fake_kicked |= BIT(cpu);
}

uint64_t tsc_khz(void)
{
	return 2000000;
}

uint32_t vmx_control_word(enum vmx_ctl ctl)
{
	return fake_control_words[ctl];
}

bool vmx_has_apicv(void)
{
	return fake_has_apicv;
}

bool vmx_has_posted_interrupts(void)
{
	return fake_has_posted;
}

void vmx_flush_vpid(uint16_t vpid)
{
	(void)vpid;
	fake_nr_invvpid++;
}

/* A test that links vmm/exit_cpuid.c or vmm/vmcs.c has the real ones. */
__attribute__((weak)) uint32_t guest_signature(void)
{
	return FAKE_SIGNATURE;
}

__attribute__((weak)) void vmcs_init_guest(void)
{
}

void write_breakpoints(const uint64_t v[4])
{
	memcpy(fake_breakpoints, v, sizeof(fake_breakpoints));
}

void vmcs_fail(uint32_t field, const char *access)
{
	(void)field;
	(void)access;
	abort();
}
