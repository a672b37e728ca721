/* SPDX-License-Identifier: MIT */
/*
 * asi/switch.c, asi/shootdown.c and asi/stun.c with real threads as CPUs, each with a TLB of its own that fills itself
 * whenever it may. Every CPU enters and leaves domains at random, runs guests, and unmaps: pages of a domain, of what all
 * domains share, and of the unrestricted space. When the unmapping has returned, its frame is free, and nobody may
 * reach it by whatever his TLB has kept. Two CPUs are threads of one core: neither runs a guest while the other is
 * unrestricted, or has left something in the core that is not flushed. Interrupts are flags that a CPU looks at
 * where it would let them in.
 *
 * LOOPS=n unmappings in all, and in a second run n guests by siblings; SEED=n repeats what each CPU does (not how they
 * interleave).
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "arch/cpus.h"
#include "arch/insn.h"
#include "arch/percpu.h"
#include "arch/regs.h"
#include "arch/tlb.h"
#include "asi/crossing.h"
#include "asi/internal.h"
#include "asi/mitigate.h"
#include "lib/assert.h"
#include "mm/hostmap.h"
#include "unittests/seed.h"

/* Accesses that other CPUs see are marked as volatile in the sources: ThreadSanitizer is told so by the compiler's flag. */
#undef this_cpu
#define this_cpu(var) (*(volatile __typeof__(var) *)&(var))
#include "asi/switch.c"
#include "asi/shootdown.c"
#include "asi/stun.c"

#define CPUS	4
#define DOMAINS CPUS
#define PCIDS	(PCID_SLOTS + 1)
#define ROOT(d) (((uint64_t)(d) + 1) << PAGE_SHIFT) /* of domain @d; the host's is 0x100000 */
#define HOST	0x100000UL

/* Each CPU unmaps three pages, one of each kind; its domain's is the one with its own number. */
enum kind { LOCAL_PAGE, GLOBAL_PAGE, HOST_PAGE, KINDS };

struct page_entry {
	uint64_t frame; /* in the tables: 0 is absent */
	uint64_t freed; /* frames up to this one are somebody else's */
};
static struct page_entry pages[CPUS][KINDS]; /* atomic */
static struct asi domains[DOMAINS];
static struct mem_owner owners[DOMAINS];
static const struct asi_class guest_class = { .name = "vm", .runs_guest = true, .has_owner = true };
static struct ptable host_table;

char *fake_thread_pointer[CPUS_MAX];
bool pcid_on;
static bool kicked[CPUS];	    /* atomic */
static uint64_t active;		    /* atomic */
static uint64_t unmappings, wanted; /* atomic, the first */
static uint64_t uses, late;	    /* atomic */
static uint64_t guests, held;	    /* atomic: that siblings have run, and were kept from running */
static bool few_unmap;		    /* in the run that is about guests */

/* Of the core: how many of its threads are in a guest, and who has been outside since the last flush. Atomic. */
static uint64_t in_guests, secrets;

static _Thread_local uint64_t cr3 = HOST, random_state;
static _Thread_local uint64_t tlb[PCIDS][CPUS][KINDS]; /* frames, 0: not cached */
uint32_t trap_depth;				       /* no handlers here */

/* Numbers 0 and 1 are siblings. */
uint64_t cpu_siblings(uint32_t cpu)
{
	return cpu < 2 ? 3 : BIT(cpu);
}

uint32_t cpu_thread(uint32_t cpu)
{
	return cpu < 2 ? cpu : 0;
}

uint32_t cpus_nr(void)
{
	return CPUS;
}

void world_yield(void)
{
}

static uint64_t below(uint64_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 8) % limit;
}

/* ---- the MMU ---- */

static bool space_maps(uint64_t root, unsigned int cpu, enum kind kind)
{
	if (root == HOST)
		return kind == HOST_PAGE;
	return kind == GLOBAL_PAGE || (kind == LOCAL_PAGE && root == ROOT(cpu));
}

/* One access, architectural or not: by the TLB, else by a walk that fills it. */
static void touch(unsigned int cpu, enum kind kind)
{
	uint64_t *cached = &tlb[cr3 & CR3_PCID_MASK][cpu][kind];
	struct page_entry *page = &pages[cpu][kind];

	if (!space_maps(cr3 & PTE_ADDR_MASK, cpu, kind))
		return;
	if (!*cached)
		*cached = __atomic_load_n(&page->frame, __ATOMIC_ACQUIRE);
	if (!*cached)
		return; /* a fault, or nothing if it was speculation */
	ASSERT(*cached > __atomic_load_n(&page->freed, __ATOMIC_ACQUIRE));
	__atomic_fetch_add(&uses, 1, __ATOMIC_RELAXED);
}

/* Outside, what is sensitive comes into the core: no sibling's guest may be there to read it. */
static void touch_secrets(void)
{
	if (!stun_core || (cr3 & PTE_ADDR_MASK) != HOST)
		return;
	__atomic_fetch_or(&secrets, BIT(cpu_number), __ATOMIC_SEQ_CST);
	ASSERT(!__atomic_load_n(&in_guests, __ATOMIC_SEQ_CST));
}

/* What runs between any two instructions that matter. */
static void run_some(void)
{
	touch_secrets();
	for (unsigned int i = 0; i < 3; i++)
		touch((unsigned int)below(CPUS), (enum kind)below(KINDS));
}

void write_cr3(uint64_t v)
{
	run_some();
	if (!(v & CR3_NOFLUSH))
		memset(tlb[v & CR3_PCID_MASK], 0, sizeof(tlb[0]));
	cr3 = v & ~CR3_NOFLUSH;
	run_some();
}

uint64_t read_cr3(void)
{
	return cr3;
}

void tlb_flush_all(void)
{
	memset(tlb, 0, sizeof(tlb));
	run_some();
}

void tlb_flush_pcid(uint64_t pcid)
{
	memset(tlb[pcid], 0, sizeof(tlb[pcid]));
	run_some();
}

/* Ranges are a page of one CPU: its number is the address. */
void tlb_flush_pcid_page(uint64_t pcid, uint64_t va)
{
	memset(tlb[pcid][va / PAGEBLOCK_SIZE], 0, sizeof(tlb[0][0]));
	run_some();
}

/* ---- the rest of the machine ---- */

uint64_t cpus_active(void)
{
	return __atomic_load_n(&active, __ATOMIC_ACQUIRE);
}

void cpu_kick(uint32_t cpu)
{
	__atomic_store_n(&kicked[cpu], true, __ATOMIC_RELEASE);
}

/* Where interrupts are let in. */
static void window(void)
{
	if (__atomic_exchange_n(&kicked[cpu_number], false, __ATOMIC_ACQ_REL))
		cpu_serve();
}

uint64_t hostmap_cr3(void)
{
	return HOST;
}

struct ptable *hostmap_ptable(void)
{
	return &host_table;
}

void ptable_note_flush(struct ptable *pt, uint64_t nr)
{
	__atomic_fetch_add(&pt->nr_flushed, nr, __ATOMIC_RELAXED);
}

uint64_t ptable_unmap(struct ptable *pt, uint64_t va, uint64_t len)
{
	(void)pt;
	(void)va;
	(void)len;
	return 0;
}

/* Flushes what this thread has left in the core. */
void mitigate_enter(struct asi *asi)
{
	run_some();
	__atomic_fetch_and(&secrets, ~BIT(cpu_number), __ATOMIC_SEQ_CST);
	run_some();
	asi_clean = asi;
}

void mitigate_park(void)
{
	__atomic_fetch_and(&secrets, ~BIT(cpu_number), __ATOMIC_SEQ_CST);
}

void mitigate_leave(void)
{
	asi_clean = NULL;
}

_Thread_local struct asi *asi_clean;

void crossing_note(enum asi_cause cause, const struct asi *asi, uint64_t rip, uint64_t caller,
		   uint64_t cr2, uint64_t error)
{
	(void)cause;
	(void)asi;
	(void)rip;
	(void)caller;
	(void)cr2;
	(void)error;
}

const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "halt_on_error=1";
}

/* ---- what each CPU does ---- */

/* Takes its page of @kind out, has it flushed, frees the frame, and maps the next. */
static void unmap(enum kind kind)
{
	struct page_entry *page = &pages[cpu_number][kind];
	uint64_t frame = page->frame, va = cpu_number * PAGEBLOCK_SIZE;
	bool range = below(2);

	__atomic_store_n(&page->frame, 0, __ATOMIC_RELEASE);
	if (kind == HOST_PAGE)
		unmap_flush(SENSITIVE, NULL, 1);
	else if (kind == GLOBAL_PAGE)
		asi_flush_global(range ? va : 0, range ? PAGEBLOCK_SIZE : ~0UL);
	else if (below(2))
		asi_flush_local(&domains[cpu_number], range ? va : 0,
				range ? PAGEBLOCK_SIZE : ~0UL);
	else
		asi_flush_owner(&owners[cpu_number], 0, ~0UL);
	__atomic_store_n(&page->freed, frame, __ATOMIC_RELEASE);
	__atomic_store_n(&page->frame, frame + 1, __ATOMIC_RELEASE);
	__atomic_fetch_add(&unmappings, 1, __ATOMIC_RELAXED);
}

/* All three at once, by a flush of everything. */
static void unmap_all(void)
{
	uint64_t frame[KINDS];

	for (enum kind k = 0; k < KINDS; k++) {
		frame[k] = pages[cpu_number][k].frame;
		__atomic_store_n(&pages[cpu_number][k].frame, 0, __ATOMIC_RELEASE);
	}
	tlb_flush_generation();
	for (enum kind k = 0; k < KINDS; k++) {
		__atomic_store_n(&pages[cpu_number][k].freed, frame[k], __ATOMIC_RELEASE);
		__atomic_store_n(&pages[cpu_number][k].frame, frame[k] + 1, __ATOMIC_RELEASE);
	}
	__atomic_fetch_add(&unmappings, 1, __ATOMIC_RELAXED);
}

/* The guest's own instructions: until a kick comes, or not so long. One that is pending comes before the first. */
static void vm_entry(void)
{
	uint64_t turns = below(4);

	if (!stun_core || __atomic_load_n(&kicked[cpu_number], __ATOMIC_ACQUIRE))
		return;
	__atomic_fetch_add(&in_guests, 1, __ATOMIC_SEQ_CST);
	do {
		ASSERT(!__atomic_load_n(&secrets, __ATOMIC_SEQ_CST));
		cpu_pause();
	} while (turns-- && !__atomic_load_n(&kicked[cpu_number], __ATOMIC_ACQUIRE));
	__atomic_fetch_sub(&in_guests, 1, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&guests, 1, __ATOMIC_RELAXED);
}

/* One exit and the next entry. */
static void run_guest(struct asi *d)
{
	asi_enter(d);
	run_some();
	if (stun_guest_begin()) {
		asi_check_entry(d, asi_host_cr3());
		run_some();
		vm_entry();
		stun_guest_end();
	} else {
		__atomic_fetch_add(&held, 1, __ATOMIC_RELAXED);
	}
	run_some();
	asi_relax();
	run_some();
	window();
}

static void step(void)
{
	struct asi *d = &domains[below(DOMAINS)];

	switch (below(8)) {
	case 0:
		asi_exit();
		run_some();
		window();
		break;
	case 1:
	case 2:
		if (!few_unmap || !below(8))
			unmap((enum kind)below(KINDS));
		break;
	case 3:
		if (!below(few_unmap ? 32 : 4))
			unmap_all();
		break;
	default:
		for (uint64_t n = 1 + below(4); n; n--)
			run_guest(d);
	}
	run_some();
}

static void *run_cpu(void *arg)
{
	cpu_number = (uint32_t)(uint64_t)arg;
	random_state = (seed_state + 1) * (0x9e3779b97f4a7c15UL + cpu_number);
	fake_thread_pointer[cpu_number] = __builtin_thread_pointer();
	asi_init_cpu();
	if (cpu_siblings(cpu_number) != BIT(cpu_number)) {
		stun_me = BIT(cpu_thread(cpu_number));
		stun_core = &stun_cores[0];
	}
	stun_join();
	__atomic_fetch_or(&active, BIT(cpu_number), __ATOMIC_SEQ_CST);
	while (cpus_active() != BITS(CPUS - 1, 0))
		sched_yield();
	while (__atomic_load_n(few_unmap ? &guests : &unmappings, __ATOMIC_RELAXED) < wanted)
		step();
	asi_exit();
	__atomic_fetch_and(&active, ~BIT(cpu_number), __ATOMIC_SEQ_CST);
	stun_park();
	/* Others may still look at this CPU's words. */
	while (cpus_active())
		cpu_pause();
	__atomic_fetch_add(&late, asi_stats.tlb_late, __ATOMIC_RELAXED);
	return NULL;
}

static void run(bool pcid, bool about_guests)
{
	pthread_t thread[CPUS];

	pcid_on = pcid;
	few_unmap = about_guests;
	unmappings = uses = late = guests = held = 0;
	for (uint64_t i = 0; i < CPUS; i++)
		ASSERT(!pthread_create(&thread[i], NULL, run_cpu, (void *)i));
	for (unsigned int i = 0; i < CPUS; i++)
		pthread_join(thread[i], NULL);
	printf("%s PCIDs: %lu unmappings on %u CPUs, %lu uses, %lu late flushes; %lu guests, %lu "
	       "held\n",
	       pcid ? "with" : "without", unmappings, CPUS, uses, late, guests, held);
	ASSERT((about_guests ? guests : unmappings) >= wanted && uses > wanted && held);
	ASSERT(stun_cores[0].word == 0 && !in_guests && !secrets);
}

int main(void)
{
	const char *loops = getenv("LOOPS");

	seed_start((uint64_t)time(NULL));
	wanted = loops ? strtoul(loops, NULL, 10) : 20000;
	switch_init(true);
	for (unsigned int i = 0; i < DOMAINS; i++) {
		owners[i].id = (uint16_t)(i + 1);
		domains[i] = (struct asi){ .class = &guest_class,
					   .id = i + 1,
					   .owner = &owners[i],
					   .pt.root = { ROOT(i) } };
		domain_publish(&domains[i]);
		for (enum kind k = 0; k < KINDS; k++)
			pages[i][k].frame = 1;
	}
	run(true, false);
	run(false, false);
	run(true, true);
	return 0;
}
