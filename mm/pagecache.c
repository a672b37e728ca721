/* SPDX-License-Identifier: MIT */
/* What the per-CPU page caches do rarely: refill, spill, drain. */
#include "lib/bitops.h"
#include "mm/pagecache.h"
#include "mm/pool.h"

__percpu struct pagecache pagecache = { .last = (void *)1 };

static struct mem_pool *bin_pool(const struct pagecache *c, unsigned int n)
{
	/* The owner of an empty bin may be gone: this does not look into it. */
	return pool_of(MIN(n, LOCAL), c->bin[n].owner);
}

static void set_nr(struct pagecache *c, unsigned int n, uint32_t nr)
{
	__atomic_store_n(&c->bin[n].nr, nr, __ATOMIC_RELAXED);
}

/* Moves the page that bin @n gave last into the array if it is back. The lock is held. */
static void collect_last(struct pagecache *c, unsigned int n)
{
	struct pagecache_bin *bin = &c->bin[n];
	struct page *page = pagecache_last(bin);

	if (!page)
		return;
	ASSERT(bin->nr <= PAGECACHE_MAX);
	page_set_word(page, PAGE_WORD(PAGE_CACHED, 0));
	bin->page[bin->nr] = page;
	set_nr(c, n, bin->nr + 1);
}

/* Gives back the @nr coldest, those at once that were freed in a row; the lock is held. */
static void give_coldest(struct pagecache *c, unsigned int n, uint32_t nr)
{
	struct mem_pool *pool = bin_pool(c, n);
	struct page **page = c->bin[n].page;
	uint32_t all = c->bin[n].nr, row;

	for (uint32_t i = 0; i < nr; i += row) {
		for (row = 0; i + row < nr && page[i + row] == page[i] + row; row++)
			ASSERT(page[i + row]->state == PAGE_CACHED);
		pool_give_some(pool, page[i], row);
	}
	for (uint32_t i = nr; i < all; i++)
		page[i - nr] = page[i];
	set_nr(c, n, all - nr);
}

/* Gives back all of bin @n; the lock is held. */
static void give_all(struct pagecache *c, unsigned int n)
{
	collect_last(c, n);
	give_coldest(c, n, c->bin[n].nr);
}

/* Gives back all, and begins anew; false if there were none. The lock is held. */
static bool start_over(struct pagecache *c)
{
	bool any = false;

	for (unsigned int n = 0; n < PAGECACHE_BINS; n++) {
		any |= pagecache_nr(&c->bin[n]) != 0;
		give_all(c, n);
		/* The same each time: a CPU keeps its number. */
		c->bin[n].number = this_cpu(cpu_number) * PAGECACHE_BINS + n + 1;
	}
	if (!c->listed) {
		c->next = buddy.caches;
		buddy.caches = c;
		c->listed = true;
	}
	__atomic_store_n(&c->limit, c->off ? 0 : PAGECACHE_MAX, __ATOMIC_RELAXED);
	return any;
}

/* Makes bin @n that of @owner if it may be; the lock is held. */
static bool claim_bin(struct pagecache *c, unsigned int n, struct mem_owner *owner)
{
	struct pagecache_bin *bin = &c->bin[n];

	if (!pagecache_bin_is(bin, owner)) {
		if (pagecache_nr(bin) && ++bin->missed < PAGECACHE_PATIENCE)
			return false;
		give_all(c, n);
		__atomic_store_n(&bin->owner, owner, __ATOMIC_RELAXED);
	}
	bin->missed = 0;
	return true;
}

/* A batch from the pool, as far as it has free runs. The lock is held. */
static void fill(struct pagecache *c, unsigned int n)
{
	struct mem_pool *pool = bin_pool(c, n);
	uint32_t nr = c->bin[n].nr;
	struct page *run;

	while (nr < PAGECACHE_BATCH && (run = pool_take_some(pool, PAGECACHE_BATCH - nr))) {
		/* The first page on top: what is taken in a row lies in a row, and may return so. */
		for (uint32_t i = 1U << run->order; i--;) {
			run[i].order = 0;
			page_set_state(&run[i], PAGE_CACHED);
			c->bin[n].page[nr++] = &run[i];
		}
	}
	pool_note_peak(pool);
	set_nr(c, n, nr);
}

bool pagecache_refill(enum mem_class class, struct mem_owner *owner)
{
	unsigned int n = pagecache_bin(class, owner);
	uint64_t flags = spin_lock(&buddy.lock);
	struct pagecache *c = this_cpu_ptr(pagecache);
	bool mine = false;

	if (!c->limit)
		start_over(c);
	else
		mine = claim_bin(c, n, owner);
	if (mine)
		fill(c, n);
	spin_unlock(&buddy.lock, flags);
	return mine;
}

bool pagecache_spill(const struct pageblock *block)
{
	unsigned int n = block->bin;
	uint64_t flags = spin_lock(&buddy.lock);
	struct pagecache *c = this_cpu_ptr(pagecache);
	bool mine;

	if (!c->limit)
		start_over(c);
	mine = c->limit && claim_bin(c, n, block->owner);
	if (mine)
		give_coldest(c, n, MIN(c->bin[n].nr, PAGECACHE_BATCH));
	spin_unlock(&buddy.lock, flags);
	return mine;
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

void pagecache_drain_owner(struct mem_owner *owner)
{
	unsigned int n = pagecache_bin(LOCAL, owner);
	uint64_t flags = spin_lock(&buddy.lock);
	struct pagecache *mine = this_cpu_ptr(pagecache);

	for (struct pagecache *c = buddy.caches; c; c = c->next) {
		if (!pagecache_bin_is(&c->bin[n], owner))
			continue;
		if (c == mine)
			give_all(c, n);
		else if (pagecache_nr(&c->bin[n]))
			__atomic_store_n(&c->limit, 0, __ATOMIC_RELAXED);
	}
	spin_unlock(&buddy.lock, flags);
}

void pagecache_end_owner(struct mem_owner *owner)
{
	unsigned int n = pagecache_bin(LOCAL, owner);

	for (struct pagecache *c = buddy.caches; c; c = c->next) {
		if (!pagecache_bin_is(&c->bin[n], owner))
			continue;
		give_all(c, n);
		__atomic_store_n(&c->bin[n].owner, NULL, __ATOMIC_RELAXED);
	}
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

uint64_t pagecache_count(enum mem_class class, const struct mem_owner *owner)
{
	bool all_owners = class == LOCAL && !owner;
	unsigned int first = pagecache_bin(class, owner),
		     last = all_owners ? PAGECACHE_BINS - 1 : first;
	uint64_t sum = 0;

	for (const struct pagecache *c = buddy.caches; c; c = c->next)
		for (unsigned int n = first; n <= last; n++)
			if (all_owners || pagecache_bin_is(&c->bin[n], owner))
				sum += pagecache_nr(&c->bin[n]);
	return sum;
}
