/* SPDX-License-Identifier: MIT */
/* Planting secrets, searching each domain for them, and judging what was found. */
#include "asi/secrets.h"
#include "arch/insn.h"
#include "arch/percpu.h"
#include "asi/audit_rules.h"
#include "asi/secrets_search.h"
#include "lib/assert.h"
#include "lib/bitops.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "mm/buddy.h"
#include "mm/hostmap.h"
#include "mm/kmalloc.h"
#include "mm/percpu.h"
#include "mm/quarantine.h"
#include "mm/slab.h"
#include "mm/vmalloc.h"

#define STACK_SIZE 8192
#define OFFSET	   1003 /* of a secret in a page: no alignment that a search by words would do with */

/* How what was allocated for a secret is freed. */
enum release { KEEP, PAGE, KMALLOC, VMALLOC };

struct secret {
	uint8_t *at;
	const char *what;
	const struct mem_owner *owner;
	bool any; /* every domain may find it */
	enum release release;
	void *memory;
};

static struct secret *secrets;
static struct secrets_search *search; /* GLOBAL */
static uint64_t random_state;

/* What is planted in data of the hypervisor's own, beside the state above. */
static uint8_t in_bss[SECRET_SIZE];
static uint8_t in_data[SECRET_SIZE] = { 1 };
static __percpu_sensitive uint8_t in_percpu[SECRET_SIZE];
static struct slab_cache cache;
static void *slab_object, *percpu_object;
static struct ptable table;

/* splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014). */
static uint64_t next_random(void)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static bool has_zero_byte(uint64_t v)
{
	return ((v - 0x0101010101010101) & ~v & 0x8080808080808080) != 0;
}

int secrets_begin(uint64_t seed)
{
	char *stack;

	search = kzalloc(sizeof(*search), GLOBAL, NULL);
	secrets = vmalloc(SECRETS_MAX * sizeof(*secrets), SENSITIVE, NULL);
	stack = vmalloc(STACK_SIZE, GLOBAL, NULL);
	if (!search || !secrets || !stack) {
		kfree(search);
		vfree(secrets);
		vfree(stack);
		return -ENOMEM;
	}
	stack_init(&search->stack, stack + STACK_SIZE);
	random_state = seed;
	log_info("secrets: seed 0x%lx", seed);
	search->key = next_random();
	do
		search->mark = next_random();
	while (has_zero_byte(search->mark ^ search->key));
	return 0;
}

/* In registers alone: a copy on this stack, which every space maps, would be found. */
static void write(uint8_t *at, uint64_t code)
{
	*(volatile any_u64 *)at = code ^ search->key;
}

static bool stands(uint32_t i)
{
	const volatile any_u64 *at = (const any_u64 *)secrets[i].at;

	return (at[0] ^ search->key) == search->mark && (at[1] ^ search->key) == search->own[i];
}

static struct secret *plant(void *at, const char *what, const struct mem_owner *owner)
{
	struct secret *s = &secrets[search->nr];

	ASSERT(search->nr < SECRETS_MAX);
	*s = (struct secret){ .at = at, .what = what, .owner = owner };
	search->own[search->nr] = next_random();
	write(s->at, search->mark);
	write(s->at + 8, search->own[search->nr]);
	search->nr++;
	return s;
}

void secrets_plant(void *at, const char *what, const struct mem_owner *owner)
{
	plant(at, what, owner);
}

static int plant_allocated(uint8_t *memory, uint64_t offset, enum release release, const char *what,
			   enum mem_class class, const struct mem_owner *owner)
{
	struct secret *s;

	if (!memory)
		return -ENOMEM;
	s = plant(memory + offset, what, owner);
	s->any = class == GLOBAL;
	s->release = release;
	s->memory = memory;
	return 0;
}

int secrets_plant_class(enum mem_class class, struct mem_owner *owner)
{
	void *freed, *deferred;
	int err;

	err = plant_allocated(page_alloc(0, class, owner), OFFSET, PAGE, "a page", class, owner);
	if (!err)
		err = plant_allocated(kmalloc(100, class, owner), 3, KMALLOC, "a kmalloc object",
				      class, owner);
	if (!err)
		err = plant_allocated(vmalloc(2 * PAGE_SIZE, class, owner), PAGE_SIZE - 5, VMALLOC,
				      "a vmalloc area", class, owner);
	/* Both at once, so that the second is not the first. */
	freed = page_alloc(0, class, owner);
	deferred = page_alloc(0, class, owner);
	if (!err)
		err = plant_allocated(freed, OFFSET, KEEP, "a freed page", class, owner);
	if (!err)
		err = plant_allocated(deferred, OFFSET, KEEP, "a page in quarantine", class, owner);
	if (freed)
		page_free(freed, 0);
	if (deferred)
		page_free_deferred(deferred, 0);
	return err;
}

int secrets_plant_machine(void)
{
	int err = ptable_init(&table, &pt_host_format, SENSITIVE, NULL);

	slab_cache_init(&cache, "secrets", 96, 0, SENSITIVE, NULL);
	slab_object = slab_alloc(&cache);
	percpu_object = percpu_alloc(SECRET_SIZE, 8, SENSITIVE);
	if (err || !slab_object || !percpu_object)
		return -ENOMEM;
	plant((uint8_t *)hpa_to_direct(table.root) + OFFSET, "a page table", NULL);
	plant((uint8_t *)slab_object + 1, "a slab object", NULL);
	plant(percpu_this(percpu_object), "dynamic per-CPU data", NULL);
	plant(this_cpu_sensitive(in_percpu), "static per-CPU data", NULL);
	plant(in_data, "static data", NULL);
	plant(in_bss, "zeroed static data", NULL);
	return 0;
}

/* Adjacent leaves make one range, so that what crosses from one to the next is seen. */
static bool add_leaf(const struct pt_leaf *leaf, void *arg)
{
	uint64_t *next = arg;
	uint32_t n = search->nr_ranges;

	/* Registers of devices are no memory, and not to be read by bytes. */
	if (!leaf->present || audit_region(leaf->va) == REGION_DEVICE)
		return true;
	if (n && (uint64_t)search->range[n - 1].start + search->range[n - 1].len == leaf->va) {
		search->range[n - 1].len += leaf->size;
		return true;
	}
	if (n == SEARCH_RANGES) {
		*next = leaf->va;
		return false;
	}
	search->range[n].start = (const uint8_t *)leaf->va;
	search->range[n].len = leaf->size;
	search->nr_ranges++;
	return true;
}

/* By the MMU, in the domain's space, on GLOBAL memory and a GLOBAL stack. Whether it has been there. */
bool secrets_search_here(struct secrets_search *s)
{
	uint64_t flags = irq_save();
	struct asi *asi = s->domain;
	bool inside;

	asi_enter(asi);
	for (uint32_t i = 0; i < s->nr_ranges; i++)
		secrets_search_range(s, s->range[i].start, s->range[i].len);
	inside = asi_self() == asi->id;
	asi_relax();
	asi_exit();
	irq_restore(flags);
	return inside;
}

/* Bytes searched; 0 if the search was not where it should be. */
static uint64_t search_space(struct asi *asi)
{
	uint64_t va = 0, bytes = 0;
	bool all;

	search->domain = asi;
	search->parts = 0;
	for (uint32_t i = 0; i < search->nr; i++)
		search->found[i] = 0;
	do {
		search->nr_ranges = 0;
		all = ptable_for_each(&asi->pt, va, 0, add_leaf, &va);
		if (!secrets_search_on_stack(search, &search->stack))
			return 0;
		for (uint32_t i = 0; i < search->nr_ranges; i++)
			bytes += search->range[i].len;
	} while (!all);
	return bytes;
}

/* Where the domain has it, and what of ours that is. */
static void report_leak(const struct asi *asi, uint32_t i)
{
	uint64_t va = (uint64_t)search->at[i];
	const struct secret *s = &secrets[i];
	const struct slab_cache *c = slab_cache_of(search->at[i]);
	void *area;
	size_t len;

	log_error("secrets: domain %u finds what was planted in %s of owner %u at 0x%lx: "
		  "at 0x%lx (%s)%s%s%s",
		  asi->id, s->what, s->owner ? s->owner->id : 0, (uint64_t)s->at, va,
		  hostmap_region(va), c ? ", slab " : "", c ? c->name : "",
		  vmalloc_area_of(search->at[i], &area, &len) ? ", in a live area" : "");
}

/* What one domain may find, does find, and must not. */
struct verdict {
	uint64_t standing, own, own_found, found;
};

static struct verdict judge(const struct asi *asi)
{
	struct verdict v = { .found = search->parts };

	if (search->parts)
		log_error("secrets: domain %u finds a part of one at 0x%lx", asi->id,
			  search->part_at);
	for (uint32_t i = 0; i < search->nr; i++) {
		const struct secret *s = &secrets[i];
		bool mine = s->any || (s->owner && asi_maps_owner(asi, s->owner));
		/* Its guest may have overwritten its RAM, and freed memory has new users. */
		bool there = stands(i);

		v.standing += there;
		if (!mine) {
			v.found += search->found[i] != 0;
			if (search->found[i])
				report_leak(asi, i);
		} else if (there && ptable_walk(&asi->pt, (uint64_t)s->at).present) {
			v.own++;
			v.own_found += search->found[i] != 0;
			if (!search->found[i])
				log_error("secrets: domain %u does not find its own in %s at 0x%lx",
					  asi->id, s->what, (uint64_t)s->at);
		}
	}
	return v;
}

uint64_t secrets_search_domain(struct asi *asi, const char *when)
{
	uint64_t begin = rdtsc(), bytes = search_space(asi);
	struct verdict v = judge(asi);

	log_info("@secrets {\"when\":\"%s\",\"domain\":%u,\"planted\":%u,\"standing\":%lu,"
		 "\"bytes\":%lu,\"own\":%lu,\"own_found\":%lu,\"found\":%lu,\"ticks\":%lu}",
		 when, asi->id, search->nr, v.standing, bytes, v.own, v.own_found, v.found,
		 rdtsc() - begin);
	return v.found + v.own - v.own_found + !bytes + !v.own;
}

uint64_t secrets_search(const char *when)
{
	struct asi *asi;
	uint64_t wrong = 0;

	for_each_domain (asi)
		wrong += secrets_search_domain(asi, when);
	return wrong;
}

static void release(const struct secret *s)
{
	switch (s->release) {
	case PAGE:
		page_free(s->memory, 0);
		break;
	case KMALLOC:
		kfree(s->memory);
		break;
	case VMALLOC:
		vfree(s->memory);
		break;
	case KEEP:
		break;
	}
}

void secrets_end(void)
{
	for (uint32_t i = 0; i < search->nr; i++) {
		if (stands(i)) {
			volatile any_u64 *at = (any_u64 *)secrets[i].at;

			at[0] = at[1] = 0;
		}
		release(&secrets[i]);
	}
	if (cache.name) {
		slab_free(&cache, slab_object);
		slab_cache_destroy(&cache);
		cache.name = NULL;
	}
	if (table.nr_tables)
		ptable_destroy(&table);
	percpu_free(percpu_object);
	slab_object = percpu_object = NULL;
	vfree(secrets);
	vfree((char *)search->stack.top - STACK_SIZE);
	kfree(search);
}
