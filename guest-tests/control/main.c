/* SPDX-License-Identifier: MIT */
/*
 * control: a privileged guest (control=on) that ends, destroys and makes other VMs while they run.
 *
 * Why: a VM may be anywhere when it ends: on another CPU, asleep, in the middle of a hypercall; every byte and every number
 * of it must come back, and the next VM that gets them must find nothing. The caller may be wrong, too.
 * Expected: pass. It is number self= (0) of the guests; its victims are the victims= (1) behind it, for n= rounds, which
 * follow seed=. What the victims do is their business: they are stopped after up to ticks=.
 */
#include "guest-tests/lib/cpu.h"
#include "vmm/abi.h"

#define MIX	 0x9e3779b97f4a7c15ull
#define PATIENCE 2000000000ull /* TSC ticks */
#define NO_VM	 1000

static u64 random_state, wrong;

static u64 next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static s64 state(u64 vm)
{
	return hypercall(HC_VM_STATE, vm, 0, 0);
}

static void expect(s64 got, s64 want)
{
	wrong += got != want;
}

static void wait(u64 ticks)
{
	u64 begin = rdtsc();

	while (rdtsc() - begin < ticks)
		asm volatile("pause");
}

static bool ends(u64 vm)
{
	u64 begin = rdtsc();

	while (state(vm) == HC_VM_RUNS)
		if (rdtsc() - begin > PATIENCE)
			return false;
	return state(vm) == HC_VM_ENDED;
}

/* From a VM that runs, or has ended by itself, to one that has just been made. */
static void round_of(u64 vm, u64 ticks)
{
	wait(next_random() % ticks);
	if (state(vm) == HC_VM_RUNS && next_random() % 4)
		expect(hypercall(HC_VM_CREATE, vm, 0, 0), HC_EBUSY);
	expect(hypercall(HC_VM_STOP, vm, 0, 0), 0);
	expect(ends(vm), true);
	expect(hypercall(HC_VM_DESTROY, vm, 0, 0), 0);
	expect(state(vm), HC_VM_NONE);
	expect(hypercall(HC_VM_DESTROY, vm, 0, 0), HC_EINVAL);
	expect(hypercall(HC_VM_STOP, vm, 0, 0), HC_EINVAL);
	expect(hypercall(HC_VM_CREATE, vm, 0, 0), 0);
}

static void check_wrong_numbers(u64 self)
{
	for (u64 call = HC_VM_STATE; call <= HC_VM_CREATE; call++) {
		report_eq("no such VM", (u64)hypercall((u32)call, NO_VM, 0, 0), (u64)HC_EINVAL);
		report_eq("nor one far out", (u64)hypercall((u32)call, ~0ull, 0, 0),
			  (u64)HC_EINVAL);
	}
	report_eq("it runs itself", (u64)state(self), HC_VM_RUNS);
	report_eq("and cannot be destroyed", (u64)hypercall(HC_VM_DESTROY, self, 0, 0),
		  (u64)HC_EBUSY);
	report_eq("nor made again", (u64)hypercall(HC_VM_CREATE, self, 0, 0), (u64)HC_EBUSY);
}

void guest_main(void)
{
	u64 seed = arg_u64("seed", 1), rounds = arg_u64("n", 20), self = arg_u64("self", 0);
	u64 victims = arg_u64("victims", 1), ticks = arg_u64("ticks", 300000);

	if (!need_hypervisor("control"))
		return;
	if (hypercall(HC_VM_STATE, self, 0, 0) == HC_EPERM) {
		report_eq("no control without control=on", (u64)hypercall(HC_VM_STOP, self, 0, 0),
			  (u64)HC_EPERM);
		return;
	}
	print("control: seed %lu, %lu rounds\n", seed, rounds);
	random_state = (seed + 1) * MIX;
	check_wrong_numbers(self);
	for (u64 i = 0; i < rounds; i++)
		round_of(self + 1 + next_random() % victims, ticks);
	report_eq("every round as it should be", wrong, 0);
	report_eq("audit: nothing left behind", (u64)hypercall(HC_AUDIT, 0, 0, 0), 0);
	for (u64 i = 0; i < victims; i++)
		expect(hypercall(HC_VM_STOP, self + 1 + i, 0, 0), 0);
	report_eq("the last ones are stopped", wrong, 0);
}
