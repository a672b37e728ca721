/* SPDX-License-Identifier: MIT */
/* hv_main(): the order of initialisation, a line a step, and how the machine ends. */
#include "arch/apic.h"
#include "arch/cpu.h"
#include "arch/cpus.h"
#include "arch/cpusame.h"
#include "arch/desc.h"
#include "arch/insn.h"
#include "arch/mcheck.h"
#include "arch/percpu_area.h"
#include "arch/random.h"
#include "arch/regs.h"
#include "arch/stack.h"
#include "arch/tlb.h"
#include "arch/trap.h"
#include "arch/tsc.h"
#include "arch/vmxcpu.h"
#include "asi/asi.h"
#include "asi/mitigate.h"
#include "boot/bootinfo.h"
#include "boot/crash.h"
#include "boot/guests.h"
#include "boot/main.h"
#include "boot/measure.h"
#include "boot/monitor.h"
#include "boot/options.h"
#include "boot/races.h"
#include "boot/selftest.h"
#include "boot/smp.h"
#include "boot/torture.h"
#include "drivers/acpi.h"
#include "drivers/console.h"
#include "drivers/exitdev.h"
#include "drivers/ioapic.h"
#include "lib/bitops.h"
#include "lib/errno.h"
#include "lib/fmt.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "mm/buddy.h"
#include "mm/hostmap.h"
#include "mm/kmalloc.h"
#include "mm/memmap.h"
#include "mm/slab.h"
#include "vmm/trace.h"
#include "vmm/vm.h"

#define MULTIBOOT2_MAGIC  0x36d76289
#define LOW_MEMORY	  0x100000 /* firmware's data, and a page for the start of other CPUs */
#define BOOTINFO_MAX	  0x100000
#define BOOT_TABLES_LIMIT GiB(4)

extern char __image_end[];
extern struct stack boot_stack; /* start.S */

static struct boot_info info;
static struct options options;
static __initdata struct acpi_info acpi;
static __initdata hpa_t trampoline;

/* The loader's word on what is where, checked before it is believed. */
static void __init read_bootinfo(uint32_t magic, uint64_t at)
{
	const uint32_t *data = hpa_to_direct(HPA(at));
	const char *wrong;

	if (magic != MULTIBOOT2_MAGIC)
		panic("not started by a Multiboot2 loader (magic 0x%x)", magic);
	if (at % 8 || at > BOOT_TABLES_LIMIT - BOOTINFO_MAX || data[0] > BOOTINFO_MAX)
		panic("boot information at 0x%lx of %u bytes: misplaced", at, data[0]);
	wrong = bootinfo_parse(data, data[0], &info);
	if (wrong)
		panic("boot information: %s", wrong);
}

static void __init reserve(uint64_t start, uint64_t len)
{
	if (len && memmap_reserve(start, len))
		panic("memory map: too many ranges");
}

static void __init memory_init(uint64_t bootinfo_at)
{
	const struct memrange *r;

	for (uint32_t i = 0; i < info.nr_ram; i++)
		if (memmap_add(info.ram[i].start, info.ram[i].len) == -ENOSPC)
			panic("memory map: too many ranges");
	for (uint32_t i = 0; i < info.nr_unusable; i++)
		reserve(info.unusable[i].start, info.unusable[i].len);
	reserve(0, PAGE_SIZE); /* vectors of real mode */
	reserve(IMAGE_PHYS, (uint64_t)__image_end - IMAGE_BASE - IMAGE_PHYS);
	reserve(bootinfo_at, *(uint32_t *)hpa_to_direct(HPA(bootinfo_at)));
	for (uint32_t i = 0; i < info.nr_modules; i++)
		reserve(info.modules[i].start, info.modules[i].len);
	trampoline = memmap_take(PAGE_SIZE, PAGE_SIZE, LOW_MEMORY);
	reserve(0, LOW_MEMORY);

	hostmap_init();
	if (hostmap_add_cpu(0))
		panic("not enough memory for the first CPU");
	percpu_init(0);
	gdt_init();
	idt_use_ist();
	acpi_init(info.rsdp_len ? info.rsdp : NULL, info.rsdp_len, &acpi);
	smp_prepare(&acpi);

	for (unsigned int i = 0; (r = memmap_free(i)); i++)
		buddy_add(HPA(r->start), HPA(r->end));
	ptable_use_buddy();
	slab_seed(rdtsc());
	kmalloc_init();
}

/* "console=": at once, but for "spcr", which is known only when ACPI has been read. */
static void __init select_console(const struct acpi_info *found)
{
	const struct word *w = &options.console;
	bool spcr = parse_is(*w, "spcr");
	char port[8];

	if (!w->len || spcr != (found != NULL))
		return;
	if (!spcr) {
		if (!console_select(w->start, w->len))
			log_error("console=%.*s: no such port; com1 is used", (int)w->len,
				  w->start);
		return;
	}
	if (!found->spcr_port ||
	    !console_select(port, fmt_print(port, sizeof(port), "0x%x", found->spcr_port)))
		log_error("console=spcr: the firmware names no serial port; com1 is used");
}

static void __init devices_init(void)
{
	void *registers = NULL;

	if (acpi.lapic_hpa)
		registers = hostmap_device(HPA(acpi.lapic_hpa));
	if (!registers)
		registers = hostmap_device(HPA(rdmsr(MSR_APIC_BASE) & PTE_ADDR_MASK));
	if (!registers)
		panic("not enough memory for the local APIC's mapping");
	apic_init(registers);
	select_console(&acpi);
	tsc_init(acpi.pm_timer_port);
	log_info("%u CPU%s in the MADT; TSC %lu.%03lu MHz (%s)", acpi.nr_cpus,
		 acpi.nr_cpus == 1 ? "" : "s", tsc_khz() / 1000, tsc_khz() % 1000, tsc_source());
}

/* Where nothing can interrupt, the monitor polls. */
static void __init monitor_input_init(void)
{
	unsigned int irq = console_irq();

	if (options.monitor == MONITOR_ON && irq &&
	    ioapic_route(&acpi, irq, APIC_VECTOR_CONSOLE, apic_id()))
		monitor_input_interrupts();
}

static void __init mitigations_init(void)
{
	if (mitigate_init(options.mitigate))
		panic("not enough memory for flushing the L1D in software");
	mitigate_init_cpu();
}

static void __init report_boot(const char *vmx_missing)
{
	char loader[sizeof(info.loader) * 2], missing[128];
	struct mitigate_report m;

	json_escape(loader, sizeof(loader), info.loader);
	json_escape(missing, sizeof(missing), vmx_missing ? vmx_missing : "");
	mitigate_get_report(&m);
	log_info("@boot {\"version\":\"%s\",\"loader\":\"%s\",\"ram_bytes\":%lu,\"cpus\":%u,"
		 "\"tsc_khz\":%lu,\"tsc_source\":\"%s\",\"asi\":%s,\"pcid\":%s,\"vmx\":%s,"
		 "\"vmx_missing\":\"%s\",\"debug\":%s,\"mitigate\":\"%s\",\"l1d\":\"%s\","
		 "\"verw\":\"%s\",\"ibpb\":\"%s\",\"rsb\":\"%s\",\"spec_ctrl\":%lu,"
		 "\"cpuid_7_edx\":\"0x%x\",\"arch_capabilities\":\"0x%lx\"}",
		 VESTIBULE_VERSION, loader, memmap_ram_bytes(), cpus_nr(), tsc_khz(), tsc_source(),
		 options.asi ? "true" : "false", tlb_has_pcid() ? "true" : "false",
		 vmx_missing ? "false" : "true", missing, DEBUG ? "true" : "false", m.mode, m.l1d,
		 m.verw, m.ibpb, m.rsb, m.spec_ctrl, m.cpu.cpuid_7_edx, m.cpu.arch_capabilities);
}

void hv_serve(bool selftest)
{
	bool pass = true;

	hostmap_free_init();
	if (options.crash.len)
		crash(options.crash);
	if (selftest)
		pass = selftest_run();
	if (options.races)
		pass &= races_run(options.races);
	if (options.torture)
		pass &= torture_run();
	if (options.bench)
		pass &= measure_run();
	exitdev_stop(guests_run(pass, &options));
}

void hv_main(uint32_t magic, uint32_t bootinfo_at)
{
	const char *missing;

	stack_init(&boot_stack, boot_stack.top);
	console_init(); /* text from the first step on */
	idt_init();	/* every trap from here on is reported */
	read_bootinfo(magic, bootinfo_at);
	options_parse(info.cmdline, &options);
	select_console(NULL);
	log_info("Vestibule %s, loaded by %s", VESTIBULE_VERSION, info.loader);
	for (uint32_t i = 0; i < options.nr_problems; i++)
		log_error("%s", options.problems[i]);
	missing = cpu_init(); /* features and control registers */
	if (missing)
		panic("this CPU has no %s", missing);
	log_info("stack canaries: random by %s",
		 random_source()
			 ? random_source()
			 : "the TSC alone, which can be guessed: this CPU has no generator");
	mcheck_init();
	memory_init(bootinfo_at); /* own page tables, then the allocators */
	tlb_init(options.pcid);	  /* PCIDs: CR3 holds PCID 0 now */
	devices_init();		  /* APIC, clock */
	monitor_input_init();	  /* with monitor=on */
	asi_init(options.asi);	  /* what all restricted spaces share */
	mitigations_init();	  /* what is flushed when */
	cpusame_note();		  /* what other CPUs must have too */
	if (!vmx_supported(&missing))
		log_info("VMX is missing: %s; guests cannot run here", missing);
	else if (vm_init()) /* VMX operation; what all VMs share */
		missing = "VMXON";
	else
		missing = NULL;
	smp_start(&acpi, trampoline, !missing); /* parks them: guests run here */
	report_boot(missing);
	if (options.trace && trace_begin(cpus_nr()))
		log_error("trace=on: no memory for it");
	guests_create(&info, missing, /* on this stack: guest images pass through it */
		      options.strict ? VM_ASI_STRICT : VM_ASI_ON);
	hv_serve_on_stack(options.selftest || missing || DEBUG, stack_base_init());
}
