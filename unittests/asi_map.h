/* SPDX-License-Identifier: MIT */
/* What tests of asi/map.c and asi/audit.c share: the machine, four domains, and exact accounting. */
#pragma once
#include <string.h>
#include "unittests/memory.h"
#include "unittests/fake/machine.h"
#include "unittests/fake/mmu.h"
#include "arch/insn.h"
#include "asi/audit.h"
#include "asi/internal.h"
#include "mm/memmap.h"

#define VMS 4
static struct asi *vms[VMS];

static inline int map_setup(void **state)
{
	fake_machine_setup(state);
	fake_irqs_on = false;
	for (unsigned int i = 0; i < VMS; i++)
		assert_int_equal(asi_create(ASI_GUEST_VM, &fake_owners[i], &vms[i]), 0);
	return 0;
}

static inline int map_teardown(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < VMS; i++) {
		mem_owner_destroy(&fake_owners[i]);
		asi_put(vms[i]);
	}
	return 0;
}

/* Whether @asi's local window maps all of the block that @hva, a local address, lies in. */
static inline bool maps_local(const struct asi *asi, const void *hva)
{
	struct pt_walk w = ptable_walk(&asi->pt, LOCALMAP_BASE + hva_to_hpa(hva).v);

	return w.present && w.hpa.v == hva_to_hpa(hva).v;
}

static inline void note_flush(struct ptable *pt)
{
	ptable_note_flush(pt, pt->nr_removed - pt->nr_flushed);
}

/* What a test has unmapped by hand counts as flushed. */
static inline void note_flushes(void)
{
	note_flush(hostmap_ptable());
	note_flush(&asi_global);
	for (unsigned int i = 0; i < VMS; i++)
		note_flush(&vms[i]->pt);
}

static inline uint64_t violations(void)
{
	struct asi_audit audit;

	asi_audit(&audit);
	return audit.violations;
}
