/* SPDX-License-Identifier: MIT */
/*
 * Pageblocks that change class, and the owners that have some. pageblock_convert() is the one place
 * where memory changes class. All change is between SENSITIVE and another class.
 */
#include <stddef.h>
#include "arch/cpus.h"
#include "arch/insn.h"
#include "arch/trace.h"
#include "lib/assert.h"
#include "lib/bitops.h"
#include "mm/baduse.h"
#include "mm/pagecache.h"
#include "mm/quarantine.h"

/*
 * Idle blocks that a GLOBAL or LOCAL pool may keep before it returns some, so that a load that comes
 * and goes does not convert each time: 4, and an eighth of what the pool has, up to 16. It then keeps
 * a quarter of that, so that the next few blocks freed stay as well.
 */
#define IDLE_MIN   4
#define IDLE_MAX   16
#define IDLE_SHARE 8
#define IDLE_KEEP  4

/* Owners are on the list while they have blocks: one that never had, or has no more, may just vanish. */
static void owner_link(struct mem_owner *owner)
{
	owner->prev = NULL;
	owner->next = buddy.owners;
	if (owner->next)
		owner->next->prev = owner;
	buddy.owners = owner;
}

static void owner_unlink(struct mem_owner *owner)
{
	if (owner->prev)
		owner->prev->next = owner->next;
	else
		buddy.owners = owner->next;
	if (owner->next)
		owner->next->prev = owner->prev;
}

static void account_move(const struct pageblock *from, enum mem_class class,
			 struct mem_owner *owner, uint64_t nr_pages)
{
	struct mem_pool *old = pool_of(from->class, from->owner), *new = pool_of(class, owner);
	uint64_t nr_blocks = nr_pages >> PAGEBLOCK_ORDER;

	if (class == LOCAL && new->nr_pages == 0)
		owner_link(owner);
	old->nr_pages -= nr_pages;
	new->nr_pages += nr_pages;
	if (from->class == LOCAL && old->nr_pages == 0)
		owner_unlink(from->owner);
	old->converted_out += nr_blocks;
	new->converted_in += nr_blocks;
	buddy.stats.block_pages[from->class] -= nr_pages;
	buddy.stats.block_pages[class] += nr_pages;
	buddy.stats.conversions += nr_blocks;
	/* The last touch of the old owner: see mem_owner_destroy. */
	__atomic_fetch_sub(&old->nr_moving, nr_pages, __ATOMIC_RELEASE);
}

/* In a trace: @whose blocks these were, or are now. */
static uint32_t trace_conversion(const struct mem_owner *whose, bool to_sensitive, uint64_t nr)
{
	return trace_blocks(whose ? whose->id : 0, to_sensitive, nr);
}

/*
 * The order matters: nobody can reach the blocks while they are scrubbed, and nobody new before they
 * are clean.
 */
void pageblock_convert(struct page *run, enum mem_class class, struct mem_owner *owner)
{
	hpa_t first = pfn_to_hpa(page_to_pfn(run));
	struct pageblock *block = pfn_to_pageblock(page_to_pfn(run));
	const struct pageblock old = *block;
	uint64_t nr_pages = 1UL << run->order, nr_blocks = nr_pages >> PAGEBLOCK_ORDER, flags;
	/* Now: the old owner may be gone in the end. */
	uint32_t event = trace_conversion(class == SENSITIVE ? old.owner : owner,
					  class == SENSITIVE, nr_blocks);

	pageblock_leave_restricted();
	if (old.class != SENSITIVE)
		pageblock_hide(first, nr_blocks, old.class, old.owner);
	clear_words(hpa_to_direct(first), nr_blocks * PAGEBLOCK_SIZE);
	for (uint64_t i = 0; i < nr_blocks; i++) {
		block[i].class = (uint8_t) class;
		block[i].owner = owner;
		block[i].bin = (uint8_t)pagecache_bin(class, owner);
	}
	if (class != SENSITIVE)
		pageblock_expose(first, nr_blocks, class, owner);

	flags = spin_lock(&buddy.lock);
	account_move(&old, class, owner, nr_pages);
	spin_unlock(&buddy.lock, flags);
	trace_note(TRACE_CONVERSION, event);
}

/* Takes a run of whole free blocks, as long as it may be if @keep blocks are to stay. */
static struct page *pool_take_idle(struct mem_pool *pool, uint64_t keep)
{
	unsigned int order = PAGE_ORDER_MAX;

	if (pool->nr_free_blocks <= keep)
		return NULL;
	while (!pool->free[order])
		order--;
	while (pool->nr_free_blocks - ((1UL << order) >> PAGEBLOCK_ORDER) < keep)
		order--;
	return pool_take(pool, order);
}

/*
 * With the lock held, which it releases meanwhile: moves one idle run of @pool to SENSITIVE. An
 * owner that ends on another CPU waits until nr_moving is 0; after that its pool is not touched here.
 */
static bool pool_return_one(struct mem_pool *pool, uint64_t keep, uint64_t *flags)
{
	struct page *run = pool_take_idle(pool, keep);
	unsigned int order;

	if (!run)
		return false;
	order = run->order;
	__atomic_fetch_add(&pool->nr_moving, 1UL << order, __ATOMIC_RELAXED);
	spin_unlock(&buddy.lock, *flags);
	pageblock_convert(run, SENSITIVE, NULL);
	*flags = spin_lock(&buddy.lock);
	pool_give(&buddy.pools[SENSITIVE], run, order);
	return true;
}

/* Gives the idle blocks of a GLOBAL or LOCAL pool, but for @keep, back to SENSITIVE. */
static void pool_trim(struct mem_pool *pool, uint64_t keep)
{
	uint64_t flags = spin_lock(&buddy.lock);

	while (pool_return_one(pool, keep, &flags))
		;
	spin_unlock(&buddy.lock, flags);
}

static uint64_t idle_limit(const struct mem_pool *pool)
{
	return MIN(IDLE_MIN + (pool->nr_pages >> PAGEBLOCK_ORDER) / IDLE_SHARE, IDLE_MAX);
}

bool pool_has_surplus(const struct mem_pool *pool)
{
	/* No branch: which pool it is nobody can foresee. */
	return (pool != &buddy.pools[SENSITIVE]) & (pool->nr_free_blocks > idle_limit(pool));
}

void pool_trim_surplus(struct mem_pool *pool)
{
	uint64_t flags, keep;

	if (pool == &buddy.pools[SENSITIVE] || !tlb_can_wait())
		return;
	flags = spin_lock(&buddy.lock);
	keep = pool_has_surplus(pool) ? idle_limit(pool) / IDLE_KEEP : pool->nr_free_blocks;
	while (pool_return_one(pool, keep, &flags))
		;
	spin_unlock(&buddy.lock, flags);
}

bool pageblock_reclaim(void)
{
	uint64_t flags = spin_lock(&buddy.lock);
	struct mem_pool *pool = &buddy.pools[GLOBAL];
	struct mem_owner *owner = buddy.owners;
	bool any;

	while (!pool->nr_free_blocks && owner) {
		pool = &owner->pool;
		owner = owner->next;
	}
	any = pool_return_one(pool, 0, &flags);
	spin_unlock(&buddy.lock, flags);
	return any;
}

void mem_owner_init(struct mem_owner *owner, uint16_t id)
{
	if (id < 1 || id > OWNER_MAX)
		panic_caller(CALLER, "mem_owner_init: no owner can have number %u", id);
	*owner = (struct mem_owner){ .id = id };
}

/* Under pressure another CPU may be returning blocks of ours just now. */
static void wait_for_movers(const struct mem_pool *pool)
{
	while (__atomic_load_n(&pool->nr_moving, __ATOMIC_ACQUIRE)) {
		cpu_serve(); /* it hides them first, and waits for us */
		cpu_pause();
	}
}

void mem_owner_trim(struct mem_owner *owner)
{
	pagecache_drain_owner(owner);
	pool_trim(&owner->pool, 0);
	wait_for_movers(&owner->pool);
}

void mem_owner_destroy(struct mem_owner *owner)
{
	struct mem_pool *pool = &owner->pool;
	uint64_t flags = spin_lock(&buddy.lock), used;
	bool deferred = pool->nr_deferred != 0;

	spin_unlock(&buddy.lock, flags);
	if (deferred)
		quarantine_flush();
	flags = spin_lock(&buddy.lock);
	pagecache_end_owner(owner);
	used = pool->nr_pages - pool->nr_free - pool->nr_moving;
	spin_unlock(&buddy.lock, flags);
	if (used)
		panic_caller(CALLER, "owner %u ends with %lu pages in use", owner->id, used);
	pool_trim(pool, 0);
	/* The last blocks may have gone to a CPU under pressure meanwhile: it still writes our counters. */
	wait_for_movers(pool);
	ASSERT(pool->nr_pages == 0);
}
