/* SPDX-License-Identifier: MIT */
/* See vmm/post.h. */
#include "vmm/post.h"
#include "arch/cpus.h"
#include "arch/percpu.h"
#include "vmm/lapic.h"
#include "vmm/schedule.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

/*
 * The bits are in the post before @running is read; whoever puts its vCPU to rest clears @running before it looks into
 * the post for the last time. Both are atomic or fenced, so one of the two sees the other.
 */
void post_look(struct vm *vm, uint32_t id)
{
	const struct vcpu_post *p = &vm->post[id];
	uint32_t cpu = READ_ONCE(p->cpu);

	if (!READ_ONCE(p->running))
		sched_ask(cpu);
	if (cpu == this_cpu(cpu_number))
		sched_look();
	else
		cpu_kick(cpu);
}

static void post(struct vm *vm, uint32_t id, uint32_t bits)
{
	__atomic_fetch_or(&vm->post[id].pending, bits, __ATOMIC_SEQ_CST);
	post_look(vm, id);
}

void post_irq(struct vm *vm, uint32_t id, uint8_t vector, bool level)
{
	struct vcpu_post *p = &vm->post[id];
	uint64_t bit = BIT(vector % 64);

	if (level)
		__atomic_fetch_or(&p->level[vector / 64], bit, __ATOMIC_SEQ_CST);
	else if (READ_ONCE(p->level[vector / 64]) & bit)
		__atomic_fetch_and(&p->level[vector / 64], ~bit, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&p->irr[vector / 64], bit, __ATOMIC_SEQ_CST);
	post(vm, id, POST_IRQ);
}

void post_nmi(struct vm *vm, uint32_t id)
{
	post(vm, id, POST_NMI);
}

/* An NMI that is still in the post was sent before: it must not come to the CPU that INIT leaves behind. */
void post_init(struct vm *vm, uint32_t id)
{
	__atomic_fetch_and(&vm->post[id].pending, ~POST_NMI, __ATOMIC_SEQ_CST);
	post(vm, id, POST_INIT);
}

/* Of two that come at once, one counts, as on a bus. */
void post_sipi(struct vm *vm, uint32_t id, uint8_t vector)
{
	WRITE_ONCE(vm->post[id].sipi, vector);
	post(vm, id, POST_SIPI);
}

void post_platform(struct vm *vm, uint32_t id)
{
	post(vm, id, POST_PLATFORM);
}

bool post_is_pending(const struct vm *vm, uint32_t id)
{
	return __atomic_load_n(&vm->post[id].pending, __ATOMIC_SEQ_CST);
}

bool post_any_pending(const struct vm *vm)
{
	for (uint32_t id = 0; id < vm->nr_vcpus; id++)
		if (post_is_pending(vm, id))
			return true;
	return false;
}

static void collect_irqs(struct vcpu *v)
{
	for (unsigned int i = 0; i < 4; i++) {
		uint64_t set = __atomic_exchange_n(&v->post->irr[i], 0, __ATOMIC_SEQ_CST);
		uint64_t level = READ_ONCE(v->post->level[i]);

		for (; set; set &= set - 1) {
			uint32_t bit = bit_lowest(set);

			lapic_accept(v, (uint8_t)(i * 64 + bit), level & BIT(bit));
		}
	}
}

/*
 * INIT first: what came before it is gone with it, what comes behind it is for the vCPU that then waits for a
 * start-up IPI. Two of them that come together are in this order, too.
 */
void post_collect(struct vcpu *v)
{
	uint32_t bits;

	if (likely(!READ_ONCE(v->post->pending)))
		return;
	bits = __atomic_exchange_n(&v->post->pending, 0, __ATOMIC_SEQ_CST);
	if (bits & POST_INIT)
		vcpu_init(v);
	if (bits & POST_IRQ)
		collect_irqs(v);
	if (bits & POST_NMI)
		inject_nmi(v);
	if (bits & POST_PLATFORM)
		vcpu_timer_changed(v);
	if (bits & POST_SIPI)
		vcpu_startup(v, READ_ONCE(v->post->sipi));
}
