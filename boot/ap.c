/* SPDX-License-Identifier: MIT */
/* What each other processor does by itself. The boot processor's side is smp.c. */
#include "boot/ap.h"
#include <stddef.h>
#include "arch/apic.h"
#include "arch/cpu.h"
#include "arch/cpus.h"
#include "arch/cpusame.h"
#include "arch/desc.h"
#include "arch/insn.h"
#include "arch/mcheck.h"
#include "arch/percpu.h"
#include "arch/percpu_area.h"
#include "arch/regs.h"
#include "arch/stack.h"
#include "arch/tlb.h"
#include "arch/trap.h"
#include "asi/asi.h"
#include "asi/mitigate.h"
#include "asi/stun.h"
#include "boot/races.h"
#include "boot/selftest_internal.h"
#include "lib/bitops.h"
#include "lib/string.h"
#include "vmm/schedule.h"
#include "vmm/vm.h"

/* start.S and ap.S: at their physical addresses. */
extern const char ap_trampoline[], ap_trampoline_end[];
extern char boot_tables[], boot_tables_end[];

struct ap_start ap_start;
_Static_assert(offsetof(struct ap_start, cr3) == AP_START_CR3, "boot/ap.h");
_Static_assert(offsetof(struct ap_start, stack) == AP_START_STACK, "boot/ap.h");

static uint64_t halts[CPUS_MAX];

void __init ap_trampoline_install(hpa_t page)
{
	memcpy(hpa_to_direct(page), hpa_to_direct(HPA((uint64_t)ap_trampoline)),
	       (size_t)(ap_trampoline_end - ap_trampoline));
}

void __init ap_trampoline_remove(hpa_t page)
{
	clear_words(hpa_to_direct(page), PAGE_SIZE);
	clear_words(hpa_to_direct(HPA((uint64_t)boot_tables)),
		    (uint64_t)(boot_tables_end - boot_tables));
}

uint64_t ap_halts(uint32_t cpu)
{
	return READ_ONCE(halts[cpu]);
}

static void say(enum ap_state state)
{
	__atomic_store_n(&ap_start.state, state, __ATOMIC_RELEASE);
}

static __noreturn void refuse(const char *why, const char *what)
{
	ap_start.why = why;
	ap_start.what = what;
	say(AP_REFUSED);
	cpu_halt_forever();
}

/* What all CPUs do; @asked is its number, and @busy the parked CPUs that have not ended it. */
static struct {
	enum ap_work what;
	uint32_t asked, busy;
	uint64_t cpus;
} work;

/* Direct calls: predictors that a guest has trained are not asked. */
static void do_work(void)
{
	switch (work.what) {
	case AP_SELFTEST:
		selftest_cpus_work();
		break;
	case AP_RACES:
		races_work();
		break;
	case AP_GUESTS:
		sched_run();
		break;
	}
}

void ap_do_everywhere(enum ap_work what, uint64_t cpus)
{
	uint64_t others = cpus & ~BIT(this_cpu(cpu_number));

	work.what = what;
	work.cpus = others;
	work.busy = bits_count(others);
	__atomic_store_n(&work.asked, work.asked + 1, __ATOMIC_RELEASE);
	for_each_cpu (cpu, others)
		cpu_kick(cpu);
	do_work();
	while (__atomic_load_n(&work.busy, __ATOMIC_ACQUIRE)) {
		cpu_serve();
		cpu_pause();
	}
}

/* Whether there is work for this CPU that it has not done: the last was number *@done. */
static bool take_work(uint32_t *done)
{
	uint32_t asked = __atomic_load_n(&work.asked, __ATOMIC_ACQUIRE);

	if (asked == *done)
		return false;
	*done = asked;
	return work.cpus & BIT(this_cpu(cpu_number));
}

/*
 * Unrestricted. What interrupts touch here (text, static data, this CPU's areas, which no one frees) is all that it may
 * have cached of translations. Nobody waits for its flushes; therefore cpus_join() flushes everything before
 * anything else, and so does this loop. Not in init text, which goes away meanwhile.
 */
static __noreturn __noinline void park(void)
{
	uint32_t cpu = this_cpu(cpu_number), done = 0;

	tlb_flush_all();
	say(AP_PARKED);
	for (;;) {
		WRITE_ONCE(halts[cpu], halts[cpu] + 1);
		cpu_wait();
		tlb_flush_all();
		if (!take_work(&done))
			continue;
		stun_join(); /* from here on siblings are kept out of guests */
		cpus_join();
		do_work();
		cpus_leave();
		stun_park();
		__atomic_fetch_sub(&work.busy, 1, __ATOMIC_RELEASE);
	}
}

static void __init init_features(void)
{
	const char *wrong = cpu_init();

	if (wrong)
		refuse("it has no ", wrong);
	wrmsr(MSR_PAT, ap_start.pat);
	tlb_init_cpu();
	wrong = cpusame_differs();
	if (wrong)
		refuse("other than the boot processor's: ", wrong);
}

static void __init init_cpu(void)
{
	init_features();
	mcheck_init();
	apic_init_cpu();
	asi_init_cpu();
	mitigate_init_cpu();
	topology_read(&ap_start.topology);
	say(AP_CHECKED);
	while (__atomic_load_n(&ap_start.state, __ATOMIC_ACQUIRE) == AP_CHECKED) {
		tscsync_answer(&ap_start.tsc);
		cpu_pause();
	}
	/* Last: a CPU in VMX operation takes no INIT, so it cannot be refused any more. */
	if (ap_start.vmx_region && vm_init_cpu(ap_start.vmx_region))
		refuse("VMXON failed", "");
	park();
}

/* By ap.S. Its canary changes on the way, so it has none itself. */
__noreturn void ap_main(void);

__no_stack_protector void __init ap_main(void)
{
	percpu_init(ap_start.cpu);
	gdt_init();
	idt_load();
	wrmsr(MSR_FS_BASE, (uint64_t)stack_base_init());
	init_cpu();
	cpu_halt_forever();
}
