/* SPDX-License-Identifier: MIT */
/*
 * smp-hostile: the worst that the vCPUs of one guest can do to each other, act by act.
 *
 * Why: IPIs, INIT and SIPI are work that one vCPU makes for another's CPU. Whatever they do may end that guest, never
 * the hypervisor or its neighbours, and as long as the SDM has an answer, the guest gets it.
 * Expected: pass; after each act every CPU can be used again. With last= there is one act only, which the guest does
 * not outlive: last.c has them, and what each must lead to.
 * Arguments: n= turns of each act on each CPU (default 1000), seed= (default 1), mode=xapic|x2apic (default xapic),
 * last=, and cpus= and others of guest-tests/lib/smp.h.
 */
#include "guest-tests/smp-hostile/hostile.h"

enum { FIRST_VECTOR = 16, VEC_AC_ERROR = 17, VEC_CP_ERROR = 21 };

u64 nr_turns;
volatile u32 stop;

static u64 random_state[SMP_MAX];
static u32 alive;

u64 below(u64 n)
{
	return random_below(&random_state[smp_id()], n);
}

unsigned int some_cpu(unsigned int first)
{
	return first + (unsigned int)below(smp_nr() - first);
}

/* Two vectors have an error code on the stack when they are exceptions, and none as interrupts. */
static u32 some_vector(void)
{
	u32 vector = (u32)below(256);

	return vector == VEC_AC_ERROR || vector == VEC_CP_ERROR ? 0 : vector;
}

u32 some_icr(void)
{
	static const u32 anywhere[] = { 0, ICR_LOWEST, 0x300, ICR_NMI };
	static const u32 guarded[] = { 0x200,
				       0x700 }; /* SMI and ExtINT, which bare machines have */
	u32 icr = (u32)(below(1 << 20) << 12);

	icr |= hypervisor() && below(4) == 0 ? guarded[below(2)] : anywhere[below(4)];
	if (x2apic && below(8))
		icr &= ICR_OTHERS | ICR_ASSERT | ICR_LEVEL; /* the others are refused */
	return icr | (below(2) ? ICR_LOGICAL : 0) | some_vector();
}

void write_raw(u32 reg, u32 value)
{
	if (!x2apic)
		apic_write(reg, value);
	else
		asm volatile(GUARDED_LOCAL("wrmsr")
			     :
			     : "a"(value), "d"(0), "c"(MSR_X2APIC(reg))
			     : "r10", "r11", "memory");
}

bool send_raw(u32 dest, u32 icr)
{
	u32 vector = TRAP_NONE;

	if (!x2apic) {
		apic_write(APIC_ICR2, dest);
		apic_write(APIC_ICR, icr);
		return false;
	}
	asm volatile(GUARDED_LOCAL("wrmsr") "mov %%r10d, %0"
		     : "=m"(vector)
		     : "a"(icr), "d"(dest), "c"(MSR_X2APIC(APIC_ICR))
		     : "r10", "r11", "memory");
	return vector != TRAP_NONE;
}

static void on_any(struct trap_frame *f)
{
	(void)f;
	apic_write(APIC_EOI, 0);
}

static void alive_job(u64 arg)
{
	(void)arg;
	__atomic_add_fetch(&alive, 1, __ATOMIC_SEQ_CST);
}

/* Everybody is started anew, and does something. */
static void recover(const char *name)
{
	apic_send(0, ICR_OTHERS | ICR_ASSERT | ICR_INIT);
	for (unsigned int i = 1; i < smp_nr(); i++)
		smp_restart(i, 0);
	irq_on();
	cpuid(0, 0);
	irq_off();
	alive = 0;
	smp_all(alive_job, 0);
	report_eq(name, alive, smp_nr());
}

static void do_acts(void)
{
	static const struct {
		const char *name;
		void (*act)(void);
		bool hypervisor_only; /* Bochs delivers vector 0 then */
	} acts[] = {
		{ "INIT and SIPI storm", storm_starts, false },
		{ "NMI storm", storm_nmis, false },
		{ "illegal IPIs", illegal_ipis, false },
		{ "other names while others send", change_names, false },
		{ "other modes while others send", change_modes, true },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(acts); i++) {
		if (acts[i].hypervisor_only && !need_hypervisor(acts[i].name))
			continue;
		print("act: %s\n", acts[i].name);
		stop = 0;
		acts[i].act();
		recover(acts[i].name);
	}
	print("act: done, still here\n");
}

void guest_main(void)
{
	u64 seed = arg_u64("seed", 1);
	const char *last = arg_find("last");

	smp_idle_spins = true;
	nr_turns = arg_u64("n", 1000);
	print("smp-hostile: seed %lu\n", seed);
	for (unsigned int i = 0; i < SMP_MAX; i++)
		random_state[i] = (seed + i * RANDOM_MIX) * RANDOM_MIX | 1;
	smp_start(arg_is("mode", "x2apic"));
	if (smp_nr() < 2) {
		report(false, "two CPUs at least", "there is one");
		return;
	}
	for (unsigned int i = FIRST_VECTOR; i < 256; i++)
		trap_hook(i, on_any);
	if (!last)
		do_acts();
	else if (!last_act())
		report(false, "an act", "last=%s", last);
	smp_stop();
}
