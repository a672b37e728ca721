/* SPDX-License-Identifier: MIT */
/*
 * pc: the devices that a guest is given with platform=pic: 8259s, 8254, 16550 with its interrupt, clock, fw_cfg, PCI
 * configuration ports, the debug port, and RAM where a PC has video memory; with acpi=on what platform=apic adds.
 *
 * Why: unmodified systems live by them. Registers are tested on the host; here the whole way counts, from a port through
 * the devices to an interrupt in the guest, and time by which it comes.
 * Expected: pass; with last=reset stopped:reset; with last=off pass, by its power being off.
 */
#include "guest-tests/pc/pc.h"

volatile u32 timer_irqs, com1_irqs;
static volatile u32 com1_wrong; /* of these: with another reason in IIR */

static void on_timer(struct trap_frame *f)
{
	(void)f;
	timer_irqs++;
	outb(PIC0, 0x60);
}

static void on_com1(struct trap_frame *f)
{
	(void)f;
	com1_irqs++;
	com1_wrong += (inb(COM1 + 2) & 0x0f) != 0x02;
	outb(PIC0, 0x64);
}

void pic_open(u8 lines)
{
	outb(PIC0 + 1, (u8)~lines);
}

void pic_start(void)
{
	static const u8 icws[2][4] = { { 0x11, 0x20, 4, 1 }, { 0x11, 0x28, 2, 1 } };

	for (unsigned int i = 0; i < 4; i++) {
		outb(i ? PIC0 + 1 : PIC0, icws[0][i]);
		outb(i ? PIC1 + 1 : PIC1, icws[1][i]);
	}
	pic_open(0);
	outb(PIC1 + 1, 0xff);
	trap_hook(VECTOR_TIMER, on_timer);
	trap_hook(VECTOR_COM1, on_com1);
}

static void check_pic(void)
{
	report_eq("PIC masks as firmware leaves them", inb(PIC0 + 1) << 8 | inb(PIC1 + 1), 0xffff);
	outb(PIC0 + 1, 0x5a);
	report_eq("a mask is read back", inb(PIC0 + 1), 0x5a);
	pic_start();
	report_eq("nothing is in service", (outb(PIC0, 0x0b), inb(PIC0)), 0);
	outw(0x4d0, 0xffff);
	report_eq("ELCR: inputs that may be level-triggered", inw(0x4d0), 0xdef8);
	outw(0x4d0, 0);
}

/* The transmitter is empty at once: each byte is an interrupt. Reports go the same way, and so wait. */
static void check_com1(void)
{
	enum { BYTES = 50 };
	u32 enabled, sent, gated;

	outb(COM1 + 4, 0x0b);
	pic_open(BIT(4));
	outb(COM1 + 1, 2);
	irq_window();
	enabled = com1_irqs;
	for (unsigned int i = 0; i < BYTES; i++) {
		outb(COM1, i < BYTES - 1 ? '.' : '\n');
		irq_window();
	}
	sent = com1_irqs - enabled;
	outb(COM1 + 4, 0x03);
	outb(COM1, '\n');
	irq_window();
	gated = com1_irqs - enabled - sent;
	outb(COM1 + 1, 0);
	pic_open(0);
	report_eq("enabling COM1's interrupt raises it", enabled, 1);
	report_eq("and each byte sent", sent, BYTES);
	report_eq("OUT2 gates it", gated, 0);
	report_eq("IIR says why", com1_wrong, 0);
}

static u8 cmos(u8 reg)
{
	outb(0x70, reg);
	return inb(0x71);
}

static void check_clock(void)
{
	u8 before = cmos(0);
	u64 begin = rdtsc(), second = clocks_in_tsc(PIT_HZ);

	report_eq("CMOS register A", cmos(10), 0x26);
	while (cmos(0) == before && rdtsc() - begin < 2 * second)
		;
	begin = rdtsc();
	before = cmos(0);
	while (cmos(0) == before && rdtsc() - begin < 2 * second)
		;
	begin = rdtsc() - begin;
	report(begin > second / 100 * 98 && begin < second / 100 * 102, "a second of the clock",
	       "%lu ticks, expected %lu", begin, second);
	cmos(0x0f);
	outb(0x71, 0xa5);
	report_eq("CMOS memory", cmos(0x0f), 0xa5);
}

static u64 fwcfg(u16 key, u32 bytes)
{
	u64 value = 0;

	outw(0x510, key);
	for (u32 i = 0; i < bytes; i++)
		value |= (u64)inb(0x511) << 8 * i;
	return value;
}

static void check_fwcfg(void)
{
	u64 ram = 0;

	for (unsigned int i = 0; i < boot.nr_map; i++)
		if (boot.map[i].type == 1 && boot.map[i].end > ram)
			ram = boot.map[i].end;
	report_eq("fw_cfg: signature", fwcfg(0, 4), 0x554d4551);
	report_eq("fw_cfg: RAM", fwcfg(3, 8), ram);
	report_eq("fw_cfg: CPUs", fwcfg(5, 2), 1);
	report_eq("fw_cfg: the command line begins", fwcfg(0x15, 3), 'p' | 'c' << 8 | '=' << 16);
	report_eq("fw_cfg: no such item", fwcfg(0x1234, 4), 0);
}

static void check_others(void)
{
	volatile u16 *screen = (volatile u16 *)0xb8000;

	outl(0xcf8, 0x80000000);
	report_eq("a PCI address is read back", inl(0xcf8), 0x80000000);
	report_eq("a bridge is there", inl(0xcfc), 0x00081b36);
	outl(0xcf8, 0x80001000);
	report_eq("no disk is there", inl(0xcfc), 0xffffffff);
	report_eq("debug port", inb(0xe9), 0xe9);
	for (const char *c = "by the debug port\n"; *c; c++)
		outb(0xe9, (u8)*c);
	outw(0x3d4, 0x340f);
	report_eq("the cursor's register", inb(0x3d5), 0x34);
	screen[0] = 0x0741;
	report_eq("video memory is RAM", screen[0], 0x0741);
	report_eq("ROMs are empty", *(volatile u32 *)0xf0000, 0);
	report_eq("no keyboard controller", inb(0x64), 0xff);
}

void guest_main(void)
{
	check_pic();
	check_timer();
	check_com1();
	check_clock();
	check_fwcfg();
	check_others();
	if (arg_is("acpi", "on"))
		check_acpi();
	if (arg_is("last", "reset"))
		outb(0x64, 0xfe);
	if (arg_is("last", "off") && all_passed())
		power_off();
}
