/* SPDX-License-Identifier: MIT */
/* The 8254: its pace beside the TSC's, its modes as interrupts, polled as systems calibrate by it. */
#include "guest-tests/pc/pc.h"

u64 clocks_in_tsc(u64 clocks)
{
	struct cpuid c = cpuid(0x15, 0);

	return clocks * ((u64)c.ecx * c.ebx / c.eax / 1000) / (PIT_HZ / 1000);
}

void pit_program(u32 channel, u32 mode, u32 count)
{
	outb(PIT_CONTROL, (u8)(channel << 6 | 0x30 | mode << 1));
	outb((u16)(PIT + channel), (u8)count);
	outb((u16)(PIT + channel), (u8)(count >> 8));
}

static bool about(u64 got, u64 want, u64 per_mille)
{
	u64 off = got > want ? got - want : want - got;

	return off * 1000 <= want * per_mille;
}

/* Halts until `n` interrupts of the timer have come. */
static void wait_timer(u32 n)
{
	while (timer_irqs < n)
		asm volatile("sti\n\thlt\n\tcli" : : : "memory");
}

/* As Linux calibrates its TSC: channel 2, and its output at port 0x61. */
static void check_polled(void)
{
	enum { CLOCKS = 59659 };
	u64 begin, ticks;

	outb(SPEAKER, (inb(SPEAKER) & ~2) | 1);
	pit_program(2, 0, CLOCKS);
	begin = rdtsc();
	while (!(inb(SPEAKER) & 0x20))
		;
	ticks = rdtsc() - begin;
	report(about(ticks, clocks_in_tsc(CLOCKS), 20), "50 ms by channel 2",
	       "%lu ticks, expected %lu", ticks, clocks_in_tsc(CLOCKS));
	pit_program(2, 0, CLOCKS);
	outb(SPEAKER, 0);
	report(inb(SPEAKER + 0) < 0x20, "a closed gate stops it", " ");
}

static void check_periodic(u32 mode)
{
	enum { CLOCKS = 5966, TICKS = 40 };
	u64 begin, ticks;

	timer_irqs = 0;
	pit_program(0, mode, CLOCKS);
	pic_open(BIT(0));
	wait_timer(1);
	begin = rdtsc();
	wait_timer(1 + TICKS);
	ticks = rdtsc() - begin;
	pic_open(0);
	report(about(ticks, clocks_in_tsc((u64)CLOCKS * TICKS), 20), "40 ticks of the timer",
	       "mode %u: %lu ticks of the TSC, expected %lu", mode, ticks,
	       clocks_in_tsc((u64)CLOCKS * TICKS));
	report_eq("and none more", timer_irqs, 1 + TICKS);
}

static void check_one_shot(u32 mode)
{
	enum { CLOCKS = 2000, ROUNDS = 20 };
	u64 ticks = 0;

	pit_program(0, mode, 0);
	pic_open(BIT(0));
	irq_window(); /* what is pending of the mode before */
	timer_irqs = 0;
	for (u32 i = 0; i < ROUNDS; i++) {
		u64 begin = rdtsc();

		outb(PIT, (u8)CLOCKS);
		outb(PIT, CLOCKS >> 8);
		wait_timer(i + 1);
		ticks += rdtsc() - begin;
	}
	pic_open(0);
	report(about(ticks, clocks_in_tsc(CLOCKS * ROUNDS), 200), "one shot after another",
	       "mode %u: %lu ticks of the TSC, expected %lu", mode, ticks,
	       clocks_in_tsc(CLOCKS * ROUNDS));
	report_eq("one interrupt each", timer_irqs, ROUNDS);
}

/* A mask holds it back and loses nothing; several that came meanwhile are one. */
static void check_masked(void)
{
	u64 begin = rdtsc();

	pit_program(0, 2, 1000);
	timer_irqs = 0;
	while (rdtsc() - begin < clocks_in_tsc(5500))
		irq_window();
	report_eq("a masked timer does not interrupt", timer_irqs, 0);
	outb(PIC0, 0x0a);
	report_eq("its request is seen", inb(PIC0) & 1, 1);
	pic_open(BIT(0));
	irq_window();
	pic_open(0);
	report_eq("and served once unmasked", timer_irqs, 1);
}

void check_timer(void)
{
	check_polled();
	check_periodic(2);
	check_periodic(3);
	check_one_shot(0);
	check_one_shot(4);
	check_masked();
	pit_program(0, 0, 0);
}
