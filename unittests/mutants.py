"""Faults that scripts/mutants plants, one at a time, and that a unit test must see.

A row: name, the tests that should see it (the likeliest first), and one or more edits: file, a text that
stands there exactly once, the text instead. Keep texts short: a row whose text is gone is an error.
"""
BUDDY, SLAB, VMALLOC, PTABLE = "mm/buddy.c", "mm/slab.c", "mm/vmalloc.c", "mm/ptable.c"
MAP, DOMAIN, SWITCH = "asi/map.c", "asi/domain.c", "asi/switch.c"

_SCRUB = "clear_words(hpa_to_direct(first), nr_blocks * PAGEBLOCK_SIZE);"
_EXPOSE = "pageblock_expose(first, nr_blocks, class, owner);"

MUTANTS = [
    # Conversion: reserve, hide, scrub, retag, expose.
    ("convert-no-scrub", "buddy buddy_walk", (BUDDY, _SCRUB, "")),
    ("convert-scrub-one-block", "buddy buddy_walk",
     (BUDDY, _SCRUB, "clear_words(hpa_to_direct(first), PAGEBLOCK_SIZE);")),
    ("convert-no-hide", "buddy asi_map", (BUDDY, "if (old.class != SENSITIVE)", "if (false)")),
    ("convert-no-expose", "buddy asi_map", (BUDDY, _EXPOSE, "(void)0;")),
    ("convert-expose-before-scrub", "buddy", (BUDDY, _SCRUB, ""), (BUDDY, _EXPOSE, f"{{ {_EXPOSE} {_SCRUB} }}")),
    ("convert-retag-before-hide", "buddy",
     (BUDDY, "if (old.class != SENSITIVE)", "block->class = (uint8_t)class;\n\tif (old.class != SENSITIVE)")),
    ("convert-retag-one-block", "buddy buddy_walk", (BUDDY, "i < nr_blocks; i++", "i < 1; i++")),
    ("convert-wrong-owner", "buddy", (BUDDY, "block[i].owner = owner;", "block[i].owner = old.owner;")),
    ("convert-counts-drift", "buddy", (BUDDY, "buddy.stats.block_pages[old.class] -= nr_pages;", "")),
    ("convert-lost-to-pool", "buddy asi_map", (BUDDY, "pool_of(class, owner)->nr_pages += nr_pages;", "")),
    # Runs: split and merge.
    ("merge-across-classes", "buddy_walk buddy asi_map", (BUDDY, "twin_block->class == block->class && ", "")),
    ("merge-across-owners", "buddy buddy_walk", (BUDDY, "twin_block->owner == block->owner &&", "")),
    ("merge-other-order", "buddy buddy_walk", (BUDDY, " && pfn_to_page(twin)->order == order", "")),
    ("merge-used", "buddy buddy_walk", (BUDDY, "pfn_to_page(twin)->state == PAGE_FREE &&", "")),
    ("split-off-by-one", "buddy", (BUDDY, "run + (1UL << from), from", "run + (1UL << from) - 1, from")),
    ("split-class-of-other-list", "buddy",
     (BUDDY, "return class == LOCAL ? &owner->pool : &buddy.pools[class];",
      "return class == LOCAL ? &owner->pool : &buddy.pools[SENSITIVE];")),
    ("unlink-stale-link", "buddy buddy_walk", (BUDDY, "link_to_page(run->next)->prev = run->prev;", ";")),
    ("free-counter-drift", "buddy",
     (BUDDY, "buddy.stats.free_pages[pfn_to_pageblock(page_to_pfn(run))->class] -= 1UL << order;", "")),
    ("add-misaligned", "buddy", (BUDDY, "pfn ? bit_lowest(pfn) : PAGE_ORDER_MAX", "(unsigned int)PAGE_ORDER_MAX")),
    ("zalloc-first-page-only", "buddy", (BUDDY, "clear_words(hva, PAGE_SIZE << order);", "clear_words(hva, PAGE_SIZE);")),
    ("alias-always-direct", "buddy", ("mm/page.h", "? hpa_to_local(hpa)", "? hpa_to_direct(hpa)")),
    # The buddy's checks and error paths.
    ("page-double-free", "buddy", (BUDDY, "ASSERT(page->state == PAGE_USED);", "")),
    ("page-free-other-order", "buddy", (BUDDY, "ASSERT(page->order == order);", "")),
    ("page-free-other-alias", "buddy", (BUDDY, "ASSERT(hva == page_hva(page));", "")),
    ("page-alloc-class-unchecked", "buddy", (BUDDY, "ASSERT((class == LOCAL) == (owner != NULL));", "")),
    ("page-alloc-keeps-lock", "buddy",
     (BUDDY, "buddy.stats.failures++;", "{\n\t\tbuddy.stats.failures++;\n\t\treturn NULL;\n\t}")),
    ("no-hysteresis", "buddy", (BUDDY, "pool_trim(pool, 1);", "pool_trim(pool, 0);")),
    ("blocks-never-return", "buddy", (BUDDY, "pool_trim(pool, 1);", ";")),
    # Slab.
    ("slab-double-free", "slab", (SLAB, "if (!(slab->live[nr / MAP_BITS] & BIT(nr % MAP_BITS)))", "if (false)")),
    ("slab-wrong-cache", "slab", (SLAB, " || page->slab != cache->index", "")),
    ("slab-inside-object", "slab", (SLAB, "offset % cache->stride || ", "")),
    ("slab-not-cleared", "slab", (SLAB, "clear_words(object, cache->stride);", "")),
    ("slab-live-at-end", "slab", (SLAB, "if (cache->nr_objects)", "if (false)")),
    ("slab-wrong-class", "slab", (SLAB, "page_alloc(cache->order, cache->class, cache->owner)",
                                  "page_alloc(cache->order, SENSITIVE, NULL)")),
    ("slab-empties-pile-up", "slab", (SLAB, "surplus = slab->nr_live == 0 && cache->nr_empty > 0;", "surplus = false;")),
    ("slab-count-drift", "slab", (SLAB, "cache->nr_objects--;", "")),
    ("slab-one-object-too-many", "slab",
     (SLAB, "slab_head_size(cache, nr) + nr * cache->stride > size", "nr * cache->stride > size")),
    # Vmalloc.
    ("vmalloc-no-guard-above", "vmalloc", (VMALLOC, "area->start < bytes + PAGE_SIZE", "area->start < bytes")),
    ("vmalloc-no-guard-below", "vmalloc", (VMALLOC, "area->start = area_end(*at) + PAGE_SIZE;", "area->start = area_end(*at);")),
    ("vmalloc-range-end", "vmalloc", (VMALLOC, "area_end(area) + PAGE_SIZE <= range.base", "area_end(area) <= range.base")),
    ("vmalloc-double-free", "vmalloc", (VMALLOC, "area->unmapping = true;", "")),
    ("vmalloc-not-cleared", "vmalloc", (VMALLOC, "page_zalloc(0, class, owner)", "page_alloc(0, class, owner)")),
    ("vmalloc-error-keeps-area", "vmalloc", (VMALLOC, "area_remove(area);\n\t\tarea_free(area);", "area_free(area);")),
    ("vmalloc-owners-share", "vmalloc", (VMALLOC, "owner_id * VMALLOC_LOCAL_SIZE,\n", "VMALLOC_LOCAL_SIZE,\n")),
    ("vmalloc-descriptor-sensitive", "vmalloc",
     (VMALLOC, "page_alloc(order, class, owner) : NULL", "page_alloc(order, SENSITIVE, NULL) : NULL")),
    # Page tables.
    ("ptable-frame-in-absent", "ptable ptable_walk",
     (PTABLE, "len - done >= size);\n\t\t\tWRITE_ONCE(*entry, PTE_ABSENT)",
      "len - done >= size);\n\t\t\tWRITE_ONCE(*entry, *entry & ~pt->format->present)")),
    ("ptable-split-off-by-one", "ptable", (PTABLE, "(frame.v + i * step)", "(frame.v + (i + 1) * step)")),
    ("ptable-split-keeps-large", "ptable", (PTABLE, "flags &= ~pt->format->large;", ";")),
    ("ptable-unmap-too-much", "ptable",
     (PTABLE, "ASSERT(IS_ALIGNED(va + done, size) && len - done >= size);", "")),
    ("ptable-executable-data", "ptable", (PTABLE, "prot & PROT_X ? f->x : f->nx", "f->x")),
    ("ptable-map-over", "ptable", (PTABLE, "ASSERT(entry && !entry_present(pt, *entry));\n\t\tWRITE_ONCE",
                                   "ASSERT(entry);\n\t\tWRITE_ONCE")),
    ("ptable-tables-leak", "ptable", (PTABLE, "table_free(pt, entry_hpa(table[i], 0), level - 1);", ";")),
    # What a domain maps.
    ("hide-global-no-flush", "asi_map", (MAP, "tlb_flush_all();", "")),
    ("hide-local-no-flush", "asi_map", (MAP, "asi_flush_local(asi_by_owner[owner->id]);", "")),
    ("hide-local-stays-mapped", "asi_map",
     (MAP, "ptable_unmap(local_tables(owner), LOCALMAP_BASE + first.v, len);", "(void)len;")),
    ("hide-global-one-block", "asi_map",
     (MAP, "ptable_unmap(&asi_global, DIRECTMAP_BASE + first.v, len);",
      "ptable_unmap(&asi_global, DIRECTMAP_BASE + first.v, PAGEBLOCK_SIZE);")),
    ("domain-other-vmalloc", "asi_map asi_audit",
     (MAP, "return VMALLOC_LOCAL_BASE + asi->owner->id * VMALLOC_LOCAL_SIZE;",
      "return VMALLOC_LOCAL_BASE + (asi->owner->id ^ 1) * VMALLOC_LOCAL_SIZE;")),
    ("domain-sees-sensitive-percpu", "asi_map asi_audit",
     (MAP, "VMALLOC_GLOBAL_BASE, PERCPU_BASE,", "VMALLOC_GLOBAL_BASE, PERCPU_SENSITIVE_BASE,")),
    ("domain-sees-data", "asi_map asi_audit", (MAP, "!w->restricted || ", "")),
    ("domain-self-writable", "asi_map", (MAP, "PAGE_SIZE, 0, PROT_R);", "PAGE_SIZE, 0, PROT_RW);")),
    ("domain-destroy-shared", "asi_map", (MAP, "ptable_unshare(&asi->pt, IMAGE_BASE, PT_LEVELS - 1);", "")),
    ("domain-error-leak", "asi_map", (DOMAIN, "map_destroy(asi);\n\t\tslab_free", "slab_free")),
    ("domain-stale-owner", "asi_map", (DOMAIN, "asi_by_owner[asi->owner->id] = NULL;", "")),
    # Translations that are no longer right.
    ("tlb-generation-ignored", "asi_tlb asi_switch", (SWITCH, "tlb_has_pcid() && this_cpu(asi_slots[slot]).gen == gen", "tlb_has_pcid()")),
    ("tlb-generation-stays", "asi_tlb asi_map", (SWITCH, "WRITE_ONCE(asi->tlb_gen, gen);", "")),
]
