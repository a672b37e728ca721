/* SPDX-License-Identifier: MIT */
/*
 * The one page-table walker, for host tables and EPT alike. What can fail is
 * split from what cannot: ptable_prepare() makes every table that a range needs,
 * or returns -ENOMEM; ptable_map() afterwards cannot fail.
 *
 * Levels: 0 maps 4 KiB, 1 maps 2 MiB, 2 maps 1 GiB, 3 is the root.
 * The caller keeps others out of the range it changes, and flushes what it removed.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "arch/pte.h"
#include "mm/class.h"

struct ptable {
	const struct pt_format *format;
	hpa_t root;
	enum mem_class class;	 /* of the table pages themselves */
	struct mem_owner *owner; /* LOCAL tables only */
	uint64_t nr_tables;	 /* made by this ptable, root included */
	uint64_t nr_removed;	 /* translations taken out or replaced, ever */
	uint64_t nr_flushed; /* as many of them are used by no CPU any more: ptable_note_flush() */
};

#define PT_LEVELS 4

/* From here on table pages come from the buddy; before, from memmap_take. */
void ptable_use_buddy(void);

static inline uint64_t pt_level_size(unsigned int level)
{
	return 1UL << (PAGE_SHIFT + 9 * level);
}

/* Makes the root. 0 or -ENOMEM. */
__must_check int ptable_init(struct ptable *pt, const struct pt_format *format,
			     enum mem_class class, struct mem_owner *owner);

/*
 * Frees every table that this ptable made; what it shares (ptable_share) has been unshared
 * or belongs to @pt. Leaves are forgotten, not freed.
 */
void ptable_destroy(struct ptable *pt);

/*
 * Makes the tables down to @level for [@va, @va + @len): leaves can then be set at @level. 0 or -ENOMEM.
 * Any CPUs may prepare ranges of one ptable at the same time, overlapping ones too.
 */
__must_check int ptable_prepare(struct ptable *pt, uint64_t va, uint64_t len, unsigned int level);

/*
 * Maps [@va, @va + @len) to [@hpa, ...) with leaves of @level. Everything aligned to
 * the leaf size, tables prepared, nothing mapped there yet.
 */
void ptable_map(struct ptable *pt, uint64_t va, hpa_t hpa, uint64_t len, unsigned int level,
		unsigned int prot);

/*
 * Makes what is mapped in the range absent; whole leaves only (a part of a large leaf is an
 * assertion: ptable_split first). Tables stay. Returns how many translations it took out, for
 * ptable_note_flush().
 */
uint64_t ptable_unmap(struct ptable *pt, uint64_t va, uint64_t len);

/*
 * As ptable_unmap, for any pages: large leaves that the range cuts are split first, so that all
 * else stays mapped exactly as it was. 0, or -ENOMEM with nothing unmapped and every translation
 * as before (a leaf may be split by then). The tables that hold the leaves are @pt's own: a sharer
 * would not be told. A cut leaf is absent for a moment: the caller runs on none of it.
 */
__must_check int ptable_unmap_exact(struct ptable *pt, uint64_t va, uint64_t len);

/*
 * Replaces the large leaf around @va, if there is one above level 0, by a full
 * table of the next smaller leaves. 0 or -ENOMEM. The entry goes through absent;
 * the caller flushes.
 */
__must_check int ptable_split(struct ptable *pt, uint64_t va, unsigned int to_level);

/*
 * To be called by whoever flushes after an unmapping, for what it has unmapped itself: no CPU begins to use these
 * @nr translations any more, and who did is being waited for. The audit compares the two counters, so a flush
 * that was forgotten shows although no table tells of it, and for good: nobody settles another's account.
 */
void ptable_note_flush(struct ptable *pt, uint64_t nr);

/* One translation. */
struct pt_walk {
	bool present;
	unsigned int level; /* of the leaf, or of the absent entry */
	uint64_t entry;	    /* as it stands in the table */
	uint64_t rights;    /* PTE_W and PTE_NX combined over all levels (host format) */
	hpa_t hpa;	    /* of @va itself, if present */
};
struct pt_walk ptable_walk(const struct ptable *pt, uint64_t va);

/*
 * Calls @visit for every leaf in [@va, @va + @len) that is present, and for every absent entry that
 * is not PTE_ABSENT (@present false), in order; stops when it returns false, and then returns false.
 * @len may be 0 for "to the end of the address space".
 */
struct pt_leaf {
	uint64_t va, size, entry, rights;
	hpa_t hpa;
	bool present;
};
typedef bool (*pt_visit_t)(const struct pt_leaf *leaf, void *arg);
bool ptable_for_each(const struct ptable *pt, uint64_t va, uint64_t len, pt_visit_t visit,
		     void *arg);

/*
 * For a walk in steps: in *@leaf what stands at @va, where an entry begins, absent or not. Returns where the
 * next one begins; absent ones (PTE_ABSENT) that follow each other in a table are passed together.
 */
uint64_t ptable_next(const struct ptable *pt, uint64_t va, struct pt_leaf *leaf);

/* The table that has the entry of @level for @va; there is one, since ptable_walk() came that far. */
hpa_t ptable_table(const struct ptable *pt, uint64_t va, unsigned int level);

/*
 * Makes @dst's entry of @level for @dst_va the same as @src's for @src_va, so that everything below is
 * shared for ever. Both have the tables above; @dst's entry is absent. ptable_unshare forgets it again.
 */
void ptable_share(struct ptable *dst, uint64_t dst_va, const struct ptable *src, uint64_t src_va,
		  unsigned int level);
void ptable_unshare(struct ptable *dst, uint64_t va, unsigned int level);

/*
 * Links a table of the caller's, which it has filled with PTE_ABSENT and writes by itself, as the one that
 * holds @pt's leaves of level 0 around @va. ptable_prepare() to level 1 has been there. Its page is none of
 * @pt's: ptable_unshare(@pt, @va, 1) takes it out before it is freed.
 */
void ptable_link(struct ptable *pt, uint64_t va, hpa_t table);
/* The flags of a leaf, to write such a table with. */
uint64_t ptable_leaf_flags(const struct pt_format *f, unsigned int level, unsigned int prot);
