/* SPDX-License-Identifier: MIT */
/*
 * Several CPUs: starting them, giving them work, interrupting them. Guests whose folder begins with "smp" are linked
 * with it. CPUs are numbered by order of arrival, from 0, the one that the loader started; it alone prints.
 *
 * Another CPU waits for work halted, with interrupts on, and is woken by SMP_WAKE_VECTOR; with smp_idle_spins it
 * looks for work all the time, and needs no interrupt to find it.
 */
#pragma once

#include "guest-tests/lib/apic.h"

enum { SMP_MAX = 64, SMP_WAKE_VECTOR = 0xf0 };

typedef void (*smp_fn_t)(u64 arg);

struct smp_cpu {
	struct smp_cpu *self; /* %gs:0 */
	u32 nr, apic_id;
	smp_fn_t fn; /* its work, NULL if it has none */
	u64 arg;
	u32 turns;		  /* of smp_relax() */
	u32 online;		  /* times that it came as far as to wait for work */
	u32 start_page;		  /* where it began in real mode, by its CS */
	u32 first_svr, first_tpr; /* of its APIC, before anything was written there */
};

/* To be set before smp_start(). */
extern bool smp_idle_spins;
/* Times that each CPU came out of real mode; starts that nobody asked for. */
extern u32 smp_arrivals[SMP_MAX], smp_strangers;
/* The two pages below 1 MiB that CPUs may be started at; smp_start() uses the first. */
extern u8 smp_start_pages[2];

/*
 * Starts all CPUs and brings their APICs into the mode of @x2apic, in which CPU 0's is when it returns. Ends the
 * guest with a failure if the command line says cpus=N and there are not N; without cpus= whoever comes within
 * 100 million TSC ticks after the last one is there. start=ids on the command line sends to each id from 0 to 63
 * instead of broadcasting, sipis=1 sends one SIPI instead of two; touch=on reads all of the image before, as Bochs forgets which
 * interrupt it was about to deliver when a page of the stack or a table is new (decision 0019).
 */
void smp_start(bool x2apic_mode);
/* All CPUs change from xAPIC to x2APIC mode. */
void smp_enter_x2apic(void);
unsigned int smp_nr(void);
/* Number of the CPU that calls. */
unsigned int smp_id(void);
struct smp_cpu *smp_cpu(unsigned int nr);

/* Gives CPU @nr, which must have none and not be the caller, work. */
void smp_call(unsigned int nr, smp_fn_t fn, u64 arg);
/* Waits until it is done, with the caller's interrupts as they are; ends the guest with a failure after a long time. */
void smp_wait(unsigned int nr);
/* Both; on CPU 0 itself it is a plain call. */
void smp_run(unsigned int nr, smp_fn_t fn, u64 arg);
/* On all CPUs at once, the caller included, and waits for them. Only for CPU 0. */
void smp_all(smp_fn_t fn, u64 arg);
/* Waits for all others to come here as well. */
void smp_barrier(void);
/* INIT and SIPI to CPU @nr, at start page 0 or 1, and waits until it waits for work. What it did is lost. */
void smp_restart(unsigned int nr, unsigned int page);
/* To be called before INIT and SIPI that are sent by hand: CPU @nr may arrive once more, or as often as it likes. */
void smp_expect_start(unsigned int nr);
void smp_expect_any_starts(unsigned int nr);
/* The others halt for good, with interrupts off. Only for CPU 0. */
void smp_stop(void);

/* Sends to CPU @nr by its APIC id; @icr is a vector, or ICR_NMI and such. */
void smp_ipi(unsigned int nr, u32 icr);
/* Once per turn of a loop that waits. PAUSE in some turns only: guests exist that have none. */
void smp_relax(void);
/* Waits until *@count is at least @want, or @ticks of the TSC are over; true if it is. */
bool smp_await(const volatile u32 *count, u32 want, u64 ticks);
void smp_delay(u64 ticks);
/* How long to wait for what must happen: wait= million TSC ticks, by default 4000. */
u64 smp_patience(void);

static inline void irq_on(void)
{
	asm volatile("sti" : : : "memory");
}

static inline void irq_off(void)
{
	asm volatile("cli" : : : "memory");
}
