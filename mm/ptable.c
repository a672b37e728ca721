/* SPDX-License-Identifier: MIT */
/*
 * The page-table walker. A virtual address is cut into four indices of 9 bits:
 *
 *   47      39 38      30 29      21 20      12 11        0
 *  +----------+----------+----------+----------+-----------+
 *  |  level 3 |  level 2 |  level 1 |  level 0 |  offset   |
 *  +----------+----------+----------+----------+-----------+
 *       |          |          |          |
 *     root ----> table ---> table ---> table --> 4 KiB frame
 *                  |          '-- large leaf: 2 MiB frame
 *                  '------------- large leaf: 1 GiB frame
 *
 * Entry formats are data (arch/pte.h); this file knows no bit of them.
 */
#include "mm/ptable.h"
#include "arch/insn.h"
#include "lib/assert.h"
#include "lib/bitops.h"
#include "lib/errno.h"
#include "mm/buddy.h"
#include "mm/memmap.h"

#define ENTRIES	   512
#define VA_BITS	   48
#define BOOT_LIMIT GiB(4) /* what the boot page tables map */

static __nonsensitive bool ptable_buddy_runs;

void ptable_use_buddy(void)
{
	ptable_buddy_runs = true;
}

static uint64_t *table_hva(const struct ptable *pt, hpa_t hpa)
{
	return pt->class == LOCAL ? hpa_to_local(hpa) : hpa_to_direct(hpa);
}

static bool entry_present(const struct ptable *pt, uint64_t entry)
{
	return entry & pt->format->present;
}

static bool entry_is_leaf(const struct ptable *pt, uint64_t entry, unsigned int level)
{
	return level == 0 || entry & pt->format->large;
}

static unsigned int entry_index(uint64_t va, unsigned int level)
{
	return (unsigned int)(va >> (PAGE_SHIFT + 9 * level)) & (ENTRIES - 1);
}

static hpa_t entry_hpa(uint64_t entry, unsigned int level)
{
	return HPA(entry & PTE_ADDR_MASK & ~(pt_level_size(level) - 1));
}

/* Bits 47 and up of a canonical address agree; EPT addresses are small. */
static uint64_t canonical(uint64_t va)
{
	return (uint64_t)((int64_t)(va << (64 - VA_BITS)) >> (64 - VA_BITS));
}

static hpa_t table_alloc(struct ptable *pt)
{
	uint64_t *table;
	hpa_t hpa;

	if (ptable_buddy_runs) {
		table = page_alloc(0, pt->class, pt->owner);
		if (!table)
			return HPA_NONE;
		hpa = hva_to_hpa(table);
	} else {
		hpa = memmap_take(PAGE_SIZE, PAGE_SIZE, BOOT_LIMIT);
		if (hpa.v == HPA_NONE.v)
			return hpa;
		table = table_hva(pt, hpa);
	}
	for (unsigned int i = 0; i < ENTRIES; i++)
		table[i] = PTE_ABSENT;
	__atomic_fetch_add(&pt->nr_tables, 1, __ATOMIC_RELAXED);
	return hpa;
}

int ptable_init(struct ptable *pt, const struct pt_format *format, enum mem_class class,
		struct mem_owner *owner)
{
	*pt = (struct ptable){ .format = format, .class = class, .owner = owner };
	pt->root = table_alloc(pt);
	return pt->root.v == HPA_NONE.v ? -ENOMEM : 0;
}

static void table_free(struct ptable *pt, hpa_t hpa)
{
	page_free(table_hva(pt, hpa), 0);
	__atomic_fetch_sub(&pt->nr_tables, 1, __ATOMIC_RELAXED);
}

static void tree_free(struct ptable *pt, hpa_t hpa, unsigned int level)
{
	const uint64_t *table = table_hva(pt, hpa);

	for (unsigned int i = 0; level > 0 && i < ENTRIES; i++)
		if (entry_present(pt, table[i]) && !entry_is_leaf(pt, table[i], level))
			tree_free(pt, entry_hpa(table[i], 0), level - 1);
	table_free(pt, hpa);
}

void ptable_destroy(struct ptable *pt)
{
	tree_free(pt, pt->root, PT_LEVELS - 1);
	ASSERT(pt->nr_tables == 0);
}

/* The entry of @level for @va, NULL if a table above is missing or a larger leaf stands there. */
static uint64_t *find_entry(const struct ptable *pt, uint64_t va, unsigned int level)
{
	uint64_t *table = table_hva(pt, pt->root);

	for (unsigned int l = PT_LEVELS - 1;; l--) {
		uint64_t *entry = &table[entry_index(va, l)];

		if (l == level)
			return entry;
		if (!entry_present(pt, *entry) || entry_is_leaf(pt, *entry, l))
			return NULL;
		table = table_hva(pt, entry_hpa(*entry, 0));
	}
}

/*
 * Makes the tables down to @level for one address. Others may do so at the same time, for the same
 * address or a neighbour: who comes second gives his table back and goes on with the first one's.
 */
static int prepare_one(struct ptable *pt, uint64_t va, unsigned int level)
{
	for (unsigned int l = PT_LEVELS - 1; l > level; l--) {
		uint64_t *entry = find_entry(pt, va, l), old;
		hpa_t table;

		ASSERT(entry);
		old = READ_ONCE(*entry);
		if (!entry_present(pt, old)) {
			table = table_alloc(pt);
			if (table.v == HPA_NONE.v)
				return -ENOMEM;
			if (__atomic_compare_exchange_n(entry, &old, table.v | pt->format->table,
							false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
				continue;
			table_free(pt, table);
		}
		ASSERT(!entry_is_leaf(pt, old, l));
	}
	return 0;
}

int ptable_prepare(struct ptable *pt, uint64_t va, uint64_t len, unsigned int level)
{
	uint64_t step = pt_level_size(level + 1); /* one table of @level spans as much */
	uint64_t first = ALIGN_DOWN(va, step);

	ASSERT(len && level < PT_LEVELS - 1);
	for (uint64_t done = 0; done < va + len - first; done += step) {
		int err = prepare_one(pt, first + done, level);

		if (err)
			return err;
	}
	return 0;
}

uint64_t ptable_leaf_flags(const struct pt_format *f, unsigned int level, unsigned int prot)
{
	uint64_t flags = f->leaf;

	if (level > 0)
		flags |= f->large;
	if (prot & PROT_R)
		flags |= f->r;
	if (prot & PROT_W)
		flags |= f->w;
	flags |= prot & PROT_X ? f->x : f->nx;
	if (prot & PROT_UC)
		flags |= f->uc;
	return flags;
}

void ptable_map(struct ptable *pt, uint64_t va, hpa_t hpa, uint64_t len, unsigned int level,
		unsigned int prot)
{
	uint64_t size = pt_level_size(level), flags = ptable_leaf_flags(pt->format, level, prot);

	ASSERT(IS_ALIGNED(va, size) && IS_ALIGNED(hpa.v, size) && IS_ALIGNED(len, size));
	ASSERT(prot & PROT_R); /* without it an EPT entry would be absent, with a frame in it */
	for (uint64_t done = 0; done < len; done += size) {
		uint64_t *entry = find_entry(pt, va + done, level);

		ASSERT(entry && !entry_present(pt, *entry));
		WRITE_ONCE(*entry, (hpa.v + done) | flags);
	}
}

/* The lowest entry for @va: a leaf or an absent entry; its level in *@level. */
static uint64_t *find_lowest(const struct ptable *pt, uint64_t va, unsigned int *level)
{
	uint64_t *table = table_hva(pt, pt->root);

	for (unsigned int l = PT_LEVELS - 1;; l--) {
		uint64_t *entry = &table[entry_index(va, l)];

		if (!entry_present(pt, *entry) || entry_is_leaf(pt, *entry, l)) {
			*level = l;
			return entry;
		}
		table = table_hva(pt, entry_hpa(*entry, 0));
	}
}

static void count_removed(struct ptable *pt)
{
	__atomic_fetch_add(&pt->nr_removed, 1, __ATOMIC_RELAXED);
}

void ptable_note_flush(struct ptable *pt, uint64_t nr)
{
	__atomic_fetch_add(&pt->nr_flushed, nr, __ATOMIC_RELAXED);
}

uint64_t ptable_unmap(struct ptable *pt, uint64_t va, uint64_t len)
{
	uint64_t done = 0, nr = 0;

	while (done < len) {
		unsigned int level;
		uint64_t *entry = find_lowest(pt, va + done, &level);
		uint64_t size = pt_level_size(level);

		if (entry_present(pt, *entry)) {
			ASSERT(IS_ALIGNED(va + done, size) && len - done >= size);
			WRITE_ONCE(*entry, PTE_ABSENT);
			count_removed(pt);
			nr++;
		}
		done = ALIGN_DOWN(va + done, size) + size - va;
	}
	return nr;
}

/* Replaces the leaf *@entry of @level by a table of the next smaller ones. */
static int split_leaf(struct ptable *pt, uint64_t *entry, unsigned int level)
{
	uint64_t step = pt_level_size(level - 1), flags = *entry & ~PTE_ADDR_MASK, *table;
	hpa_t hpa = table_alloc(pt), frame = entry_hpa(*entry, level);

	if (hpa.v == HPA_NONE.v)
		return -ENOMEM;
	table = table_hva(pt, hpa);
	if (level == 1)
		flags &= ~pt->format->large;
	for (unsigned int i = 0; i < ENTRIES; i++)
		table[i] = (frame.v + i * step) | flags;
	/* Absent in between: a TLB never holds both sizes of one address. */
	WRITE_ONCE(*entry, PTE_ABSENT);
	count_removed(pt);
	WRITE_ONCE(*entry, hpa.v | pt->format->table);
	return 0;
}

int ptable_split(struct ptable *pt, uint64_t va, unsigned int to_level)
{
	for (;;) {
		unsigned int level;
		uint64_t *entry = find_lowest(pt, va, &level);
		int err;

		if (level <= to_level || !entry_present(pt, *entry))
			return 0;
		err = split_leaf(pt, entry, level);
		if (err)
			return err;
	}
}

/* Splits until no leaf lies on both sides of @va, and no further. */
static int split_at(struct ptable *pt, uint64_t va)
{
	for (;;) {
		unsigned int level;
		uint64_t *entry = find_lowest(pt, va, &level);
		int err;

		if (IS_ALIGNED(va, pt_level_size(level)) || !entry_present(pt, *entry))
			return 0;
		err = split_leaf(pt, entry, level);
		if (err)
			return err;
	}
}

int ptable_unmap_exact(struct ptable *pt, uint64_t va, uint64_t len)
{
	int err;

	ASSERT(len && IS_ALIGNED(va | len, PAGE_SIZE));
	err = split_at(pt, va);
	if (!err)
		err = split_at(pt, va + len);
	if (!err)
		ptable_unmap(pt, va, len);
	return err;
}

struct pt_walk ptable_walk(const struct ptable *pt, uint64_t va)
{
	struct pt_walk w = { .rights = PTE_W };
	uint64_t *table = table_hva(pt, pt->root);

	for (unsigned int l = PT_LEVELS - 1;; l--) {
		w.level = l;
		w.entry = READ_ONCE(table[entry_index(va, l)]);
		if (!entry_present(pt, w.entry))
			return w;
		w.rights = (w.rights & w.entry & PTE_W) | ((w.rights | w.entry) & PTE_NX);
		if (entry_is_leaf(pt, w.entry, l))
			break;
		table = table_hva(pt, entry_hpa(w.entry, 0));
	}
	w.present = true;
	w.hpa = HPA(entry_hpa(w.entry, w.level).v + (va & (pt_level_size(w.level) - 1)));
	return w;
}

/* One table of a visit. [@first, @last] are the addresses wanted, inclusive and not sign-extended. */
struct visit {
	const struct ptable *pt;
	uint64_t first, last;
	pt_visit_t fn;
	void *arg;
};

static bool visit_table(const struct visit *v, hpa_t hpa, unsigned int level, uint64_t base,
			uint64_t rights)
{
	const uint64_t *table = table_hva(v->pt, hpa);
	uint64_t size = pt_level_size(level);

	for (unsigned int i = 0; i < ENTRIES; i++) {
		uint64_t va = base + i * size, entry = READ_ONCE(table[i]), r;
		struct pt_leaf leaf;

		if (va + size - 1 < v->first || va > v->last)
			continue;
		r = (rights & entry & PTE_W) | ((rights | entry) & PTE_NX);
		leaf = (struct pt_leaf){
			.va = canonical(va), .size = size, .entry = entry, .rights = r
		};
		if (!entry_present(v->pt, entry)) {
			if (entry != PTE_ABSENT && !v->fn(&leaf, v->arg))
				return false;
		} else if (entry_is_leaf(v->pt, entry, level)) {
			leaf.present = true;
			leaf.hpa = entry_hpa(entry, level);
			if (!v->fn(&leaf, v->arg))
				return false;
		} else if (!visit_table(v, entry_hpa(entry, 0), level - 1, va, r)) {
			return false;
		}
	}
	return true;
}

bool ptable_for_each(const struct ptable *pt, uint64_t va, uint64_t len, pt_visit_t fn, void *arg)
{
	uint64_t first = va & (BIT(VA_BITS) - 1);
	struct visit v = { pt, first, len ? first + len - 1 : BIT(VA_BITS) - 1, fn, arg };

	return visit_table(&v, pt->root, PT_LEVELS - 1, 0, PTE_W);
}

uint64_t ptable_next(const struct ptable *pt, uint64_t va, struct pt_leaf *leaf)
{
	struct pt_walk w = ptable_walk(pt, va);
	uint64_t size = pt_level_size(w.level), next = va + size;
	const uint64_t *entry;

	*leaf = (struct pt_leaf){ va, size, w.entry, w.rights, w.hpa, w.present };
	if (w.present || w.entry != PTE_ABSENT)
		return next;
	entry = find_entry(pt, va, w.level);
	for (unsigned int i = entry_index(va, w.level) + 1; i < ENTRIES; i++, next += size)
		if (READ_ONCE(*++entry) != PTE_ABSENT)
			break;
	return next;
}

hpa_t ptable_table(const struct ptable *pt, uint64_t va, unsigned int level)
{
	const uint64_t *entry = find_entry(pt, va, level);

	ASSERT(entry);
	return hva_to_hpa(entry - entry_index(va, level));
}

void ptable_share(struct ptable *dst, uint64_t dst_va, const struct ptable *src, uint64_t src_va,
		  unsigned int level)
{
	uint64_t *to = find_entry(dst, dst_va, level), *from = find_entry(src, src_va, level);

	ASSERT(to && from && !entry_present(dst, *to) && entry_present(src, *from));
	WRITE_ONCE(*to, *from);
}

void ptable_unshare(struct ptable *dst, uint64_t va, unsigned int level)
{
	uint64_t *entry = find_entry(dst, va, level);

	ASSERT(entry && entry_present(dst, *entry));
	WRITE_ONCE(*entry, PTE_ABSENT);
	count_removed(dst);
}

void ptable_link(struct ptable *pt, uint64_t va, hpa_t table)
{
	uint64_t *entry = find_entry(pt, va, 1);

	ASSERT(entry && !entry_present(pt, *entry) && IS_ALIGNED(table.v, PAGE_SIZE));
	WRITE_ONCE(*entry, table.v | pt->format->table);
}
