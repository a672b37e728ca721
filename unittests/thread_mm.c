/* SPDX-License-Identifier: MIT */
/*
 * Several CPUs (threads) on all allocators at once, with real locks and atomics, under ThreadSanitizer.
 * What one allocates another frees. An owner map of single pages proves that no page is given to two;
 * marks in the contents, that nothing is seen by another class or owner, or by a later owner of the
 * same number.
 *
 * SECONDS=n bounds it, SEED=n repeats what each CPU asks for (not how they interleave).
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "arch/percpu.h"
#include "lib/assert.h"
#include "lib/bitops.h"
#include "mm/buddy.h"
#include "mm/pagecache.h"
#include "mm/memmap.h"
#include "mm/slab.h"
#include "mm/vmalloc.h"
#include "unittests/seed.h"

#define CPUS   4
#define RAM    MiB(24)
#define PAGES  (RAM / PAGE_SIZE)
#define OWNERS 5
#define GROUPS (LOCAL + OWNERS) /* SENSITIVE, GLOBAL, and each owner */
#define SLOTS  96		/* things of a group that live at a time */
#define CACHES 3

/* A mark says whose the contents are: this, the group's life, and something random. */
#define MARK	       (0xa5c3UL << 48)
#define MARK_LIFE(m)   ((m) >> 16 & 0xffffffff)
#define MARK_IS_ONE(m) ((m) >> 48 == MARK >> 48)

enum kind { PAGES_RUN, OBJECT, AREA, KINDS };

struct thing {
	enum kind kind;
	unsigned int order, cache;
	size_t words; /* of an object or an area */
	uint64_t *hva, mark;
};

/* A class and owner, and what lives of it. Ends only while nobody else is inside. */
struct group {
	pthread_rwlock_t lock;
	enum mem_class class;
	struct mem_owner *owner, owner_mem;
	uint64_t life; /* a new one for each owner that is made */
	struct slab_cache cache[CACHES];
	struct thing *slot[SLOTS];
};

static const size_t object_size[CACHES] = { 40, 256, 3000 };
static struct group groups[GROUPS];
static uint32_t page_user[PAGES]; /* atomic: life of the group that has the page, 0 if nobody */
static uint64_t lives, steps, failures, ended; /* atomic */
static time_t deadline;
static _Thread_local uint64_t random_state;

const char *__tsan_default_options(void);
const char *__tsan_default_suppressions(void);

const char *__tsan_default_options(void)
{
	return "halt_on_error=1:history_size=7";
}

/*
 * A merge looks at its twin's class, owner and state under the lock, while whoever has the twin's run
 * tags it without: the twin is not PAGE_FREE before or after, so the answer is "no" either way.
 */
const char *__tsan_default_suppressions(void)
{
	return "race:twin_is_free\n";
}

static uint64_t below(uint64_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 8) % limit;
}

static uint32_t *user_of(const void *hva, uint64_t page)
{
	return &page_user[hva_to_hpa(hva).v / PAGE_SIZE + page];
}

/* A word that may be left from before: only of this group in this life. */
static void check_word(const struct group *g, uint64_t word)
{
	ASSERT(!MARK_IS_ONE(word) || MARK_LIFE(word) == g->life);
}

static bool make_pages(struct group *g, struct thing *t)
{
	t->order = (unsigned int)below(below(64) ? 5 : PAGEBLOCK_ORDER + 2);
	t->hva = page_alloc(t->order, g->class, g->owner);
	for (uint64_t p = 0; t->hva && p < 1UL << t->order; p++) {
		uint64_t *words = t->hva + p * 512;

		ASSERT(!__atomic_exchange_n(user_of(t->hva, p), g->life, __ATOMIC_RELAXED));
		check_word(g, words[0]);
		check_word(g, words[511]);
		words[0] = words[511] = t->mark + p;
	}
	return t->hva;
}

static void end_pages(const struct group *g, const struct thing *t)
{
	for (uint64_t p = 0; p < 1UL << t->order; p++) {
		ASSERT(__atomic_exchange_n(user_of(t->hva, p), 0, __ATOMIC_RELAXED) == g->life);
		ASSERT(t->hva[p * 512] == t->mark + p && t->hva[p * 512 + 511] == t->mark + p);
	}
	page_free(t->hva, t->order);
}

static bool make_object(struct group *g, struct thing *t)
{
	t->cache = (unsigned int)below(CACHES);
	t->words = object_size[t->cache] / sizeof(uint64_t);
	t->hva = slab_alloc(&g->cache[t->cache]);
	for (size_t i = 0; t->hva && i < t->words; i++) {
		check_word(g, t->hva[i]);
		t->hva[i] = t->mark + i;
	}
	return t->hva;
}

static void end_object(struct group *g, const struct thing *t)
{
	for (size_t i = 0; i < t->words; i++)
		ASSERT(t->hva[i] == t->mark + i);
	slab_free(&g->cache[t->cache], t->hva);
}

/* The first word of each page of an area, through the frame. */
static uint64_t *area_word(const struct thing *t, size_t page)
{
	hpa_t frame = hostmap_vlookup((uint8_t *)t->hva + page * PAGE_SIZE);

	ASSERT(frame.v != HPA_NONE.v);
	return hpa_to_direct(frame);
}

static bool make_area(struct group *g, struct thing *t)
{
	t->words = (1 + below(6)) * PAGE_SIZE / sizeof(uint64_t);
	t->hva = vmalloc(t->words * sizeof(uint64_t), g->class, g->owner);
	for (size_t p = 0; t->hva && p < t->words / 512; p++) {
		ASSERT(*area_word(t, p) == 0);
		*area_word(t, p) = t->mark + p;
	}
	return t->hva;
}

static void end_area(const struct thing *t)
{
	for (size_t p = 0; p < t->words / 512; p++)
		ASSERT(*area_word(t, p) == t->mark + p);
	vfree(t->hva);
}

static struct thing *make(struct group *g)
{
	struct thing *t = calloc(1, sizeof(*t));
	bool made;

	t->kind = (enum kind)below(KINDS);
	t->mark = MARK | g->life << 16 | (below(0xe000) & ~0x3ffUL);
	made = t->kind == PAGES_RUN ? make_pages(g, t)
	       : t->kind == OBJECT  ? make_object(g, t)
				    : make_area(g, t);
	if (made)
		return t;
	__atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
	free(t);
	return NULL;
}

static void end(struct group *g, struct thing *t)
{
	if (!t)
		return;
	if (t->kind == PAGES_RUN)
		end_pages(g, t);
	else if (t->kind == OBJECT)
		end_object(g, t);
	else
		end_area(t);
	free(t);
}

static void group_begin(struct group *g)
{
	g->life = __atomic_add_fetch(&lives, 1, __ATOMIC_RELAXED);
	if (g->class == LOCAL) {
		g->owner = &g->owner_mem;
		mem_owner_init(g->owner, (uint16_t)(g - groups - LOCAL + 1));
	}
	for (unsigned int c = 0; c < CACHES; c++)
		slab_cache_init(&g->cache[c], "thread", object_size[c], 0, g->class, g->owner);
}

/* Nobody else is inside. */
static void group_end(struct group *g)
{
	for (unsigned int i = 0; i < SLOTS; i++) {
		end(g, g->slot[i]);
		g->slot[i] = NULL;
	}
	for (unsigned int c = 0; c < CACHES; c++)
		slab_cache_destroy(&g->cache[c]);
	if (g->owner) {
		vmalloc_owner_end(g->owner);
		mem_owner_destroy(g->owner);
	}
	__atomic_fetch_add(&ended, 1, __ATOMIC_RELAXED);
}

static void step(void)
{
	struct group *g = &groups[below(GROUPS)];
	struct thing *t, *none = NULL, **slot = &g->slot[below(SLOTS)];

	if (g->class == LOCAL && below(300) == 0) {
		pthread_rwlock_wrlock(&g->lock);
		group_end(g);
		group_begin(g);
		pthread_rwlock_unlock(&g->lock);
		return;
	}
	pthread_rwlock_rdlock(&g->lock);
	t = __atomic_exchange_n(slot, NULL, __ATOMIC_ACQ_REL);
	if (t) {
		end(g, t);
	} else {
		t = make(g);
		if (t && !__atomic_compare_exchange_n(slot, &none, t, false, __ATOMIC_ACQ_REL,
						      __ATOMIC_RELAXED))
			end(g, t);
	}
	pthread_rwlock_unlock(&g->lock);
}

static void *run_cpu(void *arg)
{
	cpu_number = (uint32_t)(uint64_t)arg;
	random_state = (seed_state + 1) * (0x9e3779b97f4a7c15UL + cpu_number);
	while (time(NULL) < deadline) {
		for (unsigned int i = 0; i < 64; i++)
			step();
		__atomic_fetch_add(&steps, 64, __ATOMIC_RELAXED);
	}
	pagecache_retire();
	return NULL;
}

static uint64_t memory_used(void)
{
	struct buddy_stats s;

	buddy_get_stats(&s);
	return s.total_pages - s.free_pages[SENSITIVE] - s.free_pages[GLOBAL] - s.free_pages[LOCAL];
}

int main(void)
{
	const char *seconds = getenv("SECONDS");
	pthread_t thread[CPUS];

	seed_start((uint64_t)time(NULL));
	deadline = time(NULL) + (seconds ? atoi(seconds) : 15);
	ASSERT(!memmap_add(MiB(1), RAM - MiB(1)));
	buddy_add(HPA(MiB(1)), HPA(RAM));
	for (unsigned int i = 0; i < GROUPS; i++) {
		pthread_rwlock_init(&groups[i].lock, NULL);
		groups[i].class = i < LOCAL ? (enum mem_class)i : LOCAL;
		group_begin(&groups[i]);
	}
	for (uint64_t i = 0; i < CPUS; i++)
		ASSERT(!pthread_create(&thread[i], NULL, run_cpu, (void *)i));
	for (unsigned int i = 0; i < CPUS; i++)
		pthread_join(thread[i], NULL);
	for (unsigned int i = 0; i < GROUPS; i++)
		group_end(&groups[i]);
	vmalloc_flush();
	pagecache_retire();
	printf("%lu steps on %u CPUs, %lu groups ended, %lu allocations failed, %lu pages lost\n",
	       steps, CPUS, ended, failures, memory_used());
	ASSERT(memory_used() == 0 && steps && ended > GROUPS);
	return 0;
}
