/* SPDX-License-Identifier: MIT */
/* IPIs by every way to name their targets, from every CPU. */
#include "guest-tests/smp/test.h"

enum {
	FLAT_CPUS = 8,
	CLUSTER_CPUS = 60,
	CLUSTER_SIZE = 4,
	NOBODYS_ID = 0xfe, /* neither an id of ours nor the broadcast */
	DFR_CLUSTER = 0x0fffffff,
};

volatile u32 got[NR_TEST][SMP_MAX], nmis[SMP_MAX], last_test[SMP_MAX], let_in[SMP_MAX];

static enum model model;
static u32 logical[SMP_MAX]; /* as the ICR has it; 0: none */

static void on_test(struct trap_frame *f)
{
	unsigned int i = (u32)(f->vector - VEC_TEST) >> 4;

	got[i][smp_id()]++;
	let_in[smp_id()] += !(f->rflags & RFLAGS_IF);
	last_test[smp_id()] = i;
	apic_write(APIC_EOI, 0);
}

static void on_nmi(struct trap_frame *f)
{
	(void)f;
	nmis[smp_id()]++;
}

void forget_all(void)
{
	for (unsigned int i = 0; i < smp_nr(); i++) {
		nmis[i] = 0;
		for (unsigned int k = 0; k < NR_TEST; k++)
			got[k][i] = 0;
	}
}

static void model_job(u64 arg)
{
	unsigned int me = smp_id();

	switch ((enum model)arg) {
	case X2:
		logical[me] = apic_read(APIC_LDR);
		return;
	case FLAT:
		logical[me] = me < FLAT_CPUS ? 1u << me : 0;
		break;
	case CLUSTER:
		logical[me] =
			me < CLUSTER_CPUS ? me / CLUSTER_SIZE << 4 | 1u << me % CLUSTER_SIZE : 0;
		break;
	}
	apic_write(APIC_DFR, arg == FLAT ? ~0u : DFR_CLUSTER);
	apic_write(APIC_LDR, logical[me] << 24);
}

void set_model(enum model m)
{
	model = m;
	smp_all(model_job, m);
}

/* The part of a logical id that its group has in common. */
static u32 group_mask(void)
{
	return model == FLAT ? 0 : model == CLUSTER ? 0xf0 : 0xffff0000;
}

static bool compose_group(struct message *m, unsigned int target, u64 also)
{
	u32 mask = group_mask();

	if (!logical[target])
		return false;
	m->icr |= ICR_LOGICAL;
	for (unsigned int i = 0; i < smp_nr(); i++) {
		bool named = i == target || also & BIT(i);

		if (named && logical[i] && (logical[i] & mask) == (logical[target] & mask)) {
			m->dest |= logical[i];
			m->targets |= BIT(i);
		}
	}
	return true;
}

/*
 * SDM "Valid Combinations for the ICR" and "Lowest Priority Delivery Mode": one of several cannot be named by
 * shorthand, nor by the physical broadcast; and Bochs takes no physical id for it either.
 */
static bool is_valid(enum address how, u32 what)
{
	if (what & ICR_LOWEST)
		return how == BY_GROUP || how == TO_EVERY_GROUP || how == TO_NOBODY ||
		       (how == BY_ID && hypervisor());
	return !(what & ICR_NMI) || (how != TO_SELF && how != TO_ALL);
}

bool compose(struct message *m, enum address how, unsigned int sender, unsigned int target,
	     u64 also, u32 what)
{
	*m = (struct message){ .icr = ICR_ASSERT | what, .one = what & ICR_LOWEST };
	switch (how) {
	case BY_ID:
		m->dest = smp_cpu(target)->apic_id;
		m->targets = BIT(target);
		break;
	case BY_GROUP:
		if (!compose_group(m, target, also))
			return false;
		break;
	case TO_EVERY_ID:
	case TO_EVERY_GROUP:
		if (how == TO_EVERY_GROUP && model == FLAT && smp_nr() > FLAT_CPUS)
			return false;
		m->icr |= how == TO_EVERY_GROUP ? ICR_LOGICAL : 0;
		m->dest = ~0u;
		m->targets = EVERY_CPU;
		break;
	case TO_SELF:
		m->icr |= ICR_SELF;
		m->targets = BIT(sender);
		break;
	case TO_ALL:
		m->icr |= ICR_ALL;
		m->targets = EVERY_CPU;
		break;
	case TO_OTHERS:
		m->icr |= ICR_OTHERS;
		m->targets = EVERY_CPU & ~BIT(sender);
		break;
	default:
		m->dest = NOBODYS_ID;
	}
	/* QEMU knows no broadcast in the cluster model. */
	if (how == TO_EVERY_GROUP && model == CLUSTER && !strict())
		return false;
	return is_valid(how, what);
}

void send_job(u64 message)
{
	const struct message *m = (const struct message *)message;

	apic_send(m->dest, m->icr);
}

static void settle_job(u64 arg)
{
	(void)arg;
	irq_on();
	cpuid(0, 0);
	irq_off();
}

void settle(void)
{
	smp_all(settle_job, 0);
}

static u32 sum(const volatile u32 *count, u64 set)
{
	u32 n = 0;

	for (unsigned int i = 0; i < smp_nr(); i++)
		n += set & BIT(i) ? count[i] : 0;
	return n;
}

static void wait_for_one(const struct message *m, const volatile u32 *count)
{
	for (u64 end = rdtsc() + smp_patience(); !sum(count, m->targets) && rdtsc() < end;)
		smp_relax();
}

bool delivered(const struct message *m, volatile u32 *count)
{
	bool right = true;
	u32 want = 0;

	irq_on();
	if (m->one && m->targets)
		wait_for_one(m, count);
	for (unsigned int i = 0; i < smp_nr() && !m->one; i++)
		if (m->targets & BIT(i))
			smp_await(&count[i], 1, smp_patience());
	irq_off();
	settle();
	for (unsigned int i = 0; i < smp_nr(); i++) {
		u32 named = m->targets >> i & 1;

		right = right && count[i] <= named;
		want += named;
	}
	if (m->one)
		want = want != 0;
	right = right && sum(count, m->targets) == want;
	for (unsigned int i = 0; i < smp_nr(); i++)
		count[i] = 0;
	return right;
}

/* From each CPU to each that the address can name; 0 if all went right, else a sender's and a target's number + 1. */
static unsigned int try_all(enum address how, u64 also, u32 what, unsigned int *sent)
{
	bool many = how == BY_ID || how == BY_GROUP;
	volatile u32 *count = what & ICR_NMI ? nmis : got[0];
	struct message m;

	for (unsigned int s = 0; s < smp_nr(); s++) {
		for (unsigned int t = 0; t < (many ? smp_nr() : 1); t++) {
			if (!compose(&m, how, s, t, also, what))
				continue;
			smp_run(s, send_job, (u64)&m);
			(*sent)++;
			if (!delivered(&m, count))
				return (s + 1) << 8 | (t + 1);
		}
	}
	return 0;
}

static void try_addresses(void)
{
	static const struct {
		const char *name;
		enum address how;
		u64 also;
		u32 what;
	} cases[] = {
		{ "fixed, by id", BY_ID, 0, VEC_TEST },
		{ "fixed, by logical id", BY_GROUP, 0, VEC_TEST },
		{ "fixed, to a whole group", BY_GROUP, ~0ull, VEC_TEST },
		{ "fixed, to every id", TO_EVERY_ID, 0, VEC_TEST },
		{ "fixed, to every logical id", TO_EVERY_GROUP, 0, VEC_TEST },
		{ "shorthand: self", TO_SELF, 0, VEC_TEST },
		{ "shorthand: all", TO_ALL, 0, VEC_TEST },
		{ "shorthand: others", TO_OTHERS, 0, VEC_TEST },
		{ "fixed, to nobody", TO_NOBODY, 0, VEC_TEST },
		{ "lowest priority, by id", BY_ID, 0, ICR_LOWEST | VEC_TEST },
		{ "lowest priority goes to exactly one", BY_GROUP, ~0ull, ICR_LOWEST | VEC_TEST },
		{ "lowest priority to nobody", TO_NOBODY, 0, ICR_LOWEST | VEC_TEST },
		{ "NMI, by id", BY_ID, 0, ICR_NMI },
		{ "NMI, to a whole group", BY_GROUP, ~0ull, ICR_NMI },
		{ "NMI, shorthand: others", TO_OTHERS, 0, ICR_NMI },
		{ "NMI to nobody", TO_NOBODY, 0, ICR_NMI },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned int sent = 0, wrong;

		wrong = try_all(cases[i].how, cases[i].also, cases[i].what, &sent);
		if (sent)
			report(!wrong, cases[i].name, "from CPU %u, about CPU %u", (wrong >> 8) - 1,
			       (wrong & 0xff) - 1);
		else
			skip(cases[i].name, "this machine or this model has none");
		forget_all();
	}
}

/* SDM "Logical Destination Mode in x2APIC Mode": the logical id follows from the id. */
void check_logical_ids(void)
{
	unsigned int wrong = 0;

	set_model(X2);
	for (unsigned int i = 0; i < smp_nr(); i++) {
		u32 id = smp_cpu(i)->apic_id;

		wrong += logical[i] != (id >> 4 << 16 | 1u << (id & 15));
	}
	report_eq("logical ids follow from the ids", wrong, 0);
}

void check_destinations(void)
{
	for (unsigned int i = 0; i < NR_TEST; i++)
		trap_hook(TEST_VECTOR(i), on_test);
	trap_hook(VEC_NMI, on_nmi);
	forget_all();
	if (x2apic) {
		check_logical_ids();
		try_addresses();
		return;
	}
	print("smp: flat model\n");
	set_model(FLAT);
	try_addresses();
	print("smp: cluster model\n");
	set_model(CLUSTER);
	try_addresses();
	set_model(FLAT);
}
