/* SPDX-License-Identifier: MIT */
/* asi/map.c and asi/domain.c on the real page tables and the real buddy: a domain maps what the tags say. */
#include "unittests/asi_map.h"
#include "unittests/seed.h"
#include "lib/errno.h"

#define STEPS	4000
#define LIVE	200
#define NR_PFNS ((GiB(1) + MiB(16)) / PAGE_SIZE)

/* Who may see each page, by what the test itself allocated: a class and an owner's index. */
struct allocation {
	void *hva;
	unsigned int order, owner;
	enum mem_class class;
};
static struct allocation live[LIVE];
static unsigned int nr_live;

static bool maps(const struct asi *asi, uint64_t window, hpa_t hpa)
{
	struct pt_walk w = ptable_walk(&asi->pt, window + hpa.v);

	if (w.present)
		assert_int_equal(w.hpa.v, hpa.v);
	else
		assert_int_equal(w.entry, PTE_ABSENT);
	return w.present;
}

/* One allocation, by every domain and both windows. */
static void check_allocation(const struct allocation *a)
{
	hpa_t first = hva_to_hpa(a->hva);

	for (unsigned int i = 0; i < VMS; i++) {
		for (uint64_t at = 0; at < PAGE_SIZE << a->order; at += PAGEBLOCK_SIZE) {
			hpa_t hpa = HPA(first.v + at);

			assert_int_equal(maps(vms[i], DIRECTMAP_BASE, hpa), a->class == GLOBAL);
			assert_int_equal(maps(vms[i], LOCALMAP_BASE, hpa),
					 a->class == LOCAL && a->owner == i);
		}
	}
}

struct window_sum {
	const struct asi *asi;
	uint64_t base, bytes;
};

/* A leaf in one of the two windows: of a whole block whose tag says so, read and write, no code. */
static bool check_leaf(const struct pt_leaf *leaf, void *arg)
{
	struct window_sum *sum = arg;
	const struct pageblock *block = pfn_to_pageblock(hpa_to_pfn(leaf->hpa));
	bool local = sum->base == LOCALMAP_BASE;

	assert_true(leaf->present && leaf->size == PAGEBLOCK_SIZE);
	assert_int_equal(leaf->va - sum->base, leaf->hpa.v);
	assert_true(leaf->rights & PTE_W && leaf->rights & PTE_NX);
	assert_int_equal(leaf->entry & (PTE_G | PTE_U), 0);
	assert_int_equal(block->class, local ? LOCAL : GLOBAL);
	assert_ptr_equal(block->owner, local ? sum->asi->owner : NULL);
	sum->bytes += leaf->size;
	return true;
}

static uint64_t window_bytes(const struct asi *asi, uint64_t base)
{
	struct window_sum sum = { asi, base, 0 };

	assert_true(ptable_for_each(&asi->pt, base, PHYS_LIMIT, check_leaf, &sum));
	return sum.bytes;
}

/* Every domain maps the tagged blocks and no others, and the surface adds up. */
static void check_domains(void)
{
	struct buddy_stats s;

	buddy_get_stats(&s);
	for (unsigned int i = 0; i < VMS; i++) {
		struct asi_surface surface;

		assert_int_equal(window_bytes(vms[i], DIRECTMAP_BASE),
				 s.block_pages[GLOBAL] * PAGE_SIZE);
		assert_int_equal(window_bytes(vms[i], LOCALMAP_BASE),
				 fake_owners[i].pool.nr_pages * PAGE_SIZE);
		asi_surface(vms[i], &surface);
		assert_int_equal(surface.global, s.block_pages[GLOBAL] * PAGE_SIZE);
		assert_int_equal(surface.local, fake_owners[i].pool.nr_pages * PAGE_SIZE);
		assert_int_equal(surface.image, 7 * PAGE_SIZE);
		assert_int_equal(surface.metadata, PAGE_SIZE);
		assert_int_equal(surface.percpu, PAGE_SIZE);
		assert_int_equal(surface.device, PAGE_SIZE);
		assert_int_equal(surface.total_ram, memmap_ram_bytes());
	}
	assert_int_equal(violations(), 0);
}

static void step_alloc(void)
{
	struct allocation a = { .order = (unsigned int)seed_below(4) * (unsigned int)seed_below(4),
				.owner = (unsigned int)seed_below(VMS),
				.class = (enum mem_class)seed_below(MEM_CLASS_NR) };

	a.order += seed_below(16) == 0;
	a.hva = page_alloc(a.order, a.class, a.class == LOCAL ? &fake_owners[a.owner] : NULL);
	if (!a.hva)
		return;
	check_allocation(&a);
	live[nr_live++] = a;
}

static void step_free(void)
{
	unsigned int i = (unsigned int)seed_below(nr_live);

	page_free(live[i].hva, live[i].order);
	live[i] = live[--nr_live];
}

/*
 * Pages of all classes and owners come and go, from inside and outside of domains: after each step
 * each domain maps exactly what it may. All comes back at the end.
 */
static void test_random_walk(void **state)
{
	uint64_t used = memory_used();

	(void)state;
	for (unsigned int i = 0; i < STEPS; i++) {
		asi_enter(vms[seed_below(VMS)]);
		asi_relax();
		if (seed_below(2))
			asi_exit();
		if (nr_live && (nr_live == LIVE || seed_below(2)))
			step_free();
		else
			step_alloc();
		if (nr_live)
			check_allocation(&live[seed_below(nr_live)]);
		if (i % 64 == 0) {
			for (unsigned int n = 0; n < nr_live; n++)
				check_allocation(&live[n]);
			check_domains();
		}
	}
	while (nr_live)
		step_free();
	asi_exit();
	assert_int_equal(memory_used(), used);
	check_domains();
}

/* The block of @hva, which is free, is hidden; the TLB of domain 0 held it, at @va. */
static void hide(void *hva, uint64_t va)
{
	fake_mmu_unmapped_at(vms[0]->pt.root, va);
	page_free(hva, PAGEBLOCK_ORDER);
	page_reclaim();
}

/* What was hidden no CPU translates any more: flushed at once, or before the domain is entered. */
static void test_hide_flushes(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 8; i++) {
		bool inside = i & 1, global = i & 2;
		void *hva = page_alloc(PAGEBLOCK_ORDER, global ? GLOBAL : LOCAL,
				       global ? NULL : &fake_owners[0]);

		asi_enter(vms[0]);
		asi_relax();
		if (!inside)
			asi_exit();
		hide(hva, (global ? DIRECTMAP_BASE : LOCALMAP_BASE) + hva_to_hpa(hva).v);
		asi_enter(vms[0]);
		assert_true(fake_mmu_is_fresh());
		asi_relax();
		asi_exit();
	}
}

/* Each allocation of a creation fails in turn: -ENOMEM, no domain, and every page is back. */
static void test_create_fails(void **state)
{
	struct mem_owner *owner = &fake_owners[FAKE_OWNERS - 1];
	uint64_t used = memory_used(), host_tables = hostmap_ptable()->nr_tables;
	struct asi *asi = vms[0];
	unsigned int n = 1;

	(void)state;
	for (;; n++) {
		int err;

		buddy_fail_after(n);
		err = asi_create(ASI_GUEST_VM, owner, &asi);
		buddy_fail_after(0);
		if (!err)
			break;
		assert_int_equal(err, -ENOMEM);
		assert_null(asi);
		assert_null(asi_domains[OWNER_MAX]);
		assert_int_equal(memory_used(), used);
		assert_int_equal(violations(), 0);
	}
	/* Root, self page and its three tables, directory pointers and two directories of RAM, vmalloc. */
	assert_in_range(n, 9, 20);
	assert_non_null(asi);
	assert_int_equal(memory_used(), used + n - 1);
	assert_int_equal(violations(), 0);
	asi_put(asi);
	assert_int_equal(memory_used(), used);
	assert_int_equal(hostmap_ptable()->nr_tables, host_tables);
}

/* The first creation for an owner leaves one table in the unrestricted space, fails where it may. */
static void test_create_first(void **state)
{
	struct mem_owner owner;
	uint64_t used = memory_used(), host_tables = hostmap_ptable()->nr_tables;
	struct asi *asi;

	(void)state;
	mem_owner_init(&owner, 300);
	for (unsigned int n = 1;; n++) {
		int err;

		buddy_fail_after(n);
		err = asi_create(ASI_GUEST_VM, &owner, &asi);
		buddy_fail_after(0);
		if (!err)
			break;
		assert_int_equal(memory_used() - used, hostmap_ptable()->nr_tables - host_tables);
		assert_true(hostmap_ptable()->nr_tables - host_tables <= 1);
	}
	asi_put(asi);
	assert_int_equal(hostmap_ptable()->nr_tables, host_tables + 1);
	assert_int_equal(memory_used(), used + 1);
}

/*
 * Two vCPUs of a VM: each maps what the VM had before and gets later, and its own; not the other's. What
 * the VM gives back leaves both.
 */
static void test_vcpu_domains(void **state)
{
	uint64_t used = memory_used();
	struct mem_owner vm, vcpu[2];
	struct asi *asi[2];
	void *before, *after, *own[2];

	(void)state;
	mem_owner_init(&vm, 310);
	before = page_alloc(0, LOCAL, &vm);
	for (unsigned int i = 0; i < 2; i++) {
		mem_owner_init(&vcpu[i], (uint16_t)(311 + i));
		vcpu[i].parent = &vm;
		assert_int_equal(asi_create(ASI_GUEST_VCPU, &vcpu[i], &asi[i]), 0);
		own[i] = page_alloc(0, LOCAL, &vcpu[i]);
	}
	after = page_alloc(PAGEBLOCK_ORDER, LOCAL, &vm);
	for (unsigned int i = 0; i < 2; i++) {
		assert_true(maps_local(asi[i], before) && maps_local(asi[i], after));
		assert_true(maps_local(asi[i], own[i]));
		assert_false(maps_local(asi[i], own[!i]));
		assert_false(maps_local(vms[0], own[i]) || maps_local(vms[0], before));
	}
	assert_int_equal(violations(), 0);

	/* Whoever is in one of them when the VM's memory goes reads it no more. */
	asi_enter(asi[1]);
	asi_relax();
	fake_mmu_unmapped(asi[0]->pt.root);
	fake_mmu_unmapped(asi[1]->pt.root);
	page_free(after, PAGEBLOCK_ORDER);
	page_free(before, 0);
	mem_owner_destroy(&vm);
	for (unsigned int i = 0; i < 2; i++)
		assert_false(maps_local(asi[i], before) || maps_local(asi[i], after));
	assert_true(fake_mmu_is_fresh());
	assert_int_equal(violations(), 0);
	asi_exit();
	for (unsigned int i = 0; i < 2; i++) {
		page_free(own[i], 0);
		mem_owner_destroy(&vcpu[i]);
		asi_put(asi[i]);
	}
	/* Three owners leave a table of local vmalloc each in the unrestricted space. */
	assert_in_range(memory_used() - used, 2, 3);
}

/* A CPU that waits maps what is GLOBAL and nobody's LOCAL memory. */
static void test_idle_domain(void **state)
{
	void *local = page_alloc(0, LOCAL, &fake_owners[0]), *global = page_alloc(0, GLOBAL, NULL);
	struct asi_surface surface;
	struct asi *idle;

	(void)state;
	assert_int_equal(asi_create(ASI_IDLE, NULL, &idle), 0);
	assert_false(asi_runs_guest(idle));
	assert_false(maps_local(idle, local));
	assert_true(ptable_walk(&idle->pt, DIRECTMAP_BASE + hva_to_hpa(global).v).present);
	asi_surface(idle, &surface);
	assert_int_equal(surface.local, 0);
	asi_enter(idle);
	assert_int_equal(asi_current()->id, ASI_IDLE_ID);
	asi_relax();
	asi_exit();
	assert_int_equal(violations(), 0);
	asi_put(idle);
	page_free(local, 0);
	page_free(global, 0);
}

/* What critical sections reach must be mapped to the last byte; without ASI there is nothing to ask. */
static void test_require_mapped(void **state)
{
	void *local = page_alloc(0, LOCAL, &fake_owners[0]);
	const char *va = (const char *)LOCALMAP_BASE + hva_to_hpa(local).v;
	const char *block = (const char *)ALIGN_DOWN((uint64_t)va, PAGEBLOCK_SIZE);

	(void)state;
	asi_require_mapped(vms[0], block, PAGEBLOCK_SIZE, "all of its block");
	asi_require_mapped(NULL, NULL, 1, "nothing");
	expect_assert_failure(asi_require_mapped(vms[1], va, 1, "another's"));
	expect_assert_failure(asi_require_mapped(vms[0], block + 1, PAGEBLOCK_SIZE, "a byte more"));
	fake_irqs_on = false;
	page_free(local, 0);
}

/* The domain lives as long as anyone has it; only the last put ends it. */
static void test_references(void **state)
{
	struct mem_owner owner;
	struct asi *asi;

	(void)state;
	mem_owner_init(&owner, 320);
	assert_int_equal(asi_create(ASI_GUEST_VM, &owner, &asi), 0);
	assert_ptr_equal(asi_get(asi), asi);
	assert_ptr_equal(asi_get(asi), asi);
	for (unsigned int i = 0; i < 2; i++) {
		asi_put(asi);
		assert_ptr_equal(asi_domains[320], asi);
	}
	asi_enter(asi);
	asi_relax();
	asi_put(asi); /* relaxed in it: leaves first */
	assert_null(asi_domains[320]);
	assert_null(asi_current());
	assert_null(asi_get(NULL));
}

/* A class with the wrong kind of owner, and one that does not exist. */
static void create_wrong(enum asi_class_id class, struct mem_owner *owner)
{
	struct asi *asi;

	assert_int_equal(asi_create(class, owner, &asi), 0);
}

static void test_wrong_class(void **state)
{
	struct mem_owner vm, vcpu;

	(void)state;
	mem_owner_init(&vm, 330);
	mem_owner_init(&vcpu, 331);
	vcpu.parent = &vm;
	expect_assert_failure(create_wrong(ASI_GUEST_VM, NULL));
	expect_assert_failure(create_wrong(ASI_GUEST_VM, &vcpu));
	expect_assert_failure(create_wrong(ASI_GUEST_VCPU, &vm));
	expect_assert_failure(create_wrong(ASI_IDLE, &vm));
	expect_assert_failure(create_wrong(ASI_CLASS_NR, &vm));
}

/* A creation that would lose memory already given out, or a second one, is an assertion. */
static void create_again(unsigned int i)
{
	struct asi *asi;

	assert_int_equal(asi_create(ASI_GUEST_VM, &fake_owners[i], &asi), 0);
}

static void test_misuse(void **state)
{
	void *page = page_alloc(0, LOCAL, &fake_owners[0]);

	(void)state;
	expect_assert_failure(create_again(0));
	expect_assert_failure(asi_put(vms[0]));
	vms[0]->refs = 1;
	expect_assert_failure(pageblock_expose(HPA(0), 1, SENSITIVE, NULL));
	expect_assert_failure(pageblock_expose(HPA(0), 1, LOCAL, NULL));
	expect_assert_failure(pageblock_hide(HPA(0), 1, SENSITIVE, NULL));
	fake_irqs_on = false;
	page_free(page, 0);
	assert_int_equal(violations(), 0);
}

/* What all domains share is shared indeed: what the host adds later is there at once, in its owner's. */
static void test_shared_regions(void **state)
{
	static const uint64_t shared[] = { PAGE_ARRAY_BASE + GiB(2), VMALLOC_GLOBAL_BASE + MiB(4),
					   PERCPU_BASE + GiB(1), DEVICE_BASE + GiB(5) };
	static const uint64_t hidden[] = { VMALLOC_SENSITIVE_BASE, PERCPU_SENSITIVE_BASE + GiB(1),
					   IMAGE_BASE + GiB(1) };

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(shared) + ARRAY_SIZE(hidden) + VMS; i++) {
		unsigned int local = i - ARRAY_SIZE(shared) - ARRAY_SIZE(hidden);
		uint64_t va = i < ARRAY_SIZE(shared) ? shared[i]
			      : i < ARRAY_SIZE(shared) + ARRAY_SIZE(hidden)
				      ? hidden[i - ARRAY_SIZE(shared)]
				      : VMALLOC_LOCAL_BASE + (local + 1) * GiB(1);

		fake_map(hostmap_ptable(), va, MiB(800), PROT_RW);
		for (unsigned int vm = 0; vm < VMS; vm++)
			assert_int_equal(ptable_walk(&vms[vm]->pt, va).present,
					 i < ARRAY_SIZE(shared) || vm == local);
		ptable_unmap(hostmap_ptable(), va, PAGE_SIZE);
		note_flushes();
		for (unsigned int vm = 0; vm < VMS; vm++)
			assert_false(ptable_walk(&vms[vm]->pt, va).present);
	}
}

/* The self page of each space: its own frame, which says whose it is, and read-only. */
static void test_self_page(void **state)
{
	struct pt_walk host = ptable_walk(hostmap_ptable(), SELF_PAGE);

	(void)state;
	assert_true(host.present && !(host.rights & PTE_W));
	assert_int_equal(((struct self_page *)hpa_to_direct(host.hpa))->domain, 0);
	for (unsigned int i = 0; i < VMS; i++) {
		struct pt_walk w = ptable_walk(&vms[i]->pt, SELF_PAGE);

		assert_true(w.present && !(w.rights & PTE_W) && w.rights & PTE_NX);
		assert_int_equal(((struct self_page *)hpa_to_direct(w.hpa))->domain,
				 fake_owners[i].id);
	}
}

/* With ASI off, changes of class touch no table. */
static void test_off(void **state)
{
	void *page;

	(void)state;
	switch_init(false);
	page = page_alloc(PAGEBLOCK_ORDER + 2, LOCAL, &fake_owners[1]);
	assert_non_null(page);
	assert_false(maps(vms[1], LOCALMAP_BASE, hva_to_hpa(page)));
	page_free(page, PAGEBLOCK_ORDER + 2);
	mem_owner_destroy(&fake_owners[1]);
	switch_init(true);
	assert_int_equal(violations(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_self_page),
		cmocka_unit_test(test_shared_regions),
		cmocka_unit_test(test_vcpu_domains),
		cmocka_unit_test(test_idle_domain),
		cmocka_unit_test(test_require_mapped),
		cmocka_unit_test(test_references),
		cmocka_unit_test(test_wrong_class),
		cmocka_unit_test(test_misuse),
		cmocka_unit_test(test_off),
		cmocka_unit_test(test_hide_flushes),
		cmocka_unit_test(test_random_walk),
		cmocka_unit_test(test_create_fails),
		cmocka_unit_test(test_create_first),
	};

	seed_start(7);
	return cmocka_run_group_tests(tests, map_setup, map_teardown);
}
