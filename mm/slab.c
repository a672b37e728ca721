/* SPDX-License-Identifier: MIT */
/*
 * Slab caches. A slab is one run of pages: a head, then the objects. It belongs to one CPU,
 * which alone takes objects out of it and puts them back, with interrupts off: most calls take
 * no lock and no atomic. A slab all of whose objects are live belongs to nobody (to
 * cache->shared, under the lock); the first CPU that frees one adopts it. Another CPU's slab
 * gets an object back in a second map, under the lock, which its owner collects.
 *
 * Which objects are free is a bit each in the head of their slab, outside of them: there is no
 * link in a free object to corrupt, whatever is written there, and a second free is seen for
 * certain, however much later. Each CPU knows the 64 objects among which it freed last: to free
 * one more of them takes no look at anything but their word.
 */
#include "mm/slab.h"
#include "arch/insn.h"
#include "arch/percpu.h"
#include "lib/assert.h"
#include "mm/buddy.h"
#include "mm/slab_internal.h"

#define ALIGN_DEFAULT 16
#define ALIGN_MAX     64
#define STRIDE_MIN    16 /* smaller ones would waste more than an eighth on the head */
#define SLOW_CALLS    16 /* a cache that is hardly used needs no per-CPU part */

_Static_assert(sizeof(struct slab_cpu) * CPUS_MAX == PAGE_SIZE, "those of all CPUs fill a page");

static const struct slab_word no_word = { .remote = ~0UL };
/* Of a cache that has no per-CPU part yet: whoever looks finds nothing, and nothing is theirs. */
static const struct slab_cpu no_cpus[CPUS_MAX] = {
	[0 ... CPUS_MAX - 1] = { .word = (struct slab_word *)&no_word,
				 .near = (struct slab_word *)&no_word },
};

/* The caches of SENSITIVE and GLOBAL; those of LOCAL are in their owners. */
static __nonsensitive struct slab_cache *slab_caches[LOCAL];
static __nonsensitive struct spinlock slab_caches_lock =
	SPINLOCK(LOCK_CACHES); /* guards all lists of caches */

static __always_inline struct slab_cpu *this_slab_cpu(const struct slab_cache *cache)
{
	return __atomic_load_n(&cache->cpus, __ATOMIC_ACQUIRE) + this_cpu(cpu_number);
}

/* What calls on this CPU use; the lock is held. */
static struct slab_cpu *cpu_or_shared(struct slab_cache *cache)
{
	return cache->cpus == no_cpus ? &cache->shared : this_slab_cpu(cache);
}

static void set_owner(struct slab *slab, struct slab_cpu *c)
{
	__atomic_store_n(&slab->owner, c, __ATOMIC_RELAXED);
}

/*
 * That @near_last is 0 holds for as long as @near: whatever makes an object of another word free moves
 * @near there, except collecting for @c->slab, which is kept when it is empty. If it is not 0, there may
 * still be live objects: free_slow() looks.
 */
static void set_near(const struct slab_cache *cache, struct slab_cpu *c, struct slab *slab,
		     uint64_t nr)
{
	uint64_t word = nr / SLAB_WORD_BITS;
	bool stays = slab == c->slab || slab_live_beside(cache, slab, word);

	c->near = &slab->words[word];
	c->near_base = slab_object(cache, slab, word * SLAB_WORD_BITS);
	c->near_last = stays ? 0 : slab_word_all(cache, word);
}

/* Nothing can be freed into no_word. */
static void use_no_near(struct slab_cpu *c)
{
	c->near = (struct slab_word *)&no_word;
	c->near_base = NULL;
}

/* @slab is @c's no more. */
static void disown(struct slab_cache *cache, struct slab_cpu *c, struct slab *slab)
{
	set_owner(slab, &cache->shared);
	use_no_near(c);
}

static struct slab_cache **caches_of(enum mem_class class, struct mem_owner *owner)
{
	ASSERT(class < MEM_CLASS_NR && (class == LOCAL) == (owner != NULL));
	return class == LOCAL ? &owner->caches : &slab_caches[class];
}

uint64_t slab_trim(enum mem_class class, struct mem_owner *owner)
{
	struct slab_cache **first = caches_of(class, owner);
	uint64_t flags = spin_lock(&slab_caches_lock), inner;
	struct list released;

	list_init(&released);
	for (struct slab_cache *cache = *first; cache; cache = cache->next) {
		inner = spin_lock(&cache->lock);
		slab_release(cache, 0, &released);
		cache->keep = 1;
		spin_unlock(&cache->lock, inner);
	}
	spin_unlock(&slab_caches_lock, flags);
	return slab_destroy_all(&released);
}

/* ---- Changing slabs. ---- */

/* Points @c at a word of its slab with a free object, if there is one: from where it is, around. */
static bool choose_word(const struct slab_cache *cache, struct slab_cpu *c)
{
	uint64_t nr = slab_nr_words(cache);
	uint64_t i = ((uint64_t)c->word - (uint64_t)c->slab->words) / sizeof(*c->word);

	for (uint64_t n = 0; n < nr; n++, i++) {
		i = i < nr ? i : 0; /* also if @word is no_word */
		if (!c->slab->words[i].free)
			continue;
		c->word = &c->slab->words[i];
		c->base = slab_object(cache, c->slab, i * SLAB_WORD_BITS);
		return true;
	}
	return false;
}

/* The slab that @c continues with, off its list; NULL if the cache has no free object. */
static struct slab *next_slab(struct slab_cache *cache, struct slab_cpu *c)
{
	struct list *list = &c->partial;
	struct slab *slab;

	if (list_empty(list))
		list = &cache->shared.partial;
	if (list_empty(list)) {
		list = &cache->empty;
		if (list_empty(list))
			return NULL;
		cache->nr_empty--;
		cache->min_empty = MIN(cache->min_empty, cache->nr_empty);
	}
	slab = list_entry(list->next, struct slab, link);
	list_del(&slab->link);
	set_owner(slab, c);
	return slab;
}

static void use_no_word(struct slab_cpu *c)
{
	c->word = (struct slab_word *)&no_word;
}

/* Gives @c a word with a free object; false if a new slab is needed. The lock is held. */
static bool refill(struct slab_cache *cache, struct slab_cpu *c)
{
	for (;;) {
		if (c->slab) {
			slab_collect(cache, c->slab);
			if (choose_word(cache, c))
				return true;
			/* All are live: whoever frees one of them first adopts the slab. */
			disown(cache, c, c->slab);
		}
		use_no_word(c);
		c->slab = next_slab(cache, c);
		if (!c->slab)
			return false;
	}
}

static __always_inline void *take(const struct slab_cache *cache, struct slab_cpu *c)
{
	uint64_t free = c->word->free;
	uint8_t *object;

	__atomic_store_n(&c->word->free, free & (free - 1), __ATOMIC_RELAXED);
	object = c->base + bit_lowest(free) * cache->stride;
	/*
	 * Mostly the next one handed out, and written first: it had better be in the cache by then. A
	 * hint: no fault, and nothing where no memory is mapped, if this one is the last.
	 */
	__builtin_prefetch(object + cache->stride, 1);
	return object;
}

static void cpu_init(struct slab_cpu *c)
{
	*c = (struct slab_cpu){ 0 };
	use_no_word(c);
	use_no_near(c);
	list_init(&c->partial);
}

/* The per-CPU part; while there is no memory for it, the cache goes on without. */
static void cpus_create(struct slab_cache *cache)
{
	struct slab_cpu *cpus = page_alloc(0, cache->class, cache->owner);
	struct slab *slab;
	uint64_t flags;

	if (!cpus)
		return;
	for (uint32_t i = 0; i < CPUS_MAX; i++)
		cpu_init(&cpus[i]);
	flags = spin_lock(&cache->lock);
	if (cache->cpus == no_cpus) {
		slab = cache->shared.slab;
		if (slab && choose_word(cache, &cache->shared))
			list_add(&cache->shared.partial, &slab->link);
		cache->shared.slab = NULL;
		use_no_word(&cache->shared);
		__atomic_store_n(&cache->cpus, cpus, __ATOMIC_RELEASE);
		cpus = NULL;
	}
	spin_unlock(&cache->lock, flags);
	if (cpus)
		page_free(cpus, 0);
}

static bool wants_cpus(struct slab_cache *cache)
{
	return cache->cpus == no_cpus && ++cache->slow_calls >= SLOW_CALLS;
}

/* A slab; if there is no memory for one, what other caches kept is asked for first. */
static struct slab *create_or_trim(struct slab_cache *cache)
{
	struct slab *slab = slab_create(cache);

	if (!slab && slab_trim(cache->class, cache->owner))
		slab = slab_create(cache);
	return slab;
}

static __noinline void *alloc_slow(struct slab_cache *cache)
{
	uint64_t flags = spin_lock(&cache->lock);
	struct slab_cpu *c;
	struct slab *slab;
	void *object;
	bool wanted;

	for (;;) {
		c = cpu_or_shared(cache);
		if (refill(cache, c))
			break;
		spin_unlock(&cache->lock, flags);
		slab = create_or_trim(cache);
		if (!slab)
			return NULL;
		flags = spin_lock(&cache->lock);
		slab_add(cache, slab);
	}
	object = take(cache, c);
	wanted = wants_cpus(cache);
	spin_unlock(&cache->lock, flags);
	if (wanted)
		cpus_create(cache);
	return object;
}

/* From another word of this CPU's slab: still no lock. Interrupts are off; @flags says what they were. */
static __noinline void *alloc_far(struct slab_cache *cache, uint64_t flags)
{
	struct slab_cpu *c = this_slab_cpu(cache);
	void *object;

	if (likely(c->slab && choose_word(cache, c))) {
		object = take(cache, c);
		irq_restore(flags);
		return object;
	}
	irq_restore(flags);
	return alloc_slow(cache);
}

/* @slab gets back its object @nr, which is live. The lock is held. */
static void give_back(struct slab_cache *cache, struct slab *slab, uint64_t nr,
		      struct list *released)
{
	struct slab_word *word = &slab->words[nr / SLAB_WORD_BITS];
	uint64_t bit = BIT(nr % SLAB_WORD_BITS);
	struct slab_cpu *c = cpu_or_shared(cache);

	if (slab->owner != &cache->shared && slab->owner != c) {
		__atomic_store_n(&word->remote, word->remote | bit, __ATOMIC_RELAXED);
		return;
	}
	__atomic_store_n(&word->free, word->free | bit, __ATOMIC_RELAXED);
	if (slab->owner != c || (list_empty(&slab->link) && slab != c->slab)) {
		list_del(&slab->link);
		list_add(&c->partial, &slab->link);
		set_owner(slab, c);
	}
	set_near(cache, c, slab, nr);
	if (slab != c->slab && slab_is_empty(cache, slab)) {
		disown(cache, c, slab);
		slab_retire(cache, slab, released);
	}
}

/*
 * The first free of a slab without a CPU, the last of a slab, any of another CPU's slab, and
 * all that are wrong. It is called in the place of slab_free, so returns to the same caller.
 */
static __noinline void free_slow(struct slab_cache *cache, void *object)
{
	uint64_t flags, nr = 0, bit, live;
	struct slab_word *word;
	struct list released;
	struct slab *slab;
	bool wanted;

	if (!object)
		return;
	list_init(&released);
	flags = spin_lock(&cache->lock);
	slab = slab_of(cache, object, &nr);
	if (!slab)
		slab_bad_free(cache, object, __builtin_return_address(0));
	word = &slab->words[nr / SLAB_WORD_BITS];
	bit = BIT(nr % SLAB_WORD_BITS);
	/* The slab's CPU changes both without the lock, for other objects than this one. */
	live = ~(__atomic_load_n(&word->free, __ATOMIC_RELAXED) | word->remote) & bit;
	if (!live)
		slab_bad_free(cache, object, __builtin_return_address(0));
	if (DEBUG)
		slab_debug_free(cache, object, __builtin_return_address(0));
	give_back(cache, slab, nr, &released);
	wanted = wants_cpus(cache);
	spin_unlock(&cache->lock, flags);

	slab_destroy_all(&released);
	if (wanted)
		cpus_create(cache);
}

/* Frees @object, number @nr of @c->near; false if that would be wrong, or empties the slab. */
static __always_inline bool put(struct slab_cache *cache, struct slab_cpu *c, uint64_t nr,
				void *object)
{
	struct slab_word *word = c->near;
	uint64_t free = word->free;

	if (unlikely((free | __atomic_load_n(&word->remote, __ATOMIC_RELAXED)) >> nr & 1))
		return false;
	free |= BIT(nr);
	if (unlikely(free == c->near_last))
		return false;
	if (DEBUG)
		slab_debug_free(cache, object, __builtin_return_address(0));
	__atomic_store_n(&word->free, free, __ATOMIC_RELAXED);
	return true;
}

/* What is not near. Interrupts are off; @flags says what they were. */
static __noinline void free_far(struct slab_cache *cache, void *object, uint64_t flags)
{
	struct slab_cpu *c = this_slab_cpu(cache);
	uint64_t nr;
	struct slab *slab = slab_of(cache, object, &nr);
	bool done = false;

	if (likely(slab && __atomic_load_n(&slab->owner, __ATOMIC_RELAXED) == c)) {
		set_near(cache, c, slab, nr);
		done = put(cache, c, nr % SLAB_WORD_BITS, object);
	}
	irq_restore(flags);
	if (!done)
		free_slow(cache, object);
}

void *slab_alloc(struct slab_cache *cache)
{
	uint64_t flags = irq_save();
	struct slab_cpu *c = this_slab_cpu(cache);
	void *object;

	if (likely(c->word->free)) {
		object = take(cache, c);
		irq_restore(flags);
	} else {
		object = alloc_far(cache, flags);
	}
	if (DEBUG && object)
		slab_debug_alloc(cache, object, __builtin_return_address(0));
	return object;
}

void *slab_zalloc(struct slab_cache *cache)
{
	uint8_t *object = slab_alloc(cache);

	if (!object)
		return NULL;
	clear_words(object, cache->size & ~7U);
	if (cache->size & 7) /* in a debug build, where the redzone follows */
		rep_stosb(object + (cache->size & ~7U), 0, cache->size & 7);
	return object;
}

void slab_free(struct slab_cache *cache, void *object)
{
	uint64_t flags = irq_save();
	struct slab_cpu *c = this_slab_cpu(cache);
	uint64_t nr = slab_number(cache, c->near_base, object);

	if (likely(nr < SLAB_WORD_BITS && put(cache, c, nr, object)))
		irq_restore(flags);
	else
		free_far(cache, object, flags);
}

void slab_cache_init(struct slab_cache *cache, const char *name, size_t size, size_t align,
		     enum mem_class class, struct mem_owner *owner)
{
	struct slab_cache **caches;
	uint64_t flags;

	align = align ? align : ALIGN_DEFAULT;
	if (size < 1 || size > SLAB_SIZE_MAX || align > ALIGN_MAX || (align & (align - 1)) ||
	    class >= MEM_CLASS_NR || (class == LOCAL) != (owner != NULL))
		panic("slab %s: no cache can have objects of %lu bytes aligned to %lu, class %u, "
		      "owner %u; called from %p",
		      name, size, align, class, owner ? owner->id : 0, __builtin_return_address(0));
	caches = caches_of(class, owner);
	align = MAX(align, sizeof(uint64_t));
	*cache = (struct slab_cache){ .name = name,
				      .size = (uint32_t)(DEBUG ? size : ALIGN_UP(size, 8)),
				      .align = (uint32_t)align,
				      .class = class,
				      .owner = owner,
				      .cpus = (struct slab_cpu *)no_cpus,
				      .window = (uint64_t)(class == LOCAL ? hpa_to_local(HPA(0))
									  : hpa_to_direct(HPA(0))),
				      .tag = slab_encode_cache(cache),
				      .lock = SPINLOCK(LOCK_SLAB),
				      .keep = 1 };
	cache->stride = cache->size + (DEBUG ? SLAB_REDZONE_SIZE : 0);
	cache->stride = ALIGN_UP(MAX(cache->stride, STRIDE_MIN), cache->align);
	cpu_init(&cache->shared);
	list_init(&cache->slabs);
	list_init(&cache->empty);
	slab_geometry(cache);

	flags = spin_lock(&slab_caches_lock);
	cache->next = *caches;
	*caches = cache;
	spin_unlock(&slab_caches_lock, flags);
}

void slab_cache_destroy(struct slab_cache *cache)
{
	struct slab_cache **at = caches_of(cache->class, cache->owner);
	struct list slabs;
	uint64_t flags;

	slab_check_none_live(cache, __builtin_return_address(0));
	list_init(&slabs);
	while (!list_empty(&cache->slabs)) {
		struct slab *slab = list_entry(cache->slabs.next, struct slab, all);

		list_del(&slab->all);
		list_del(&slab->link);
		list_add(&slabs, &slab->link);
	}
	slab_destroy_all(&slabs);
	if (cache->cpus != no_cpus)
		page_free(cache->cpus, 0);
	cache->cpus = (struct slab_cpu *)no_cpus;

	flags = spin_lock(&slab_caches_lock);
	while (*at && *at != cache)
		at = &(*at)->next;
	ASSERT(*at == cache);
	*at = cache->next;
	spin_unlock(&slab_caches_lock, flags);
}

void slab_get_stats(enum mem_class class, struct mem_owner *owner, struct slab_stats *out)
{
	struct slab_cache **first = caches_of(class, owner);
	uint64_t flags = spin_lock(&slab_caches_lock);

	*out = (struct slab_stats){ 0 };
	for (struct slab_cache *cache = *first; cache; cache = cache->next) {
		uint64_t live = slab_cache_live(cache);

		out->slabs += cache->nr_slabs;
		out->empty_slabs += cache->nr_empty;
		out->bytes += cache->nr_slabs * (cache->run_mask + 1);
		out->objects += live;
		out->objects_bytes += live * cache->stride;
	}
	spin_unlock(&slab_caches_lock, flags);
}
