/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer on the memory manager: bytes become a sequence of operations on all allocators, owners and
 * domains, over the real asi/map.c. After each step every domain must map what the model, and the tags,
 * say. An input ends with everything given back.
 *
 * An operation is three bytes: what, which thing, how. It makes the thing if it is not there, and ends it
 * if it is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "arch/insn.h"
#include "asi/internal.h"
#include "lib/assert.h"
#include "lib/bitops.h"
#include "mm/buddy.h"
#include "mm/memmap.h"
#include "mm/slab.h"
#include "mm/vmalloc.h"
#include "unittests/fake/machine.h"
#include "unittests/fake/mmu.h"

#define VMS    4
#define WHOSE  (LOCAL + VMS) /* SENSITIVE, GLOBAL, and each VM */
#define THINGS 64
#define BLOCKS ((GiB(1) + MiB(16)) / PAGEBLOCK_SIZE)
#define MARK   0x5e00000000000000UL

enum kind { NOTHING, RUN, OBJECT, AREA };

struct thing {
	enum kind kind;
	unsigned int whose, order, cache;
	uint64_t *hva, *words; /* as returned; its bytes in RAM, by either alias */
	uint64_t mark;
};

static const size_t object_size[] = { 24, 200, 2000 };
#define CACHES ARRAY_SIZE(object_size)

static struct thing things[THINGS];
static struct asi *vms[VMS];
static struct slab_cache caches[WHOSE][CACHES];
static uint64_t next_mark;
/* The model: how many things are in a block, and whose they are. */
static struct {
	unsigned int nr, whose;
} blocks[BLOCKS];

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A failed assertion of the sources under test is a find; this is what fake/cpu.c calls. */
void mock_assert(const int result, const char *const expression, const char *const file,
		 const int line)
{
	if (result)
		return;
	fprintf(stderr, "%s:%d: %s\n", file, line, expression);
	abort();
}

static enum mem_class class_of(unsigned int whose)
{
	return whose < LOCAL ? (enum mem_class)whose : LOCAL;
}

static struct mem_owner *owner_of(unsigned int whose)
{
	return whose < LOCAL ? NULL : &fake_owners[whose - LOCAL];
}

static uint64_t memory_used(void)
{
	struct buddy_stats s;

	buddy_get_stats(&s);
	return s.total_pages - s.free_pages[SENSITIVE] - s.free_pages[GLOBAL] - s.free_pages[LOCAL];
}

/* The blocks of [@hpa, @hpa + @len) have a thing more, or one less. */
static void model(hpa_t hpa, uint64_t len, unsigned int whose, bool more)
{
	for (uint64_t b = hpa.v / PAGEBLOCK_SIZE; b <= (hpa.v + len - 1) / PAGEBLOCK_SIZE; b++) {
		ASSERT(!blocks[b].nr || blocks[b].whose == whose);
		blocks[b].whose = whose;
		blocks[b].nr += more ? 1U : -1U;
	}
}

static bool maps(const struct asi *asi, uint64_t window, hpa_t hpa)
{
	struct pt_walk w = ptable_walk(&asi->pt, window + hpa.v);

	ASSERT(w.present ? w.hpa.v == hpa.v : w.entry == PTE_ABSENT);
	return w.present;
}

/* Each domain maps each block of RAM if, and only if, its tag says so; and the tag is the model's. */
static void check_domains(void)
{
	const struct memrange *r;

	for (unsigned int i = 0; (r = memmap_ram(i)); i++) {
		for (uint64_t at = ALIGN_DOWN(r->start, PAGEBLOCK_SIZE); at < r->end;
		     at += PAGEBLOCK_SIZE) {
			const struct pageblock *tag = pfn_to_pageblock(at / PAGE_SIZE);
			unsigned int whose = blocks[at / PAGEBLOCK_SIZE].whose;

			if (blocks[at / PAGEBLOCK_SIZE].nr)
				ASSERT(tag->class == class_of(whose) &&
				       tag->owner == owner_of(whose));
			for (unsigned int vm = 0; vm < VMS; vm++) {
				if (!vms[vm])
					continue;
				ASSERT(maps(vms[vm], DIRECTMAP_BASE, HPA(at)) ==
				       (tag->class == GLOBAL));
				ASSERT(maps(vms[vm], LOCALMAP_BASE, HPA(at)) ==
				       (tag->class == LOCAL && tag->owner == &fake_owners[vm]));
			}
		}
	}
}

/* The pages of an area are seen by whom they belong to, and nobody else. */
static void check_area(const struct thing *t)
{
	for (unsigned int vm = 0; vm < VMS; vm++)
		if (vms[vm])
			ASSERT(ptable_walk(&vms[vm]->pt, (uint64_t)t->hva).present ==
			       (t->whose == GLOBAL || t->whose == LOCAL + vm));
}

static void make(struct thing *t, enum kind kind, uint8_t how)
{
	*t = (struct thing){ .whose = how % WHOSE };
	if (t->whose >= LOCAL && !vms[t->whose - LOCAL])
		return;
	how /= WHOSE;
	t->cache = how % CACHES;
	t->order = how % (PAGEBLOCK_ORDER + 3);
	if (kind == RUN) {
		t->hva = t->words = page_alloc(t->order, class_of(t->whose), owner_of(t->whose));
	} else if (kind == OBJECT) {
		t->hva = t->words = slab_alloc(&caches[t->whose][t->cache]);
	} else {
		t->hva = vmalloc((how + 1) * 777UL, class_of(t->whose), owner_of(t->whose));
		t->words = t->hva ? hpa_to_direct(hostmap_vlookup(t->hva)) : NULL;
	}
	if (!t->hva)
		return;
	t->kind = kind;
	if (kind == AREA)
		ASSERT(*t->words == 0);
	model(hva_to_hpa(t->words), kind == RUN ? PAGE_SIZE << t->order : 8, t->whose, true);
	ASSERT(*t->words >> 56 != MARK >> 56 || (*t->words & 0xff) == t->whose);
	t->mark = MARK | ++next_mark << 8 | t->whose;
	*t->words = t->mark;
}

static void end(struct thing *t)
{
	ASSERT(*t->words == t->mark);
	model(hva_to_hpa(t->words), t->kind == RUN ? PAGE_SIZE << t->order : 8, t->whose, false);
	if (t->kind == RUN)
		page_free(t->hva, t->order);
	else if (t->kind == OBJECT)
		slab_free(&caches[t->whose][t->cache], t->hva);
	else
		vfree(t->hva);
	t->kind = NOTHING;
}

static void caches_init(unsigned int whose)
{
	for (unsigned int c = 0; c < CACHES; c++)
		slab_cache_init(&caches[whose][c], "fuzz", object_size[c], 0, class_of(whose),
				owner_of(whose));
}

static void caches_destroy(unsigned int whose)
{
	for (unsigned int c = 0; c < CACHES; c++)
		slab_cache_destroy(&caches[whose][c]);
}

static void vm_begin(unsigned int vm)
{
	if (asi_create(ASI_GUEST_VM, &fake_owners[vm], &vms[vm]) == 0)
		caches_init(LOCAL + vm);
}

static void vm_end(unsigned int vm)
{
	for (unsigned int i = 0; i < THINGS; i++)
		if (things[i].kind && things[i].whose == LOCAL + vm)
			end(&things[i]);
	caches_destroy(LOCAL + vm);
	vmalloc_owner_end(&fake_owners[vm]);
	mem_owner_destroy(&fake_owners[vm]);
	asi_put(vms[vm]);
	vms[vm] = NULL;
}

static void step(uint8_t what, uint8_t which, uint8_t how)
{
	struct thing *t = &things[which % THINGS];
	unsigned int vm = which % VMS;

	switch (what % 8) {
	case 0: /* a domain comes or goes */
		if (vms[vm])
			vm_end(vm);
		else
			vm_begin(vm);
		break;
	case 1: /* a CPU goes in or out */
		if (how % 2)
			asi_enter(vms[vm]);
		asi_relax();
		if (!(how % 2))
			asi_exit();
		break;
	case 2: /* memory will run out */
		buddy_fail_after(how % 8);
		break;
	default:
		if (t->kind)
			end(t);
		else
			make(t, (enum kind)(RUN + what % 3), how);
		if (t->kind == AREA)
			check_area(t);
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fake_machine_setup(NULL);
	fake_irqs_on = false;
	/* Until the cache of domains has all that it keeps for good. */
	for (int i = 0; i < 100; i++) {
		vm_begin(0);
		vm_end(0);
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t used, tables = hostmap_ptable()->nr_tables;

	for (unsigned int whose = 0; whose < LOCAL; whose++)
		caches_init(whose);
	slab_trim(GLOBAL, NULL);
	used = memory_used();
	for (size_t i = 0; i + 3 <= size; i += 3) {
		step(data[i], data[i + 1], data[i + 2]);
		check_domains();
	}
	buddy_fail_after(0);
	asi_relax();
	asi_exit();
	for (unsigned int vm = 0; vm < VMS; vm++)
		if (vms[vm])
			vm_end(vm);
	for (unsigned int i = 0; i < THINGS; i++)
		if (things[i].kind)
			end(&things[i]);
	for (unsigned int whose = 0; whose < LOCAL; whose++)
		caches_destroy(whose);
	vmalloc_flush();
	slab_trim(GLOBAL, NULL);
	check_domains();
	/* Tables of vmalloc ranges stay for good, once made; everything else is back. */
	ASSERT(memory_used() - used == hostmap_ptable()->nr_tables - tables);
	return 0;
}
