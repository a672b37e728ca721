/* SPDX-License-Identifier: MIT */
/*
 * vmm/post.c and vmm/ready.c: whom a message makes look, what becomes of it, who sleeps and until when, and when a VM
 * sleeps for good; another vCPU may come between at each step of that last question.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "arch/cpus.h"
#include "arch/insn.h"
#include "arch/percpu.h"
#include "lib/bitops.h"
#include "vmm/lapic.h"
#include "vmm/post.h"
#include "vmm/runqueue.h"
#include "vmm/schedule.h"
#include "vmm/vcpu.h"

/* The search for mail of vmm/ready.c, with a place before each step where others do something. */
static void (*others)(uint32_t step);

static bool search(const struct vm *vm)
{
	for (uint32_t id = 0; id <= vm->nr_vcpus; id++) {
		if (others)
			others(id);
		if (id < vm->nr_vcpus && post_is_pending(vm, id))
			return true;
	}
	return false;
}

#define post_any_pending search
#include "vmm/ready.c"
#undef post_any_pending

#define VCPUS	 3
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define ME	 2 /* this CPU */

uint64_t fake_vmcs[0x8000];
uint64_t fake_tsc, fake_xcr0, fake_dr6;
unsigned int fake_nr_nmi, fake_nr_mc;
struct cpuid_regs (*fake_cpuid)(uint32_t leaf, uint32_t subleaf);

static struct vm vm;
static struct vcpu vcpus[VCPUS];
static uint64_t asked, kicked, looked;
static unsigned int nr_stops, nr_did;
static char did[64]; /* what mail did to a vCPU, a letter each, in order */
static uint8_t vectors[64];
static bool levels[64];
static bool can_wake, timer_pends;

/* ---- what posts and readiness need ---- */

/* Whoever is made to look finds a reason. */
static void there_is_a_reason(void)
{
	assert_true(post_any_pending(&vm) || vm.verdict != VERDICT_NONE);
}

void sched_ask(uint32_t cpu)
{
	there_is_a_reason();
	asked |= BIT(cpu);
}

void sched_look(void)
{
	there_is_a_reason();
	looked |= BIT(cpu_number);
}

void cpu_kick(uint32_t cpu)
{
	there_is_a_reason();
	assert_int_not_equal(cpu, cpu_number);
	kicked |= BIT(cpu);
}

/* Whoever takes mail counts as awake, or others might believe that nobody has any. */
void lapic_accept(struct vcpu *v, uint8_t vector, bool level)
{
	assert_false(v->dormant);
	vectors[nr_did] = vector;
	levels[nr_did] = level;
	did[nr_did++] = 'q';
}

void inject_nmi(struct vcpu *v)
{
	assert_false(v->dormant);
	did[nr_did++] = 'n';
}

void vcpu_timer_changed(struct vcpu *v)
{
	(void)v;
	did[nr_did++] = 't';
}

void vcpu_init(struct vcpu *v)
{
	v->state = VCPU_WAITS_FOR_SIPI;
	did[nr_did++] = 'i';
}

void vcpu_startup(struct vcpu *v, uint8_t vector)
{
	vectors[nr_did] = vector;
	did[nr_did++] = 's';
	if (v->state == VCPU_WAITS_FOR_SIPI)
		v->state = VCPU_RUNNABLE;
}

bool inject_can_wake(const struct vcpu *v)
{
	(void)v;
	return can_wake || timer_pends;
}

void vcpu_check_timer(struct vcpu *v, uint64_t now)
{
	if (!v->timer_deadline || now < v->timer_deadline)
		return;
	v->timer_deadline = 0;
	timer_pends = true;
}

void vm_stop(struct vm *of, enum verdict verdict, const char *reason, uint32_t code)
{
	assert_ptr_equal(of, &vm);
	assert_int_equal(verdict, VERDICT_STOPPED);
	assert_int_equal(code, 0);
	nr_stops++;
	vm.verdict = verdict;
	vm.reason = reason;
}

/* All run, on CPUs 0, 1 and 2. */
static int reset(void **state)
{
	(void)state;
	memset(&vm, 0, sizeof(vm));
	memset(vcpus, 0, sizeof(vcpus));
	memset(did, 0, sizeof(did));
	asked = kicked = looked = 0;
	nr_did = nr_stops = 0;
	can_wake = timer_pends = false;
	others = NULL;
	cpu_number = ME;
	fake_tsc = 100000;
	vm.nr_vcpus = VCPUS;
	vm.awake = VCPUS * AWAKE_ONE;
	for (uint32_t id = 0; id < VCPUS; id++) {
		vcpus[id] = (struct vcpu){ .vm = &vm, .id = id, .post = &vm.post[id] };
		vm.vcpus[id] = &vcpus[id];
		vm.post[id].cpu = id;
		vm.post[id].running = true;
	}
	return 0;
}

static uint32_t awake(void)
{
	return (uint32_t)(vm.awake & AWAKE_MASK);
}

/* ---- posts ---- */

/* One that runs is made to look; the scheduler of one that does not is asked besides. Oneself is not kicked. */
static void test_look(void **state)
{
	void (*const posts[])(struct vm *, uint32_t) = { post_nmi, post_init, post_platform };

	for (unsigned int i = 0; i < 4 * VCPUS; i++) {
		uint32_t id = i / 4;
		bool runs = i % 2;

		reset(state);
		vm.post[id].running = runs;
		if (i % 4 < 2)
			posts[id % COUNT(posts)](&vm, id);
		else
			post_irq(&vm, id, 0x31, false);
		assert_int_equal(asked, runs ? 0 : BIT(id));
		assert_int_equal(kicked, id == ME ? 0 : BIT(id));
		assert_int_equal(looked, id == ME ? BIT(id) : 0);
		for (uint32_t k = 0; k < VCPUS; k++)
			assert_int_equal(post_is_pending(&vm, k), k == id);
	}
	reset(state);
	vm.verdict = VERDICT_PASS;
	post_look(&vm, 1);
	assert_int_equal(kicked, BIT(1));
	assert_false(post_any_pending(&vm));
}

static void test_collect(void **state)
{
	struct vcpu *v = &vcpus[1];

	(void)state;
	post_collect(v);
	assert_int_equal(nr_did, 0);
	/* Each vector, and how it was triggered the last time. */
	for (unsigned int vector = 0; vector < 256; vector += 51)
		post_irq(&vm, 1, (uint8_t)vector, vector % 2);
	post_irq(&vm, 1, 51, false);
	post_irq(&vm, 1, 102, true);
	post_irq(&vm, 1, 102, true);
	post_collect(v);
	assert_string_equal(did, "qqqqqq");
	for (unsigned int i = 0; i < 6; i++) {
		assert_int_equal(vectors[i], 51 * i);
		assert_int_equal(levels[i], i == 2 || i == 3 || i == 5);
	}
	assert_false(post_is_pending(&vm, 1));
	post_collect(v);
	assert_int_equal(nr_did, 6);
	/* INIT ends what was before; a start-up IPI that comes along finds it waiting. */
	reset(state);
	post_sipi(&vm, 1, 9);
	post_platform(&vm, 1);
	post_nmi(&vm, 1);
	post_irq(&vm, 1, 0x40, false);
	post_sipi(&vm, 1, 7);
	post_init(&vm, 1);
	post_nmi(&vm, 2);
	post_collect(v);
	assert_string_equal(did, "iqts");
	assert_int_equal(vectors[3], 7);
	assert_int_equal(v->state, VCPU_RUNNABLE);
	assert_true(post_is_pending(&vm, 2)); /* another one's */
	/* An NMI that was sent behind it is not. */
	reset(state);
	post_init(&vm, 1);
	post_nmi(&vm, 1);
	post_collect(v);
	assert_string_equal(did, "in");
}

/* ---- readiness ---- */

enum { NOTHING, INTERRUPT, INTERRUPT_BARRED, INIT, STARTUP };

static void post_mail(uint32_t id, int mail)
{
	can_wake = mail == INTERRUPT;
	if (mail == INTERRUPT || mail == INTERRUPT_BARRED)
		post_irq(&vm, id, 0x31, false);
	else if (mail == INIT)
		post_init(&vm, id);
	else if (mail == STARTUP)
		post_sipi(&vm, id, 8);
}

static void test_ready(void **state)
{
	static const struct {
		enum vcpu_state before;
		int mail;
		uint64_t timer; /* from now */
		enum vcpu_state behind;
		bool dormant;
	} cases[] = {
		{ VCPU_RUNNABLE, NOTHING, 0, VCPU_RUNNABLE, false },
		{ VCPU_RUNNABLE, INTERRUPT, 5, VCPU_RUNNABLE, false },
		{ VCPU_RUNNABLE, INIT, 0, VCPU_WAITS_FOR_SIPI, true },
		{ VCPU_RUNNABLE, STARTUP, 0, VCPU_RUNNABLE, false },
		{ VCPU_HALTED, NOTHING, 0, VCPU_HALTED, true },
		{ VCPU_HALTED, NOTHING, 1, VCPU_HALTED, false },
		{ VCPU_HALTED, NOTHING, ~0UL, VCPU_RUNNABLE, false }, /* it is over by now */
		{ VCPU_HALTED, INTERRUPT, 0, VCPU_RUNNABLE, false },
		{ VCPU_HALTED, INTERRUPT_BARRED, 0, VCPU_HALTED, true },
		{ VCPU_HALTED, INTERRUPT_BARRED, 9, VCPU_HALTED, false },
		{ VCPU_HALTED, INIT, 0, VCPU_WAITS_FOR_SIPI, true },
		{ VCPU_HALTED, STARTUP, 0, VCPU_HALTED, true },
		{ VCPU_WAITS_FOR_SIPI, NOTHING, 0, VCPU_WAITS_FOR_SIPI, true },
		{ VCPU_WAITS_FOR_SIPI, INTERRUPT, 0, VCPU_WAITS_FOR_SIPI, true },
		{ VCPU_WAITS_FOR_SIPI, INIT, 0, VCPU_WAITS_FOR_SIPI, true },
		{ VCPU_WAITS_FOR_SIPI, STARTUP, 0, VCPU_RUNNABLE, false },
	};

	for (size_t i = 0; i < 2 * COUNT(cases); i++) {
		struct vcpu *v = &vcpus[1];
		bool ready;

		reset(state);
		/* It may have been counted out before, or not. */
		v->dormant = i % 2;
		vm.awake = (VCPUS - i % 2) * AWAKE_ONE;
		v->state = cases[i / 2].before;
		if (cases[i / 2].timer)
			v->timer_deadline = fake_tsc + cases[i / 2].timer;
		post_mail(1, cases[i / 2].mail);
		ready = vcpu_ready(v, fake_tsc + 700);
		assert_int_equal(ready, cases[i / 2].behind == VCPU_RUNNABLE);
		assert_int_equal(v->state, cases[i / 2].behind);
		assert_int_equal(v->dormant, cases[i / 2].dormant);
		assert_int_equal(awake(), VCPUS - cases[i / 2].dormant);
		assert_false(post_is_pending(&vm, 1));
		assert_int_equal(nr_stops, 0);
		if (ready)
			assert_int_equal(v->slice_end, fake_tsc + 700);
	}
}

/* The limit ends turns, sleeps that nobody counts, and the VM. */
static void test_limit(void **state)
{
	struct vcpu *v = &vcpus[0];

	vm.limit = 1000;
	v->guest_ticks = 400;
	assert_true(vcpu_ready(v, fake_tsc + 5000));
	assert_int_equal(v->slice_end, fake_tsc + 600);
	assert_true(vcpu_ready(v, fake_tsc + 100));
	assert_int_equal(v->slice_end, fake_tsc + 100);
	v->guest_ticks = 1000;
	assert_false(vcpu_ready(v, fake_tsc + 100));
	assert_string_equal(vm.reason, "time-limit");
	assert_int_equal(v->state, VCPU_STOPPED);
	assert_false(vcpu_ready(&vcpus[1], fake_tsc + 100));
	assert_int_equal(vcpus[1].state, VCPU_STOPPED);
	assert_int_equal(nr_stops, 1);

	reset(state);
	v->state = VCPU_HALTED;
	v->exit_tsc = fake_tsc;
	assert_int_equal(vcpu_wake_time(v), RQ_NEVER);
	v->timer_deadline = fake_tsc + 70000;
	assert_int_equal(vcpu_wake_time(v), fake_tsc + 70000);
	vm.limit = 1000;
	assert_int_equal(vcpu_wake_time(v), fake_tsc + 1000);
	fake_tsc += 999;
	assert_false(vcpu_ready(v, fake_tsc));
	assert_int_equal(nr_stops, 0);
	fake_tsc++;
	assert_false(vcpu_ready(v, fake_tsc));
	assert_string_equal(vm.reason, "time-limit");
	/* One that has stopped takes no mail any more. */
	post_nmi(&vm, 0);
	assert_false(vcpu_ready(v, fake_tsc));
	assert_int_equal(nr_did, 0);
}

/* ---- sleep for good ---- */

static void sleep_now(uint32_t id)
{
	vcpus[id].state = VCPU_HALTED;
	assert_false(vcpu_wake(&vcpus[id], fake_tsc));
}

static void test_halted(void **state)
{
	(void)state;
	sleep_now(1);
	sleep_now(0);
	assert_int_equal(nr_stops, 0);
	sleep_now(0); /* it is counted once */
	assert_int_equal(awake(), 1);
	sleep_now(2);
	assert_int_equal(nr_stops, 1);
	assert_string_equal(vm.reason, "halted");
	sleep_now(1);
	assert_int_equal(nr_stops, 1);

	/* A timer will wake it; when that is over, the interrupt may be barred. */
	reset(state);
	vcpus[1].timer_deadline = fake_tsc + 10;
	for (uint32_t id = 0; id < VCPUS; id++)
		sleep_now(id);
	assert_int_equal(nr_stops, 0);
	fake_tsc += 10;
	vcpus[1].timer_deadline = 0;
	sleep_now(1);
	assert_int_equal(nr_stops, 1);

	/* There is mail: whoever gets it looks at it first. */
	reset(state);
	post_irq(&vm, 0, 0x31, false);
	vcpus[0].dormant = true;
	vm.awake = 2 * AWAKE_ONE;
	sleep_now(1);
	sleep_now(2);
	assert_int_equal(nr_stops, 0);
	sleep_now(0); /* it was nothing to wake for */
	assert_int_equal(nr_stops, 1);
}

static uint32_t when;

/* vCPU 1 takes its mail, which wakes it. */
static void wakes(uint32_t step)
{
	if (step != when)
		return;
	others = NULL;
	can_wake = true;
	assert_true(vcpu_wake(&vcpus[1], fake_tsc));
	can_wake = false;
}

/* It sends a message to the one that has been looked at, and is asleep again. */
static void wakes_and_sends(uint32_t step)
{
	if (step != when)
		return;
	wakes(step);
	post_irq(&vm, 0, 0x31, false);
	sleep_now(1);
}

/* It has nothing to say. */
static void wakes_and_sleeps(uint32_t step)
{
	if (step != when)
		return;
	wakes(step);
	sleep_now(1);
}

/* vCPU 2 is the last one awake, and has sent vCPU 1 a message; at any moment of its search others go on. */
static void test_racing_mail(void **state)
{
	static const struct {
		void (*do_what)(uint32_t step);
		unsigned int stops;
	} cases[] = {
		{ wakes, 0 },		 /* it runs */
		{ wakes_and_sends, 0 },	 /* vCPU 0 will run */
		{ wakes_and_sleeps, 1 }, /* nobody will */
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		for (when = 0; when <= VCPUS; when++) {
			reset(state);
			sleep_now(0);
			sleep_now(1);
			post_irq(&vm, 1, 0x31, false);
			others = cases[i].do_what;
			sleep_now(2);
			if (when > 1) { /* the message was seen before it was taken */
				assert_int_equal(nr_stops, 0);
				assert_true(post_is_pending(&vm, 1));
				continue;
			}
			assert_null(others);
			assert_int_equal(nr_stops, cases[i].stops);
			assert_int_equal(post_is_pending(&vm, 0), i == 1);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_look, reset),
		cmocka_unit_test_setup(test_collect, reset),
		cmocka_unit_test_setup(test_ready, reset),
		cmocka_unit_test_setup(test_limit, reset),
		cmocka_unit_test_setup(test_halted, reset),
		cmocka_unit_test_setup(test_racing_mail, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
