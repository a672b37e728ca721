/* SPDX-License-Identifier: MIT */
/*
 * What vm_create() needs of VMX, ASI and vmalloc, on the real buddy: a domain and a window are pages, a
 * vmalloc area is a run of pages, and what is in use is counted.
 */
#pragma once
#include <stdbool.h>

/* VMCSs between VMPTRLD and VMCLEAR; domains. */
extern unsigned int fake_nr_vmcs, fake_nr_domains;
/* Flushes of a guest's translations, and VMCSs that were given the host state of this CPU. */
extern unsigned int fake_nr_invvpid, fake_nr_invept, fake_nr_host_setups;

bool fake_vmalloc_is_empty(void);
