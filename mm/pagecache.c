/* SPDX-License-Identifier: MIT */
/* What the per-CPU page caches do rarely: refill, spill, drain. */
#include "lib/bitops.h"
#include "mm/pagecache.h"
#include "mm/pool.h"

__percpu struct pagecache pagecache;

/* Gives back the @n coldest, those at once that were freed in a row; the lock is held. */
static void give_coldest(struct pagecache *c, enum mem_class class, uint32_t n)
{
	struct page **page = c->page[class];
	uint32_t nr = c->nr[class], row;

	for (uint32_t i = 0; i < n; i += row) {
		for (row = 0; i + row < n && page[i + row] == page[i] + row; row++)
			ASSERT(page[i + row]->state == PAGE_CACHED);
		pool_give_some(&buddy.pools[class], page[i], row);
	}
	for (uint32_t i = n; i < nr; i++)
		page[i - n] = page[i];
	__atomic_store_n(&c->nr[class], nr - n, __ATOMIC_RELAXED);
}

/* Gives back all, and begins anew; false if there were none. The lock is held. */
static bool start_over(struct pagecache *c)
{
	bool any = false;

	for (enum mem_class class = SENSITIVE; class < LOCAL; class ++) {
		any |= c->nr[class] != 0;
		give_coldest(c, class, c->nr[class]);
	}
	if (!c->listed) {
		c->next = buddy.caches;
		buddy.caches = c;
		c->listed = true;
	}
	__atomic_store_n(&c->limit, c->off ? 0 : PAGECACHE_MAX, __ATOMIC_RELAXED);
	return any;
}

/* A batch from the pool, as far as it has free runs. The lock is held. */
static void fill(struct pagecache *c, enum mem_class class)
{
	uint32_t nr = c->nr[class];
	struct page *run;

	while (nr < PAGECACHE_BATCH &&
	       (run = pool_take_some(&buddy.pools[class], PAGECACHE_BATCH - nr))) {
		/* The first page on top: what is taken in a row lies in a row, and may return so. */
		for (uint32_t i = 1U << run->order; i--;) {
			run[i].order = 0;
			page_set_state(&run[i], PAGE_CACHED);
			c->page[class][nr++] = &run[i];
		}
	}
	pool_note_peak(&buddy.pools[class]);
	__atomic_store_n(&c->nr[class], nr, __ATOMIC_RELAXED);
}

void pagecache_refill(enum mem_class class)
{
	uint64_t flags = spin_lock(&buddy.lock);
	struct pagecache *c = this_cpu_ptr(pagecache);

	if (c->limit)
		fill(c, class);
	else
		start_over(c);
	spin_unlock(&buddy.lock, flags);
}

void pagecache_spill(enum mem_class class)
{
	uint64_t flags = spin_lock(&buddy.lock);
	struct pagecache *c = this_cpu_ptr(pagecache);

	if (c->limit)
		give_coldest(c, class, MIN(c->nr[class], PAGECACHE_BATCH));
	else
		start_over(c);
	spin_unlock(&buddy.lock, flags);
}

bool pagecache_drain(void)
{
	uint64_t flags = spin_lock(&buddy.lock);
	struct pagecache *c = this_cpu_ptr(pagecache);
	bool any = start_over(c);

	for (struct pagecache *other = buddy.caches; other; other = other->next)
		if (other != c)
			__atomic_store_n(&other->limit, 0, __ATOMIC_RELAXED);
	spin_unlock(&buddy.lock, flags);
	return any;
}

void pagecache_enable(bool on)
{
	this_cpu(pagecache.off) = !on;
	pagecache_drain();
}

void pagecache_retire(void)
{
	struct pagecache **at = &buddy.caches, *c = this_cpu_ptr(pagecache);
	uint64_t flags;

	pagecache_enable(false);
	flags = spin_lock(&buddy.lock);
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->listed = false;
	spin_unlock(&buddy.lock, flags);
}

uint64_t pagecache_count(enum mem_class class)
{
	uint64_t sum = 0;

	for (const struct pagecache *c = buddy.caches; c; c = c->next)
		sum += __atomic_load_n(&c->nr[class], __ATOMIC_RELAXED);
	return sum;
}
