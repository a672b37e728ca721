/* SPDX-License-Identifier: MIT */
/*
 * vmm/lapic_ipi.c between several vCPUs: whom a message names, in both modes and with each shorthand, and whose post it
 * reaches. SDM, "Issuing Interprocessor Interrupts", "Determining IPI Destination".
 */
#include "unittests/lapic.h"
#include <string.h>
#include "lib/bitops.h"
#include "unittests/seed.h"

#define VCPUS  8
#define VECTOR 0x31

#define LOGICAL ICR_LOGICAL
#define FIXED	0x000
#define LOWEST	0x100
#define SMI	0x200
#define NMI	0x400
#define INIT	0x4500 /* level assert */
#define SIPI	0x4600

static struct vcpu others[VCPUS];
static struct lapic lapics[VCPUS];
static uint32_t regs[VCPUS][LAPIC_REGS_NR][4];

static struct vcpu *vcpu(uint32_t id)
{
	return id ? &others[id] : V;
}

static void on_vcpu(uint32_t id, enum lapic_reg reg, uint32_t value)
{
	struct vcpu *v = vcpu(id);

	if (lapic_is_x2(v->lapic))
		assert_true(lapic_wrmsr(v, X2MSR(reg), value));
	else
		lapic_mmio_write(v, LAPIC_PAGE + 16 * reg, 4, value);
}

/* Eight vCPUs, all on; CPU n is the home of vCPU n, and this one is CPU 0. */
static void start(bool x2)
{
	lapic_start();
	fake_vm.nr_vcpus = fake_vm.options.cpus = VCPUS;
	for (uint32_t id = 0; id < VCPUS; id++) {
		struct vcpu *v = vcpu(id);

		if (id)
			*v = (struct vcpu){ .vm = &fake_vm, .id = id, .vpid = 1 };
		v->post = &fake_vm.post[id];
		*v->post = (struct vcpu_post){ .cpu = id, .running = true };
		fake_vm.vcpus[id] = v;
		v->lapic = id ? &lapics[id] : L;
		v->lapic->regs = regs[id];
		lapic_init(v);
		if (x2)
			assert_true(lapic_wrmsr(v, MSR_APIC_BASE, v->lapic->base | 0x400));
		on_vcpu(id, LAPIC_SVR, 0x1ff);
	}
	fake_asked = fake_kicked = 0;
	fake_nr_unserved = 0;
}

static void send(uint32_t from, uint32_t dest, uint32_t icr)
{
	struct vcpu *v = vcpu(from);

	if (lapic_is_x2(v->lapic)) {
		assert_true(lapic_wrmsr(v, X2MSR(LAPIC_ICR), (uint64_t)dest << 32 | icr));
		return;
	}
	on_vcpu(from, LAPIC_ICR2, dest << 24);
	on_vcpu(from, LAPIC_ICR, icr);
}

/* The vCPUs that have got @bits since the last look, a bit each; nobody has got anything else. */
static uint32_t got(uint32_t bits)
{
	uint32_t set = 0;

	for (uint32_t id = 0; id < VCPUS; id++) {
		struct vcpu_post *p = &fake_vm.post[id];

		assert_true(p->pending == 0 || p->pending == bits);
		if (bits & POST_IRQ)
			assert_int_equal(p->irr[0], p->pending ? BIT(VECTOR) : 0);
		if (bits & POST_SIPI && p->pending)
			assert_int_equal(p->sipi, VECTOR);
		set |= (p->pending != 0) << id;
		p->pending = 0;
		memset(p->irr, 0, sizeof(p->irr));
	}
	/* Those and only those are made to look. */
	assert_int_equal(fake_kicked, set & ~1U);
	fake_kicked = 0;
	return set;
}

static void test_physical(void **state)
{
	(void)state;
	for (unsigned int x2 = 0; x2 < 2; x2++) {
		start(x2);
		for (uint32_t from = 0; from < VCPUS; from++)
			for (uint32_t to = 0; to < VCPUS; to++) {
				send(from, to, FIXED | VECTOR);
				assert_int_equal(got(POST_IRQ), BIT(to));
				send(from, to, LOWEST | VECTOR);
				assert_int_equal(got(POST_IRQ), BIT(to));
				send(from, to, NMI | VECTOR);
				assert_int_equal(got(POST_NMI), BIT(to));
			}
		assert_int_equal(fake_nr_unserved, 0);
		/* Nobody has it. In x2APIC mode only all ones is broadcast. */
		send(3, VCPUS, FIXED | VECTOR);
		assert_int_equal(got(POST_IRQ), 0);
		assert_int_equal(fake_nr_unserved, 1);
		send(3, 0xff, FIXED | VECTOR);
		assert_int_equal(got(POST_IRQ), x2 ? 0 : 0xff);
		if (x2) {
			send(3, ~0U, FIXED | VECTOR);
			assert_int_equal(got(POST_IRQ), 0xff);
		}
	}
}

static void test_shorthands(void **state)
{
	(void)state;
	for (unsigned int x2 = 0; x2 < 2; x2++) {
		start(x2);
		for (uint32_t from = 0; from < VCPUS; from++) {
			/* The destination counts for nothing. */
			send(from, 7 - from, ICR_SELF | VECTOR);
			assert_int_equal(got(POST_IRQ), BIT(from));
			send(from, 7 - from, ICR_ALL | VECTOR);
			assert_int_equal(got(POST_IRQ), 0xff);
			send(from, from, ICR_OTHERS | VECTOR);
			assert_int_equal(got(POST_IRQ), 0xff & ~BIT(from));
			send(from, from, ICR_OTHERS | NMI);
			assert_int_equal(got(POST_NMI), 0xff & ~BIT(from));
			send(from, from, ICR_OTHERS | LOWEST | VECTOR);
			assert_int_equal(got(POST_IRQ), from ? 1 : 2);
		}
		assert_int_equal(fake_nr_unserved, 0);
	}
}

/* Every destination byte, in each model, with a group of its own for each vCPU. */
static void test_logical_xapic(void **state)
{
	(void)state;
	start(false);
	for (uint32_t id = 0; id < VCPUS; id++)
		on_vcpu(id, LAPIC_LDR, 1U << (24 + id));
	for (uint32_t dest = 0; dest < 256; dest++) {
		send(1, dest, LOGICAL | VECTOR);
		assert_int_equal(got(POST_IRQ), dest);
		send(1, dest, LOGICAL | LOWEST | VECTOR);
		assert_int_equal(got(POST_IRQ), dest & -dest);
	}
	/* Clusters of four: 0 to 3 in cluster 0, 4 to 7 in cluster 1. */
	for (uint32_t id = 0; id < VCPUS; id++) {
		on_vcpu(id, LAPIC_DFR, 0x0fffffff);
		on_vcpu(id, LAPIC_LDR, (id / 4 << 4 | 1U << id % 4) << 24);
	}
	for (uint32_t dest = 0; dest < 256; dest++) {
		uint32_t members = dest & 0xf, want = 0;

		if (dest >> 4 < 2)
			want = members << (dest >> 4) * 4;
		else if (dest >> 4 == 0xf)
			want = dest == 0xff ? 0xff : members | members << 4;
		send(6, dest, LOGICAL | VECTOR);
		assert_int_equal(got(POST_IRQ), want);
	}
}

/* The logical ID follows from the other: cluster in the upper half, a bit of the lower one for each member. */
static void test_logical_x2apic(void **state)
{
	(void)state;
	start(true);
	for (uint32_t dest = 0; dest < 0x200; dest++) {
		send(2, dest, LOGICAL | VECTOR);
		assert_int_equal(got(POST_IRQ), dest & 0xff);
		send(2, dest | 0x10000, LOGICAL | VECTOR);
		assert_int_equal(got(POST_IRQ), 0);
	}
}

/* The lowest-priority message goes to one that can take it. */
static void test_who_takes(void **state)
{
	(void)state;
	start(false);
	on_vcpu(0, LAPIC_SVR, 0xff); /* off by software: no interrupts, but NMIs */
	assert_true(lapic_wrmsr(vcpu(1), MSR_APIC_BASE, LAPIC_PAGE)); /* off altogether */
	send(5, 0xff, LOWEST | VECTOR);
	assert_int_equal(got(POST_IRQ), BIT(2));
	send(5, 0xff, FIXED | VECTOR);
	assert_int_equal(got(POST_IRQ), 0xfc);
	send(5, 0xff, NMI);
	assert_int_equal(got(POST_NMI), 0xfd);
	send(5, 1, NMI);
	assert_int_equal(got(POST_NMI), 0);
	assert_int_equal(fake_nr_unserved, 1);
	send(5, 0, FIXED | VECTOR);
	assert_int_equal(got(POST_IRQ), 0);
	assert_int_equal(fake_nr_unserved, 2);
	/* On again; nothing is left of what was sent meanwhile. */
	on_vcpu(0, LAPIC_SVR, 0x1ff);
	send(5, 0, FIXED | VECTOR);
	assert_int_equal(got(POST_IRQ), 1);
}

/* The first vCPU has no firmware to begin in: INIT and start-up IPIs are for the others. */
static void test_init_sipi(void **state)
{
	static const struct {
		uint32_t icr, bits;
	} modes[] = { { INIT, POST_INIT }, { SIPI, POST_SIPI } };

	(void)state;
	for (unsigned int x2 = 0; x2 < 2; x2++)
		for (size_t m = 0; m < COUNT(modes); m++) {
			uint32_t icr = modes[m].icr | VECTOR, bits = modes[m].bits;

			start(x2);
			for (uint32_t to = 0; to < VCPUS; to++) {
				send(0, to, icr);
				assert_int_equal(got(bits), BIT(to) & ~1U);
			}
			assert_int_equal(fake_nr_unserved, 1);
			send(0, 0, ICR_OTHERS | icr);
			assert_int_equal(got(bits), 0xfe);
			send(0, 0, ICR_ALL | icr);
			assert_int_equal(got(bits), 0xfe);
			/* Another one may start them as well, and end itself. */
			send(3, 0, ICR_OTHERS | icr);
			assert_int_equal(got(bits), 0xf6);
			send(3, 3, icr);
			assert_int_equal(got(bits), BIT(3));
		}
	/* INIT level de-assert does nothing at all; nor does System Management Mode, and of that we tell. */
	fake_nr_unserved = 0;
	send(0, 1, 0x8500);
	send(0, 0, ICR_ALL | 0x8500);
	assert_int_equal(got(POST_INIT), 0);
	assert_int_equal(fake_nr_unserved, 0);
	send(0, 1, SMI);
	assert_int_equal(got(0), 0);
	assert_int_equal(fake_nr_unserved, 1);
}

/* From the ICR of one to what the other delivers; a vector that is illegal costs both an error. */
static void test_way(void **state)
{
	struct vcpu *v = vcpu(4);

	(void)state;
	start(false);
	send(0, 4, FIXED | VECTOR);
	assert_int_equal(lapic_pending(v->lapic), -1); /* it does this by itself */
	post_collect(v);
	assert_int_equal(lapic_pending(v->lapic), VECTOR);
	assert_int_equal(v->events.due, 0);
	send(0, 4, FIXED | 7);
	assert_int_equal(L->errors, ESR_SEND_VECTOR);
	post_collect(v);
	assert_int_equal(v->lapic->errors, ESR_RECEIVE_VECTOR);
	/* Turned off between sending and taking. */
	send(0, 4, FIXED | 0x99);
	v->lapic->regs[LAPIC_SVR][0] = 0xff;
	post_collect(v);
	assert_int_equal(lapic_pending(v->lapic), VECTOR);
}

/* Whatever guests write, a post has what vmm/lapic.c has. */
static void test_published(void **state)
{
	(void)state;
	start(false);
	for (unsigned int i = 0; i < 200000; i++) {
		uint32_t id = (uint32_t)seed_below(VCPUS);
		unsigned int reg = (unsigned int)seed_below(0x40);
		struct vcpu *v = vcpu(id);
		const struct lapic *l = v->lapic;

		switch (seed_below(6)) {
		case 0:
			lapic_wrmsr(v, MSR_APIC_BASE,
				    LAPIC_PAGE | (seed_below(4) << 10) | (id ? 0 : 0x100));
			break;
		case 1:
			lapic_wrmsr(v, X2MSR(reg), seed_below(1UL << 34));
			break;
		default:
			if (lapic_has_page(v, LAPIC_PAGE))
				lapic_mmio_write(v, LAPIC_PAGE + 16 * reg, 4,
						 seed_below(1UL << 32));
		}
		if (id)
			post_collect(v);
		assert_int_equal(v->post->apic_base, l->base);
		assert_int_equal(v->post->svr, l->regs[LAPIC_SVR][0]);
		assert_int_equal(v->post->ldr, l->regs[LAPIC_LDR][0]);
		assert_int_equal(v->post->dfr, l->regs[LAPIC_DFR][0]);
		assert_int_equal(v->post->apic_id, id);
	}
}

static int setup(void **state)
{
	(void)state;
	seed_start(31);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_physical),      cmocka_unit_test(test_shorthands),
		cmocka_unit_test(test_logical_xapic), cmocka_unit_test(test_logical_x2apic),
		cmocka_unit_test(test_who_takes),     cmocka_unit_test(test_init_sipi),
		cmocka_unit_test(test_way),	      cmocka_unit_test(test_published),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
