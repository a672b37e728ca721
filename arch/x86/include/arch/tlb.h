/* SPDX-License-Identifier: MIT */
/*
 * This CPU's TLB. PCIDs are used if the CPU has INVPCID too; otherwise every CR3 write
 * flushes, which is slower and never wrong.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* Turns PCIDs on where possible, if @wanted. CR3 holds PCID 0. The second: on another CPU, as on the first. */
void tlb_init(bool wanted);
void tlb_init_cpu(void);
extern bool pcid_on; /* tlb.c */
static inline bool tlb_has_pcid(void)
{
	return pcid_on;
}
/* Drops every translation of every PCID. */
void tlb_flush_all(void);
/* Drops the translations of one PCID. */
void tlb_flush_pcid(uint64_t pcid);
/* Drops the translation of the page that @va lies in, of any size, in the current PCID. */
void tlb_flush_page(uint64_t va);
/* The same in one PCID, current or not. */
void tlb_flush_pcid_page(uint64_t pcid, uint64_t va);
