/* SPDX-License-Identifier: MIT */
/* All CPUs at once stop, start and interrupt each other and themselves. */
#include "guest-tests/smp-hostile/hostile.h"

enum { SETTLE_TICKS = 200000 };

static u32 nmis, nmis_sent, sent;

static void send_start(void)
{
	unsigned int to = some_cpu(1);

	switch (below(4)) {
	case 0:
		smp_ipi(to, ICR_INIT);
		break;
	case 1:
		smp_ipi(to, ICR_INIT);
		/* fall through */
	default:
		smp_ipi(to, ICR_SIPI | smp_start_pages[below(2)]);
	}
	__atomic_add_fetch(&sent, 1, __ATOMIC_SEQ_CST);
}

static void start_job(u64 arg)
{
	(void)arg;
	while (!stop)
		send_start();
}

void storm_starts(void)
{
	u32 arrivals = 0;

	for (unsigned int i = 1; i < smp_nr(); i++) {
		smp_expect_any_starts(i);
		smp_call(i, start_job,
			 0); /* stands until it returns, so each does it again after a start */
	}
	for (u64 i = 0; i < nr_turns; i++)
		send_start();
	stop = 1;
	smp_delay(SETTLE_TICKS);
	for (unsigned int i = 1; i < smp_nr(); i++)
		arrivals += smp_arrivals[i];
	print("%u INITs and SIPIs by all, %u starts\n", sent, arrivals);
	report(arrivals > smp_nr(), "some of them started", "only %u", arrivals);
}

static void on_nmi(struct trap_frame *f)
{
	(void)f;
	__atomic_add_fetch(&nmis, 1, __ATOMIC_SEQ_CST);
}

static void nmi_job(u64 arg)
{
	(void)arg;
	for (u64 i = 0; i < nr_turns; i++) {
		unsigned int to = some_cpu(0);

		__atomic_add_fetch(&nmis_sent, 1, __ATOMIC_SEQ_CST);
		smp_ipi(to, ICR_NMI);
	}
}

void storm_nmis(void)
{
	trap_hook(VEC_NMI, on_nmi);
	nmis = nmis_sent = 0;
	smp_all(nmi_job, 0);
	smp_delay(SETTLE_TICKS);
	print("%u NMIs sent, %u came\n", nmis_sent, nmis);
	report(nmis && nmis <= nmis_sent, "NMIs, some of them merged", "%u of %u", nmis, nmis_sent);
}
