/* SPDX-License-Identifier: MIT */
/* Self-test of stacks and canaries: which spaces map them (arch/stack.h says which should). */
#include "arch/percpu_area.h"
#include "arch/regs.h"
#include "boot/selftest_internal.h"
#include "boot/teststack.h"
#include "mm/buddy.h"
#include "mm/vmalloc.h"

#define OTHER_OWNER (OWNER_MAX - 1)

static bool maps(const struct asi *asi, const void *hva)
{
	return ptable_walk(&asi->pt, (uint64_t)hva).present;
}

static const void *last_word(const void *top)
{
	return (const char *)top - sizeof(uint64_t);
}

/* Of the nonsensitive per-CPU area a space maps data, the #DF stack and the dynamic part: no other stack. */
static bool test_area(const struct asi *asi)
{
	const struct percpu_part *df = &percpu_parts[PERCPU_PART_STACK];

	for (uint64_t at = 0; at < PERCPU_STRIDE; at += PAGE_SIZE) {
		bool data = at < percpu_parts[0].size, stack = at - df->offset < df->size;
		bool dynamic = at - PERCPU_DYN_OFFSET < PERCPU_DYN_SIZE;

		CHECK(maps(asi, (void *)(percpu_area(0) + at)) == (data || stack || dynamic));
		CHECK(!maps(asi, (void *)(percpu_sensitive_area(0) + at)));
	}
	CHECK((uint64_t)df->offset + df->size == percpu_df_stack_top(0) - percpu_area(0));
	return true;
}

/* What @asi's owner runs on, and what the host does, is nothing to a domain of somebody else's. */
static bool test_foreign(const struct asi *other, const struct stack *mine,
			 const struct stack *base)
{
	struct stack *theirs = teststack_create(other->owner);

	CHECK(theirs);
	CHECK(theirs->canary != mine->canary && theirs->canary != base->canary);
	CHECK(maps(other, theirs) && maps(other, last_word(theirs->top)));
	CHECK(!maps(other, mine) && !maps(other, last_word(mine->top)));
	CHECK(!maps(other, base) && !maps(other, last_word(base->top)));
	teststack_destroy(theirs);
	return true;
}

bool test_stacks(const struct asi *asi, const struct stack *base)
{
	const struct stack *mine = stack_current();
	struct mem_owner *owner = page_zalloc(0, GLOBAL, NULL);
	struct asi *other;
	bool ok;

	CHECK(mine != base && mine->canary && mine->canary != base->canary);
	CHECK(maps(asi, mine) && maps(asi, last_word(mine->top)));
	CHECK(!maps(asi, base) && !maps(asi, last_word(base->top)));
	CHECK(stack_is_sensitive(last_word(base->top)));
	CHECK(!stack_is_sensitive(__builtin_frame_address(0)));
	CHECK(test_area(asi));

	CHECK(owner);
	mem_owner_init(owner, OTHER_OWNER);
	CHECK(!asi_create(ASI_GUEST_VM, owner, &other));
	ok = test_foreign(other, mine, base);
	vmalloc_owner_end(owner);
	mem_owner_destroy(owner);
	asi_put(other);
	page_free(owner, 0);
	return ok;
}
