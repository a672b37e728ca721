/* SPDX-License-Identifier: MIT */
/* What each other processor does by itself. The boot processor's side is smp.c. */
#include "boot/ap.h"
#include <stddef.h>
#include "arch/apic.h"
#include "arch/cpu.h"
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
#include "lib/string.h"
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

/*
 * Unrestricted, interrupts off: NMIs and machine checks wake it, interrupts stay pending. What they touch (text, static
 * data, this CPU's areas, which no one frees) is all that it may have cached of translations. Nobody waits for
 * its flushes; therefore whoever takes it from here flushes everything before anything else, as this loop
 * does. Not in init text, which goes away meanwhile.
 */
static __noreturn __noinline void park(void)
{
	uint32_t cpu = this_cpu(cpu_number);

	tlb_flush_all();
	say(AP_PARKED);
	for (;;) {
		WRITE_ONCE(halts[cpu], halts[cpu] + 1);
		cpu_hlt();
		tlb_flush_all();
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
