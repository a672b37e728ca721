/* SPDX-License-Identifier: MIT */
/*
 * garbage: pseudo-random bytes as a program.
 *
 * Why: hypervisors die of instruction sequences that nobody thinks of. Each round fills a page
 * from its seed and runs it in ring 0; a fault or the timer ends the round. The processor may
 * be left in any state and this very image overwritten, so anything may happen to the guest.
 * Expected: any verdict, as long as the hypervisor and the other guests survive. The seed of
 * each round is printed before it: run again with seed= of the last one and n=1.
 * Arguments: seed= (default 1), n= rounds (default 200).
 */
#include "guest-tests/garbage/state.h"
#include "guest-tests/lib/cpu.h"
#include "vmm/abi.h"

enum { ROUND_TICKS = 100000, TIMER_VECTOR = 0x60 };

extern u8 garbage_next[], stack_top[];
void garbage_round(void);
void garbage_run(void) __attribute__((noreturn));

u8 garbage_page[2 * PAGE_SIZE] __attribute__((aligned(4096)));
u8 garbage_data[16 * PAGE_SIZE] __attribute__((aligned(4096)));
u64 garbage_cr0, garbage_cr3, garbage_cr4;

static u64 seed, rounds, done;
static u64 ended_by[256];

static void fill(u64 state)
{
	state = state * 0x9e3779b97f4a7c15ull + 1;
	for (size_t i = 0; i < sizeof(garbage_page); i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		garbage_page[i] = (u8)(state >> 24);
	}
}

/* Every vector: the round is over, whatever the registers hold. */
static void on_anything(struct trap_frame *f)
{
	ended_by[f->vector]++;
	f->rip = (u64)garbage_next;
	f->cs = SEL_CODE64;
	f->ss = SEL_DATA;
	f->rsp = (u64)stack_top;
	f->rflags = 2;
}

/* Called by garbage_next in run.S with a fresh stack, for each round. */
void garbage_round(void)
{
	if (done == rounds) {
		for (unsigned int i = 0; i < 256; i++) {
			if (ended_by[i])
				print("garbage: vector %u ended %lu rounds\n", i, ended_by[i]);
		}
		report(true, "garbage rounds", " ");
		finish();
	}
	print("garbage: round %lu seed %lu\n", done, seed + done);
	fill(seed + done);
	done++;
	if (hypervisor())
		hypercall(HC_TIMER, ROUND_TICKS, TIMER_VECTOR, 0);
	garbage_run();
}

void guest_main(void)
{
	seed = arg_u64("seed", 1);
	rounds = arg_u64("n", 200);
	hypervisor(); /* asked before #UD has a hook */
	garbage_cr0 = read_cr0();
	garbage_cr3 = read_cr3();
	garbage_cr4 = read_cr4();
	for (unsigned int i = 0; i < 256; i++)
		trap_hook(i, on_anything);
	trap_all_on_ist();
	garbage_round();
}
