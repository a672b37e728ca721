/* SPDX-License-Identifier: MIT */
/*
 * The self-test. It makes a domain of its own, goes in and out of it by every road, and has
 * violations planted (boot/selftest_audit.c). What it allocates it gives back, and counts.
 */
#include "boot/selftest.h"
#include "arch/apic.h"
#include "arch/insn.h"
#include "arch/percpu.h"
#include "arch/regs.h"
#include "arch/trap.h"
#include "asi/asi.h"
#include "asi/window.h"
#include "boot/torture.h"
#include "lib/log.h"
#include "boot/selftest_internal.h"
#include "boot/teststack.h"
#include "mm/buddy.h"
#include "mm/hostmap.h"
#include "mm/kmalloc.h"
#include "mm/percpu.h"
#include "mm/quarantine.h"
#include "mm/slab.h"
#include "mm/vmalloc.h"

#define TEST_OWNER  OWNER_MAX /* no VM has it: they are numbered from 1 */
#define TEST_VECTOR 0x40

static struct mem_owner *owner;
static struct asi *domain;
static struct stack *base_stack;

static uint64_t sensitive_word = 0x5ec2e7; /* plain static data: sensitive by default */
static __percpu_sensitive uint64_t sensitive_percpu;
static __percpu uint32_t selftest_expected, selftest_depth, selftest_self;
static __percpu uint64_t selftest_frame;

static uint64_t read_word(const uint64_t *p)
{
	return *(const volatile uint64_t *)p;
}

/* Each class gives pages, of its own blocks, and gets every one back. */
static bool test_buddy(void)
{
	static const enum mem_class classes[] = { SENSITIVE, GLOBAL, LOCAL };
	struct buddy_stats before, after;

	buddy_get_stats(&before);
	for (unsigned int c = 0; c < ARRAY_SIZE(classes); c++) {
		for (unsigned int order = 0; order <= PAGEBLOCK_ORDER; order++) {
			struct mem_owner *o = classes[c] == LOCAL ? owner : NULL;
			uint64_t *p = page_zalloc(order, classes[c], o);

			CHECK(p);
			CHECK(pfn_to_pageblock(hpa_to_pfn(hva_to_hpa(p)))->class == classes[c]);
			CHECK(hva_is_local(p) == (classes[c] == LOCAL));
			CHECK(read_word(p) == 0);
			page_free(p, order);
		}
	}
	buddy_get_stats(&after);
	CHECK(before.free_pages[SENSITIVE] + before.free_pages[GLOBAL] + before.free_pages[LOCAL] ==
	      after.free_pages[SENSITIVE] + after.free_pages[GLOBAL] + after.free_pages[LOCAL]);
	return true;
}

/* What is freed while it may still be reached waits for a flush of everything. */
static bool test_quarantine(void)
{
	void *page = page_alloc(0, GLOBAL, NULL), *run = page_alloc(4, LOCAL, owner);
	struct buddy_stats s;

	CHECK(page && run);
	page_free_deferred(page, 0);
	page_free_deferred(run, 4);
	buddy_get_stats(&s);
	CHECK(s.deferred_pages == 17 && !quarantine_drain());
	CHECK(quarantine_flush());
	buddy_get_stats(&s);
	CHECK(s.deferred_pages == 0);
	page_reclaim();
	buddy_get_stats(&s);
	CHECK(s.block_pages[LOCAL] >= owner->pool.nr_pages && owner->pool.nr_pages == 0);
	return true;
}

static bool test_slab(void)
{
	static struct slab_cache cache;
	void *objects[100];

	slab_cache_init(&cache, "selftest", 200, 0, SENSITIVE, NULL);
	for (unsigned int i = 0; i < ARRAY_SIZE(objects); i++) {
		objects[i] = slab_alloc(&cache);
		CHECK(objects[i] && slab_cache_of(objects[i]) == &cache);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(objects); i++)
		slab_free(&cache, objects[i]);
	slab_cache_destroy(&cache);
	return true;
}

/* By size, in each class; what a VM has of it begins and ends with the VM. */
static bool test_kmalloc(void)
{
	struct slab_stats stats;
	uint64_t *p, *large;

	CHECK(!kmalloc_create(owner));
	for (enum mem_class class = SENSITIVE; class < MEM_CLASS_NR; class ++) {
		struct mem_owner *o = class == LOCAL ? owner : NULL;

		for (size_t size = 8; size <= KMALLOC_SLAB_MAX; size += size / 2) {
			p = kzalloc(size, class, o);
			CHECK(p && hva_is_local(p) == (class == LOCAL) && read_word(p) == 0);
			CHECK(pfn_to_pageblock(hpa_to_pfn(hva_to_hpa(p)))->class == class);
			kfree(p);
		}
		large = kmalloc(KMALLOC_SLAB_MAX + 1, class, o);
		CHECK(large);
		kfree(large);
	}
	slab_get_stats(LOCAL, owner, &stats);
	CHECK(stats.objects == 0);
	kmalloc_destroy(owner);
	return true;
}

/* Guard pages around an area; freed, it is found no more, and unmapped when its batch is. */
static bool test_vmalloc(void)
{
	char *p = vmalloc(3 * PAGE_SIZE, LOCAL, owner);
	struct vmalloc_stats s;
	void *start;
	size_t len;

	CHECK(p);
	CHECK((uint64_t)p - VMALLOC_LOCAL_BASE - TEST_OWNER * VMALLOC_LOCAL_SIZE <
	      VMALLOC_LOCAL_SIZE);
	p[3 * PAGE_SIZE - 1] = 1;
	CHECK(!ptable_walk(hostmap_ptable(), (uint64_t)p - 1).present);
	CHECK(!ptable_walk(hostmap_ptable(), (uint64_t)p + 3 * PAGE_SIZE).present);
	CHECK(vmalloc_area_of(p, &start, &len) && start == p && len == 3 * PAGE_SIZE);
	vfree(p);
	CHECK(!vmalloc_area_of(p, &start, &len));
	vmalloc_get_stats(LOCAL, owner, &s);
	CHECK(s.areas == 0 && s.lazy_areas == 1 && s.lazy_pages == 3);
	CHECK(vmalloc_flush() >= 3);
	vmalloc_get_stats(LOCAL, owner, &s);
	CHECK(s.lazy_areas == 0 && s.flushes == 1);
	CHECK(!ptable_walk(hostmap_ptable(), (uint64_t)p).present);
	return true;
}

/* enter, relax and exit: what each leaves in curr, the self page and the counters. */
static bool test_crossing_by_call(void)
{
	uint64_t flags = irq_save(), before = asi_crossings();
	struct asi *d = domain; /* our statics are sensitive: out of bounds in a critical section */

	CHECK(asi_self() == 0 && !asi_current());
	asi_enter(d);
	CHECK(asi_self() == TEST_OWNER && asi_current() == d);
	asi_check_entry(d, asi_host_cr3());
	asi_enter(d); /* there already: nothing is to happen */
	asi_relax();
	CHECK(asi_self() == TEST_OWNER && asi_crossings() == before);
	asi_exit();
	CHECK(asi_self() == 0 && !asi_current() && asi_crossings() == before + 1);
	irq_restore(flags);
	return true;
}

/* Relaxed, one touch of sensitive memory of each kind leaves, once, and reads what is there. */
static bool test_crossing_by_fault(void)
{
	uint64_t flags = irq_save(), *page = page_alloc(0, SENSITIVE, NULL), *area;
	const uint64_t *kinds[4];

	area = vmalloc(PAGE_SIZE, SENSITIVE, NULL);
	CHECK(page && area);
	*page = *area = *this_cpu_sensitive(sensitive_percpu) = sensitive_word;
	kinds[0] = &sensitive_word;
	kinds[1] = page;
	kinds[2] = area;
	kinds[3] = this_cpu_sensitive(sensitive_percpu);
	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++) {
		uint64_t before = asi_cpu_stats()->exits[ASI_BY_FAULT];

		asi_enter(domain);
		asi_relax();
		CHECK(read_word(kinds[i]) == 0x5ec2e7);
		CHECK(asi_self() == 0);
		CHECK(read_word(kinds[i]) == 0x5ec2e7);
		CHECK(asi_cpu_stats()->exits[ASI_BY_FAULT] == before + 1);
	}
	page_free(page, 0);
	vfree(area);
	irq_restore(flags);
	return true;
}

/* LOCAL and GLOBAL memory, and the allocators' own bookkeeping, cost no crossing. */
static bool test_no_crossing(void)
{
	uint64_t *local = page_zalloc(0, LOCAL, owner), *global = page_zalloc(0, GLOBAL, NULL);
	uint64_t flags = irq_save(), before = asi_crossings();
	struct mem_owner *o = owner;
	void *again;

	CHECK(local && global);
	asi_enter(domain);
	asi_relax();
	*local = *global = 1;
	again = page_alloc(0, LOCAL, o);
	CHECK(again);
	page_free(again, 0);
	CHECK(asi_self() == TEST_OWNER && asi_crossings() == before);
	asi_exit();
	irq_restore(flags);
	page_free(local, 0);
	page_free(global, 0);
	return true;
}

static uint64_t read_through(const struct window *w, const uint64_t *page)
{
	struct window_page p = window_open(w, hva_to_hpa(page));
	uint64_t word = read_word(p.hva);

	window_close(w, p);
	return word;
}

/* Sensitive pages one after the other through one address: no crossing, and never what was there before. */
static bool test_window(void)
{
	uint64_t *a = page_alloc(0, SENSITIVE, NULL), *b = page_alloc(0, SENSITIVE, NULL);
	uint64_t flags, before = asi_crossings(), seen[3];
	hpa_t at = a ? hva_to_hpa(a) : HPA_NONE;
	struct window_page p;
	struct window w;
	struct asi *d = domain;

	CHECK(a && b && !window_create(&w, owner));
	*a = 0xaaaa;
	*b = 0xbbbb;
	flags = irq_save();
	asi_enter(d);
	asi_relax();
	seen[0] = read_through(&w, a);
	seen[1] = read_through(&w, b);
	CHECK(asi_self() == TEST_OWNER && asi_crossings() == before);

	/* Left in between: the translation in the domain's PCID is not met again. */
	p = window_open(&w, at);
	read_word(p.hva);
	asi_exit();
	window_close(&w, p);
	asi_enter(d);
	asi_relax();
	seen[2] = read_through(&w, b);
	asi_exit();
	irq_restore(flags);
	CHECK(seen[0] == 0xaaaa && seen[1] == 0xbbbb && seen[2] == 0xbbbb);
	window_destroy(&w);
	page_free(a, 0);
	page_free(b, 0);
	return true;
}

/* Dynamic per-CPU memory: what is GLOBAL is here in every space, what is SENSITIVE costs a crossing. */
static bool test_percpu(void)
{
	uint64_t *global = percpu_alloc(24, 64, GLOBAL), *secret = percpu_alloc(24, 64, SENSITIVE);
	uint64_t flags = irq_save(), before = asi_cpu_stats()->exits[ASI_BY_FAULT];
	struct asi *d = domain;
	uint64_t *again;

	CHECK(global && secret);
	asi_enter(d);
	asi_relax();
	CHECK(read_word(percpu_this(global)) == 0);
	*percpu_this(global) = 1;
	again = percpu_alloc(8, 8, GLOBAL);
	CHECK(again && again != global);
	percpu_free(again);
	CHECK(asi_self() == TEST_OWNER && asi_cpu_stats()->exits[ASI_BY_FAULT] == before);
	CHECK(read_word(percpu_this(secret)) == 0);
	CHECK(asi_self() == 0 && asi_cpu_stats()->exits[ASI_BY_FAULT] == before + 1);
	irq_restore(flags);
	percpu_free(global);
	percpu_free(secret);
	return true;
}

bool selftest_trap(const struct trap_frame *frame)
{
	if (torture_trap(frame))
		return true;
	if (!this_cpu(selftest_expected) || frame->vector != this_cpu(selftest_expected))
		return false;
	this_cpu(selftest_expected) = 0;
	read_word(&sensitive_word);
	this_cpu(selftest_depth) = this_cpu(trap_depth);
	this_cpu(selftest_self) = asi_self();
	this_cpu(selftest_frame) = (uint64_t)frame;
	return frame->vector != TEST_VECTOR || apic_interrupt(TEST_VECTOR);
}

static void raise(uint8_t vector)
{
	if (vector == VEC_NMI)
		apic_send_nmi(apic_id());
	else if (vector == VEC_MC)
		int_mc();
	else
		apic_send_interrupt(apic_id(), vector);
}

/*
 * A handler that touches sensitive memory inside a critical section stays unrestricted until it
 * returns, at depth 1 (the fault itself at depth 2), and then the target is back. It runs on the stack
 * that it interrupts. How it left: by @cause alone.
 */
static bool test_interrupted_by(uint8_t vector, enum asi_cause cause)
{
	uint64_t flags = irq_save(), frame = (uint64_t)__builtin_frame_address(0);
	struct asi_stats before = *asi_cpu_stats();
	struct asi *d = domain;

	this_cpu(selftest_expected) = vector;
	this_cpu(selftest_depth) = 0;
	asi_enter(d);
	raise(vector);
	for (unsigned int i = 0; i < 100000 && !this_cpu(selftest_depth); i++)
		irq_window();
	CHECK(this_cpu(selftest_depth) == 1 && this_cpu(selftest_self) == 0);
	CHECK(this_cpu(trap_depth) == 0);
	CHECK(asi_self() == TEST_OWNER && asi_current() == d);
	CHECK(frame - this_cpu(selftest_frame) < PAGE_SIZE);
	asi_relax();
	CHECK(asi_cpu_stats()->exits[cause] == before.exits[cause] + 1);
	CHECK(asi_crossings() == before.exits[ASI_BY_FAULT] + before.exits[ASI_BY_CALL] + 1);
	asi_exit();
	irq_restore(flags);
	return true;
}

static bool test_interrupt(void)
{
	return test_interrupted_by(TEST_VECTOR, ASI_BY_FAULT);
}

static bool test_nmi(void)
{
	return test_interrupted_by(VEC_NMI, ASI_BY_FAULT);
}

/* Its policy is to leave at once: no fault is taken. */
static bool test_machine_check(void)
{
	return test_interrupted_by(VEC_MC, ASI_BY_CALL);
}

static bool test_audit(void)
{
	return selftest_audit(owner, domain);
}

static bool test_secrets(void)
{
	return selftest_secrets(owner, domain);
}

static bool test_stacks_here(void)
{
	return test_stacks(domain, base_stack);
}

struct selftest {
	const char *name;
	bool (*run)(void);
	enum { ALWAYS, WITH_ASI, RESTRICTED } needs; /* the last: a stack to enter on, too */
};

static const struct selftest tests[] = {
	{ "buddy", test_buddy, ALWAYS },
	{ "quarantine", test_quarantine, ALWAYS },
	{ "slab", test_slab, ALWAYS },
	{ "kmalloc", test_kmalloc, ALWAYS },
	{ "vmalloc", test_vmalloc, ALWAYS },
	{ "crossing by call", test_crossing_by_call, RESTRICTED },
	{ "crossing by fault", test_crossing_by_fault, RESTRICTED },
	{ "no crossing", test_no_crossing, RESTRICTED },
	{ "access window", test_window, RESTRICTED },
	{ "per-CPU memory", test_percpu, RESTRICTED },
	{ "interrupt in a critical section", test_interrupt, RESTRICTED },
	{ "NMI in a critical section", test_nmi, RESTRICTED },
	{ "machine check in a critical section", test_machine_check, RESTRICTED },
	{ "stacks and canaries", test_stacks_here, RESTRICTED },
	{ "audit", test_audit, WITH_ASI },
	{ "secrets", test_secrets, WITH_ASI },
	{ "parked CPUs", selftest_cpus, ALWAYS },
};

__noinline bool selftest_one(const struct selftest *test)
{
	bool ok = test->run();

	/* Also one that failed halfway: the stack that it returns to is sensitive. */
	asi_relax();
	asi_exit();
	return ok;
}

static bool run_test(const struct selftest *test)
{
	struct stack *stack;
	bool ok;

	if (test->needs != RESTRICTED)
		return selftest_one(test);
	stack = teststack_create(owner);
	if (!stack)
		return false;
	ok = selftest_on_stack(test, stack);
	teststack_destroy(stack);
	return ok;
}

static bool set_up(void)
{
	owner = page_zalloc(0, GLOBAL, NULL);
	if (!owner)
		return false;
	mem_owner_init(owner, TEST_OWNER);
	base_stack = stack_current();
	return !asi_create(ASI_GUEST_VM, owner, &domain);
}

static void tear_down(void)
{
	vmalloc_owner_end(owner);
	mem_owner_destroy(owner);
	asi_put(domain);
	page_free(owner, 0);
}

bool selftest_run(void)
{
	unsigned int failed = 0, run = 0;

	if (!set_up()) {
		log_error("selftest: no memory");
		return false;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(tests); i++) {
		bool ok;

		if (tests[i].needs != ALWAYS && !domain)
			continue;
		ok = run_test(&tests[i]);
		log_info("selftest: %s: %s", tests[i].name, ok ? "ok" : "FAILED");
		failed += !ok;
		run++;
	}
	tear_down();
	log_info("selftest: %u of %u passed", run - failed, run);
	return failed == 0;
}
