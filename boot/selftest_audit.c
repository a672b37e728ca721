/* SPDX-License-Identifier: MIT */
/* The audit finds each single violation that is planted in the machine's real tables and tags. */
#include "asi/audit.h"
#include "boot/selftest_internal.h"
#include "mm/buddy.h"
#include "mm/hostmap.h"
#include "mm/vmalloc.h"

static struct asi *domain;

static uint64_t violations(void)
{
	struct asi_audit a;

	asi_audit(&a);
	return a.violations;
}

/* The entry of @level for @va in the tables of @pt, which are there. */
static uint64_t *entry_of(const struct ptable *pt, uint64_t va, unsigned int level)
{
	uint64_t *table = hpa_to_direct(ptable_table(pt, va, level));

	return &table[va >> (PAGE_SHIFT + 9 * level) & 511];
}

/* Whether the audit finds something if *@word is @value, and nothing if it is as before. */
static bool found_if(uint64_t *word, uint64_t value)
{
	uint64_t was = *word;
	bool found;

	*word = value;
	found = violations() > 0;
	*word = was;
	return found && violations() == 0;
}

/* A block's tag, or a page's state, that contradicts what is mapped. */
static bool tags(const void *local, struct mem_owner *owner)
{
	struct pageblock *b = pfn_to_pageblock(hpa_to_pfn(hva_to_hpa(local)));
	struct pageblock *table = pfn_to_pageblock(hpa_to_pfn(domain->pt.root));
	struct page *page = pfn_to_page(hpa_to_pfn(hva_to_hpa(local)));

	b->class = SENSITIVE; /* a stale alias: it changed class and stayed mapped */
	CHECK(violations() == 1);
	b->class = LOCAL;
	b->owner = NULL; /* somebody else's */
	CHECK(violations() == 1);
	b->owner = owner;
	table->class = GLOBAL; /* a page table that guests may learn */
	CHECK(violations() >= 1);
	table->class = SENSITIVE;
	page_set_state(page, PAGE_TAIL); /* never the allocator's: a neighbour of another kind */
	CHECK(violations() == 1);
	page_set_state(page, PAGE_USED);
	CHECK(violations() == 0);
	return true;
}

static bool entries(const void *local, const void *sensitive)
{
	uint64_t frame = hva_to_hpa(local).v, other = hva_to_hpa(sensitive).v;
	uint64_t *block = entry_of(&domain->pt, LOCALMAP_BASE + frame, 1);
	uint64_t *self = entry_of(&domain->pt, SELF_PAGE, 0);

	CHECK(found_if(block, *block | PTE_G));		 /* a global translation */
	CHECK(found_if(block, *block | PTE_U));		 /* a user mapping */
	CHECK(found_if(block, *block & ~PTE_NX));	 /* more rights: W and X */
	CHECK(found_if(block, *block ^ PAGEBLOCK_SIZE)); /* the wrong frame */
	CHECK(found_if(block, *block & ~PTE_P));	 /* absent, yet with a frame: L1TF */
	CHECK(found_if(self, *self | PTE_W));		 /* more rights than the host has */
	CHECK(found_if(self + 1, (*self & ~PTE_ADDR_MASK) | other)); /* one mapping more */
	CHECK(found_if(entry_of(&domain->pt, VMALLOC_SENSITIVE_BASE, 3),
		       *entry_of(hostmap_ptable(), VMALLOC_SENSITIVE_BASE, 3)));
	return true;
}

/* A vmalloc area's page that is another's, and one that has been freed. */
static bool areas(struct mem_owner *owner)
{
	char *area = vmalloc(2 * PAGE_SIZE, LOCAL, owner);
	struct page *page;
	uint64_t *entry;

	CHECK(area);
	entry = entry_of(hostmap_ptable(), (uint64_t)area, 0);
	page = pfn_to_page((*entry & PTE_ADDR_MASK) >> PAGE_SHIFT);
	CHECK(found_if(entry, entry[1]));
	page_set_state(page, PAGE_CACHED);
	CHECK(violations() > 0);
	page_set_state(page, PAGE_USED);
	vfree(area);
	CHECK(violations() == 0); /* kept aside: its own page still */
	vmalloc_flush();
	CHECK(violations() == 0);
	return true;
}

static bool missing_flush(const void *local)
{
	uint64_t block = hva_to_hpa(local).v & ~(PAGEBLOCK_SIZE - 1), nr;

	nr = ptable_unmap(&domain->pt, LOCALMAP_BASE + block, PAGEBLOCK_SIZE);
	CHECK(violations() == 1);
	asi_flush_local(domain, 0, ~0UL);
	ptable_note_flush(&domain->pt, nr);
	CHECK(violations() == 0);
	ptable_map(&domain->pt, LOCALMAP_BASE + block, HPA(block), PAGEBLOCK_SIZE, 1, PROT_RW);
	return true;
}

bool selftest_audit(struct mem_owner *owner, struct asi *d)
{
	void *sensitive = page_alloc(0, SENSITIVE, NULL), *local = page_alloc(0, LOCAL, owner);

	domain = d;
	CHECK(sensitive && local);
	CHECK(violations() == 0);
	log_info("selftest: violations are planted now, and reported");
	CHECK(tags(local, owner));
	CHECK(entries(local, sensitive));
	CHECK(areas(owner));
	CHECK(missing_flush(local));
	CHECK(violations() == 0);
	page_free(sensitive, 0);
	page_free(local, 0);
	return true;
}
