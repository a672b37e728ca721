/* SPDX-License-Identifier: MIT */
/* What platform=apic adds: tables, the PM timer beside the TSC, and the same interrupts by the I/O APIC. */
#include "guest-tests/lib/apic.h"
#include "guest-tests/pc/pc.h"

enum { PM_HZ = 3579545, PM_MASK = 0xffffff, PIN_TIMER = 2, PIN_COM1 = 4 };
enum { VECTOR_PIN_TIMER = 0x51, VECTOR_PIN_COM1 = 0x62 };

#define IOAPIC_LEVEL BIT(15)
#define SLEEP_OFF    (BIT(13) | 5 << 10)

static u32 ioapic_page, com1_level_irqs;
static u16 pm_timer, pm_control;

static u32 field(u64 table, u32 at)
{
	return *(volatile u32 *)(table + at);
}

static bool sums_to_zero(u64 table, u32 len)
{
	u8 sum = 0;

	for (u32 i = 0; i < len; i++)
		sum = (u8)(sum + *(volatile u8 *)(table + i));
	return sum == 0;
}

static u64 find_rsdp(void)
{
	for (u64 at = 0xe0000; at < 0x100000; at += 16)
		if (!memcmp((void *)at, "RSD PTR ", 8) && sums_to_zero(at, 20))
			return at;
	return 0;
}

/* The table with this signature in the RSDT; 0 if there is none, or a bad one. */
static u64 find_table(u64 rsdt, const char *signature)
{
	for (u32 at = 36; at < field(rsdt, 4); at += 4) {
		u64 table = field(rsdt, at);

		if (!memcmp((void *)table, signature, 4) && sums_to_zero(table, field(table, 4)))
			return table;
	}
	return 0;
}

/* Local APICs that are enabled; and where the I/O APIC is. */
static u32 read_madt(u64 madt)
{
	u32 cpus = 0, len = field(madt, 4);

	for (u64 at = madt + 44; at < madt + len; at += *(volatile u8 *)(at + 1)) {
		u8 type = *(volatile u8 *)at;

		cpus += type == 0 && (field(at, 4) & 1);
		if (type == 1)
			ioapic_page = field(at, 4);
	}
	return cpus;
}

static bool check_tables(void)
{
	u64 rsdp = find_rsdp(), rsdt = rsdp ? field(rsdp, 16) : 0;
	u64 fadt = rsdt ? find_table(rsdt, "FACP") : 0, madt = rsdt ? find_table(rsdt, "APIC") : 0;

	report(fadt && madt, "ACPI tables", "RSDP 0x%lx, FADT 0x%lx, MADT 0x%lx", rsdp, fadt, madt);
	if (!fadt || !madt)
		return false;
	report_eq("MADT: CPUs", read_madt(madt), 1);
	report_eq("MADT: I/O APIC", ioapic_page, 0xfec00000);
	pm_control = (u16)field(fadt, 64);
	pm_timer = (u16)field(fadt, 76);
	report_eq("SCI_EN", inw(pm_control) & 1, 1);
	return true;
}

static void check_pm_timer(void)
{
	u64 want = clocks_in_tsc(PIT_HZ / 20), ticks = 0, begin = rdtsc();
	u32 first = inl(pm_timer) & PM_MASK;

	while (((inl(pm_timer) - first) & PM_MASK) < PM_HZ / 20)
		;
	ticks = rdtsc() - begin;
	report(ticks * 50 > want * 49 && ticks * 50 < want * 51, "50 ms by the PM timer",
	       "%lu ticks, expected %lu", ticks, want);
}

static u32 ioapic_read(u32 reg)
{
	*(volatile u32 *)(u64)ioapic_page = reg;
	return *(volatile u32 *)(u64)(ioapic_page + 0x10);
}

static void ioapic_write(u32 reg, u32 value)
{
	*(volatile u32 *)(u64)ioapic_page = reg;
	*(volatile u32 *)(u64)(ioapic_page + 0x10) = value;
}

static void set_pin(u32 pin, u32 low)
{
	ioapic_write(0x10 + 2 * pin, low);
}

static void on_timer(struct trap_frame *f)
{
	(void)f;
	timer_irqs++;
	apic_write(APIC_EOI, 0);
}

/* The first two times the reason stays, so that it comes again. */
static void on_com1(struct trap_frame *f)
{
	(void)f;
	if (++com1_level_irqs > 2)
		inb(COM1 + 2);
	apic_write(APIC_EOI, 0);
}

static void check_ioapic_timer(void)
{
	enum { CLOCKS = 5966, TICKS = 40 };
	u64 begin, ticks, want = clocks_in_tsc((u64)CLOCKS * TICKS);

	timer_irqs = 0;
	pit_program(0, 2, CLOCKS);
	set_pin(PIN_TIMER, VECTOR_PIN_TIMER);
	while (timer_irqs < 1)
		asm volatile("sti\n\thlt\n\tcli" : : : "memory");
	begin = rdtsc();
	while (timer_irqs < 1 + TICKS)
		asm volatile("sti\n\thlt\n\tcli" : : : "memory");
	ticks = rdtsc() - begin;
	set_pin(PIN_TIMER, MASKED);
	report(ticks * 50 > want * 49 && ticks * 50 < want * 51, "40 ticks by the I/O APIC",
	       "%lu ticks of the TSC, expected %lu", ticks, want);
	irq_window();
	report_eq("none behind the mask", timer_irqs, 1 + TICKS);
	pit_program(0, 0, 0);
}

static void check_ioapic_level(void)
{
	u32 low;

	outb(COM1 + 4, 0x0b);
	set_pin(PIN_COM1, IOAPIC_LEVEL | VECTOR_PIN_COM1);
	outb(COM1 + 1, 2);
	for (unsigned int i = 0; i < 8; i++)
		irq_window();
	low = ioapic_read(0x10 + 2 * PIN_COM1);
	outb(COM1 + 1, 0);
	set_pin(PIN_COM1, MASKED);
	report_eq("a level comes again until it is gone", com1_level_irqs, 3);
	report_eq("and has been ended", low, IOAPIC_LEVEL | VECTOR_PIN_COM1);
}

static void enter_x2apic(void)
{
	u32 lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(MSR_APIC_BASE));
	asm volatile("wrmsr" : : "a"(lo | BASE_EXTD), "d"(hi), "c"(MSR_APIC_BASE) : "memory");
	x2apic = true;
}

void check_acpi(void)
{
	if (!check_tables())
		return;
	check_pm_timer();
	report_eq("I/O APIC: version and pins", ioapic_read(1), 0x170011);
	report_eq("all masked", ioapic_read(0x10 + 2 * PIN_TIMER), MASKED);
	if (arg_is("mode", "x2apic"))
		enter_x2apic();
	apic_write(APIC_SVR, SVR_ON);
	trap_hook(VECTOR_PIN_TIMER, on_timer);
	trap_hook(VECTOR_PIN_COM1, on_com1);
	check_ioapic_timer();
	check_ioapic_level();
}

void power_off(void)
{
	outw(pm_control, SLEEP_OFF);
	report(false, "power off", "still here");
}
