/* SPDX-License-Identifier: MIT */
#include "boot/races.h"
#include "arch/cpus.h"
#include "arch/insn.h"
#include "arch/percpu.h"
#include "arch/tsc.h"
#include "asi/asi.h"
#include "boot/ap.h"
#include "boot/teststack.h"
#include "lib/bitops.h"
#include "lib/log.h"
#include "mm/buddy.h"
#include "mm/vmalloc.h"

#define RACES_OWNER   OWNER_MAX /* no VM has it */
#define FRAMES	      8		/* one that is stale stays so for as many rounds */
#define READS	      16	/* between two looks at what else there is to do */
#define STAYS	      2		/* of them, before the space is left */
#define AWAY	      100	/* looks, then */
#define JITTER	      512
#define CONTROL_TRIES 1000 /* by far, for readers to have cached the one before */
#define CONTROL_WAIT  1000 /* looks */

/* What one reader counts, in lines of its own. */
struct reader {
	uint64_t reads, stale, stays;
} __aligned(64);

/* LOCAL: the readers see it from inside. */
struct race {
	struct asi *asi;
	const uint64_t *block; /* where the frames take turns */
	uint64_t over;	       /* the last round whose flush has returned */
	bool done;
	struct reader reader[CPUS_MAX];
};

_Static_assert(sizeof(struct race) <= 2 * PAGE_SIZE, "prepare()");

static struct race *race;
static struct asi *domain;
static struct stack *stacks[CPUS_MAX];
static uint64_t *blocks[FRAMES];
static uint64_t *leaf; /* the first one's, in the domain's tables */
static uint64_t nr_rounds, control_stale;

void races_read(struct race *r);
void races_read_on_stack(struct race *r, struct stack *stack);

static void read_some(struct race *r, struct reader *me)
{
	for (unsigned int i = 0; i < READS; i++) {
		uint64_t over = __atomic_load_n(&r->over, __ATOMIC_ACQUIRE);

		if (READ_ONCE(*r->block) < over)
			WRITE_ONCE(me->stale, me->stale + 1);
	}
	me->reads += READS;
}

/* By races_read_on_stack(), on a stack that the domain maps. */
void races_read(struct race *r)
{
	struct reader *me = &r->reader[this_cpu(cpu_number)];

	while (!READ_ONCE(r->done)) {
		asi_enter(r->asi);
		read_some(r, me); /* interrupts are off: a kick has to wait */
		asi_relax();
		irq_restore(RFLAGS_IF);
		read_some(r, me); /* it comes between any two instructions */
		irq_save();
		if (++me->stays % STAYS)
			continue;
		asi_exit();
		for (unsigned int i = 0; i < AWAY; i++)
			cpu_pause();
	}
	asi_exit();
}

static uint64_t stale(void)
{
	uint64_t sum = 0;

	for_each_cpu (cpu, BITS(cpus_nr() - 1, 1))
		sum += READ_ONCE(race->reader[cpu].stale);
	return sum;
}

/* Another frame takes the place of the one before. */
static void show_next(uint64_t round)
{
	uint64_t *next = blocks[round % FRAMES];
	uint64_t flags = *leaf & ~PTE_ADDR_MASK;

	WRITE_ONCE(*next, round);
	barrier();
	WRITE_ONCE(*leaf, hva_to_hpa(next).v | flags);
}

static void end_round(uint64_t round)
{
	__atomic_store_n(&race->over, round, __ATOMIC_RELEASE);
}

/* Returns the last round. */
static uint64_t control(void)
{
	uint64_t round = 0;

	while (!stale() && round < CONTROL_TRIES) {
		show_next(++round);
		end_round(round);
		for (unsigned int i = 0; !stale() && i < CONTROL_WAIT; i++)
			cpu_pause();
	}
	asi_flush_local(domain, (uint64_t)race->block, PAGEBLOCK_SIZE);
	for (unsigned int i = 0; i < CONTROL_WAIT; i++)
		cpu_pause(); /* what was read before that has been counted by then */
	control_stale = stale();
	return round;
}

/* Up to JITTER looks: else both sides run in step, and never meet in most places. */
static void wait_some(uint64_t *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	for (uint64_t i = *random % JITTER; i; i--)
		cpu_pause();
}

static void unmap(void)
{
	uint64_t round = control(), last = round + nr_rounds, random = 1;

	while (round < last) {
		show_next(++round);
		asi_flush_local(domain, (uint64_t)race->block, PAGEBLOCK_SIZE);
		end_round(round);
		wait_some(&random);
	}
	WRITE_ONCE(race->done, true);
}

void races_work(void)
{
	uint32_t cpu = this_cpu(cpu_number);

	if (cpu == 0)
		unmap();
	else
		races_read_on_stack(race, stacks[cpu]);
}

static bool find_leaf(void)
{
	uint64_t va = (uint64_t)blocks[0];
	struct pt_walk walk = ptable_walk(&domain->pt, va);
	uint64_t *table;

	if (!walk.present || walk.level != 1)
		return false;
	table = hpa_to_direct(ptable_table(&domain->pt, va, 1));
	leaf = &table[va / PAGEBLOCK_SIZE % 512];
	return true;
}

static bool prepare(struct mem_owner *owner)
{
	if (asi_create(ASI_GUEST_VM, owner, &domain)) /* before its owner has memory */
		return false;
	race = page_zalloc(1, LOCAL, owner);
	if (!race)
		return false;
	race->asi = domain;
	for_each_cpu (cpu, BITS(cpus_nr() - 1, 1))
		if (!(stacks[cpu] = teststack_create(owner)))
			return false;
	for (unsigned int i = 0; i < FRAMES; i++)
		if (!(blocks[i] = page_zalloc(PAGEBLOCK_ORDER, LOCAL, owner)))
			return false;
	race->block = blocks[0];
	return !domain || find_leaf();
}

static void clean_up(struct mem_owner *owner)
{
	for (unsigned int i = 0; i < FRAMES; i++)
		if (blocks[i])
			page_free(blocks[i], PAGEBLOCK_ORDER);
	for_each_cpu (cpu, BITS(cpus_nr() - 1, 1))
		if (stacks[cpu])
			teststack_destroy(stacks[cpu]);
	if (race)
		page_free(race, 1);
	vmalloc_owner_end(owner);
	mem_owner_destroy(owner);
	asi_put(domain);
	page_free(owner, 0);
}

static bool report(uint64_t ticks, uint64_t kicks)
{
	uint64_t reads = 0, stays = 0, found = stale() - control_stale;

	for_each_cpu (cpu, BITS(cpus_nr() - 1, 1)) {
		reads += race->reader[cpu].reads;
		stays += race->reader[cpu].stays;
	}
	log_info("@races {\"rounds\":%lu,\"readers\":%u,\"reads\":%lu,\"leaves\":%lu,\"kicks\":%lu,"
		 "\"control\":%lu,\"stale\":%lu,\"ticks\":%lu}",
		 nr_rounds, cpus_nr() - 1, reads, stays / STAYS, kicks, control_stale, found,
		 ticks);
	return control_stale && !found;
}

static bool run(void)
{
	uint64_t flags = irq_save(), kicks = asi_cpu_stats()->kicks, ticks = rdtsc();
	uint64_t entry = *leaf;

	ap_do_everywhere(AP_RACES, BITS(cpus_nr() - 1, 0));
	WRITE_ONCE(*leaf, entry);
	asi_flush_local(domain, (uint64_t)race->block, PAGEBLOCK_SIZE);
	irq_restore(flags);
	return report(rdtsc() - ticks, asi_cpu_stats()->kicks - kicks);
}

bool races_run(uint64_t rounds)
{
	struct mem_owner *owner = cpus_nr() > 1 ? page_zalloc(0, GLOBAL, NULL) : NULL;
	bool pass = false;

	if (!owner) {
		log_error("races: %s",
			  cpus_nr() > 1 ? "no memory" : "one CPU has nobody to race with");
		return false;
	}
	nr_rounds = rounds;
	mem_owner_init(owner, RACES_OWNER);
	if (!prepare(owner))
		log_error("races: no memory");
	else
		pass = !domain || run();
	clean_up(owner);
	return pass;
}
