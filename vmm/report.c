/* SPDX-License-Identifier: MIT */
/*
 * Reports. Counts and addresses only: guest registers and guest memory stay out of the
 * log, the bytes of one instruction that we could not decode apart; and registers where the
 * hypervisor is built for debugging.
 */
#include "vmm/report.h"
#include "arch/apic.h"
#include "arch/cpus.h"
#include "arch/percpu.h"
#include "arch/trap.h"
#include "arch/tsc.h"
#include "arch/vmx.h"
#include "asi/expose.h"
#include "lib/fmt.h"
#include "lib/log.h"
#include "vmm/com1.h"
#include "vmm/guestram.h"
#include "vmm/schedule.h"
#include "vmm/stats.h"
#include "vmm/vcpu.h"

#define UNSERVED_MAX 8

/* What is known of one row of the table, computed once for people and programs. */
struct row {
	const struct exit_stats *e;
	const char *name;
	uint64_t rate, mean, p50, p99;
};

static struct row row_of(const struct vcpu *v, uint32_t reason)
{
	const struct exit_stats *e = &v->stats->exits[reason];
	uint64_t guest_ms = v->guest_ticks / tsc_khz();

	return (struct row){
		.e = e,
		.name = stats_reason_name(reason),
		/* Below a millisecond of guest time a rate says nothing. */
		.rate = guest_ms ? e->count * 1000 / guest_ms : 0,
		.mean = e->sum / e->count,
		.p50 = stats_quantile(v->stats, reason, 500),
		.p99 = stats_quantile(v->stats, reason, 990),
	};
}

/* The reasons that occurred, the most frequent first; returns how many. */
static unsigned int sort_reasons(const struct vcpu_stats *s, uint8_t order[EXIT_REASON_NR])
{
	unsigned int n = 0;

	for (unsigned int r = 0; r < EXIT_REASON_NR; r++) {
		unsigned int at = n;

		if (!s->exits[r].count)
			continue;
		for (; at && s->exits[order[at - 1]].count < s->exits[r].count; at--)
			order[at] = order[at - 1];
		order[at] = (uint8_t)r;
		n++;
	}
	return n;
}

static void report_table(const struct vcpu *v, const uint8_t *order, unsigned int n)
{
	log_info("%s: vCPU %u, VM exits by reason; ticks from exit to next entry",
		 v->vm->options.name, v->id);
	log_info("  %18s %10s %10s %7s %9s %7s %7s %7s %7s %9s", "reason", "exits", "restricted",
		 "%", "per s", "min", "mean", "p50", "p99", "max");
	for (unsigned int i = 0; i < n; i++) {
		struct row r = row_of(v, order[i]);
		uint64_t share = r.e->restricted * 10000 / r.e->count;

		log_info("  %18s %10lu %10lu %4lu.%02lu %9lu %7lu %7lu %7lu %7lu %9lu", r.name,
			 r.e->count, r.e->restricted, share / 100, share % 100, r.rate, r.e->min,
			 r.mean, r.p50, r.p99, r.e->max);
	}
}

static void report_exits(const struct vcpu *v, const char *vm, const uint8_t *order, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct row r = row_of(v, order[i]);

		log_info("@exits {\"vm\":\"%s\",\"vcpu\":%u,\"reason\":\"%s\",\"count\":%lu,"
			 "\"restricted\":%lu,\"rate\":%lu,\"ticks\":{\"min\":%lu,\"mean\":%lu,"
			 "\"p50\":%lu,\"p99\":%lu,\"max\":%lu}}",
			 vm, v->id, r.name, r.e->count, r.e->restricted, r.rate, r.e->min, r.mean,
			 r.p50, r.p99, r.e->max);
	}
}

/* Bytes of its RAM that its restricted space maps. */
static uint64_t mapped_ram(const struct vm *vm)
{
	uint64_t bytes = 0;

	for (uint64_t i = 0; guestram_class(vm) == LOCAL && i < vm->nr_ram; i++)
		bytes += vm->ram[i].v != HPA_NONE.v ? PAGEBLOCK_SIZE : 0;
	return bytes;
}

static void report_domain(const struct vcpu *v, const char *name)
{
	char vcpu[32] = "";
	struct asi_surface s;

	asi_surface(v->asi, &s);
	if (v->owner != v->vm->owner)
		fmt_print(vcpu, sizeof(vcpu), "\"vcpu\":%u,", v->id);
	log_info("%s: its restricted space maps %lu KiB; %lu of %lu KiB of RAM are hidden from it",
		 name, (s.total_ram - s.hidden) / 1024, s.hidden / 1024, s.total_ram / 1024);
	log_info("@surface {\"vm\":\"%s\",%s\"image\":%lu,\"text\":%lu,\"rodata\":%lu,\"data\":%lu,"
		 "\"global\":%lu,\"local\":%lu,\"own\":%lu,\"parent\":%lu,\"ram\":%lu,"
		 "\"vmalloc\":%lu,\"metadata\":%lu,\"percpu\":%lu,\"device\":%lu,\"tables\":%lu,"
		 "\"hidden\":%lu,\"total_ram\":%lu%s}",
		 name, vcpu, s.image, s.text, s.rodata, s.image - s.text - s.rodata, s.global,
		 s.local, s.own, s.local - s.own, mapped_ram(v->vm), s.vmalloc, s.metadata,
		 s.percpu, s.device, s.tables, s.hidden, s.total_ram, asi_experiment());
}

/* Of each domain of the VM: it has one, or each vCPU has. */
static void report_surface(const struct vm *vm, const char *name)
{
	for (uint32_t id = 0; id < vm->nr_vcpus; id++)
		if (vm->vcpus[id]->asi && (id == 0 || vm->vcpus[id]->asi != vm->vcpus[0]->asi))
			report_domain(vm->vcpus[id], name);
}

static void report_guest(const struct vm *vm, const char *name)
{
	static const char *const verdicts[] = {
		[VERDICT_NONE] = "none",       [VERDICT_PASS] = "pass",	  [VERDICT_FAIL] = "fail",
		[VERDICT_STOPPED] = "stopped", [VERDICT_ENDED] = "ended",
	};
	char reason[64] = "null";
	uint64_t ticks = 0;

	for (uint32_t id = 0; id < vm->nr_vcpus; id++)
		ticks += vm->vcpus[id]->guest_ticks;

	if (vm->reason)
		fmt_print(reason, sizeof(reason), "\"%s\"", vm->reason);
	log_info("%s: %s%s%s, code %u", vm->options.name, verdicts[vm->verdict],
		 vm->reason ? ": " : "", vm->reason ? vm->reason : "", vm->code);
	log_info("@guest {\"vm\":\"%s\",\"verdict\":\"%s\",\"reason\":%s,\"code\":%u,"
		 "\"guest_ticks\":%lu,\"guest_ms\":%lu%s}",
		 name, verdicts[vm->verdict], reason, vm->code, ticks, ticks / tsc_khz(),
		 asi_experiment());
}

static bool details;

void report_details(bool on)
{
	details = on;
}

static void report_vcpu(const struct vcpu *v, const char *vm)
{
	uint8_t order[EXIT_REASON_NR];
	unsigned int n = sort_reasons(v->stats, order);

	if (!n)
		return; /* it was never started */
	report_table(v, order, n);
	report_exits(v, vm, order, n);
	if (details)
		report_vcpu_details(v, vm, order, n);
}

void report_vm_exits(const struct vm *vm)
{
	for (uint32_t id = 0; id < vm->nr_vcpus; id++) {
		const struct vcpu *v = vm->vcpus[id];
		uint8_t order[EXIT_REASON_NR];
		unsigned int n = sort_reasons(v->stats, order);

		if (!n)
			continue;
		report_table(v, order, n);
		report_exits(v, vm->options.name, order, n);
	}
}

void report_vm_surface(const struct vm *vm)
{
	report_surface(vm, vm->options.name);
}

void report_vm(struct vm *vm)
{
	const char *name = vm->options.name; /* has no character that JSON would escape */

	com1_flush(vm);
	for (uint32_t id = 0; id < vm->nr_vcpus; id++)
		report_vcpu(vm->vcpus[id], name);
	report_surface(vm, name);
	report_guest(vm, name);
}

static void report_asi_cpu(uint32_t cpu)
{
	const struct asi_stats *s = asi_cpu_stats_of(cpu);

	log_info("@asi {\"cpu\":%u,\"enters\":%lu,\"reenters\":%lu,\"exits_fault\":%lu,"
		 "\"exits_call\":%lu,\"flush\":%lu,\"noflush\":%lu,\"spurious\":%lu,"
		 "\"tlb_flushes\":%lu,\"tlb_ranges\":%lu,\"tlb_late\":%lu,\"tlb_deferred\":%lu,"
		 "\"kicks\":%lu,\"kicks_avoided\":%lu,\"nmis\":%lu,\"interrupts\":%lu,"
		 "\"l1d\":%lu,\"verw\":%lu,\"ibpb\":%lu,\"rsb\":%lu,\"ibpb_missing\":%lu%s}",
		 cpu, s->enters, s->reenters, s->exits[ASI_BY_FAULT], s->exits[ASI_BY_CALL],
		 s->cr3_flush, s->cr3_noflush, s->spurious, s->tlb_flushes, s->tlb_ranges,
		 s->tlb_late, s->tlb_deferred, s->kicks, s->kicks_avoided, trap_nmis_of(cpu),
		 apic_interrupts_of(cpu), s->l1d, s->verw, s->ibpb, s->rsb, s->ibpb_missing,
		 asi_experiment());
}

static void report_stun_cpu(uint32_t cpu)
{
	const struct stun_stats *s = stun_stats_of(cpu);
	char log2[ARRAY_SIZE(s->log2) * 21] = ""; /* 20 digits and a comma each */
	unsigned int last = ARRAY_SIZE(s->log2);
	size_t at = 0;

	while (last && !s->log2[last - 1])
		last--;
	for (unsigned int i = 0; i < last && at < sizeof(log2); i++)
		at += fmt_print(log2 + at, sizeof(log2) - at, "%s%lu", i ? "," : "", s->log2[i]);
	log_info("@stun {\"cpu\":%u,\"waits\":%lu,\"ticks\":%lu,\"longest\":%lu,\"log2\":[%s],"
		 "\"held\":%lu,\"held_ticks\":%lu,\"held_longest\":%lu}",
		 cpu, s->waits, s->ticks, s->longest, log2, s->held, s->held_ticks,
		 s->held_longest);
}

void report_asi(void)
{
	uint32_t me = this_cpu(cpu_number);

	for (uint32_t cpu = 0; cpu < cpus_nr(); cpu++)
		if (cpu == me || asi_cpu_stats_of(cpu)->enters)
			report_asi_cpu(cpu);
	for (uint32_t cpu = 0; cpu < cpus_nr(); cpu++)
		if (stun_is_on(cpu))
			report_stun_cpu(cpu);
}

void report_sched(uint32_t cpu)
{
	const struct sched_stats *s = sched_stats_of(cpu);

	log_info("@sched {\"cpu\":%u,\"turns\":%lu,\"switches\":%lu,\"idle_ticks\":%lu,"
		 "\"beside_own\":%lu,\"beside_other\":%lu,\"switch\":{\"min\":%lu,\"mean\":%lu,"
		 "\"max\":%lu}}",
		 cpu, s->turns, s->switches, s->idle_ticks, s->beside_own, s->beside_other,
		 s->switch_min, s->switches ? s->switch_sum / s->switches : 0, s->switch_max);
}

void report_hidden(struct vm *const *vms, unsigned int nr)
{
	struct asi_surface shared = { 0 }, one;
	uint64_t local = 0;

	for (unsigned int i = 0; i < nr; i++) {
		asi_surface(vms[i]->vcpus[0]->asi, &one);
		local += one.local;
		if (vms[i]->vcpus[0]->asi)
			shared = one;
	}
	if (!shared.total_ram)
		return;
	log_info("%lu of %lu KiB of RAM are mapped in no restricted space",
		 (shared.hidden + shared.local - local) / 1024, shared.total_ram / 1024);
	log_info("@surface {\"vm\":null,\"hidden\":%lu,\"total_ram\":%lu%s}",
		 shared.hidden + shared.local - local, shared.total_ram, asi_experiment());
}

void report_mark(const struct vm *vm, uint32_t mark)
{
	const struct vcpu *v = vcpu_here();
	uint64_t count = 0, restricted = 0;

	for (unsigned int r = 0; r < EXIT_REASON_NR; r++) {
		count += v->stats->exits[r].count;
		restricted += v->stats->exits[r].restricted;
	}
	log_info("@mark {\"vm\":\"%s\",\"vcpu\":%u,\"mark\":%u,\"tsc\":%lu,\"exits\":%lu,"
		 "\"restricted\":%lu}",
		 vm->options.name, v->id, mark, v->exit_tsc, count, restricted);
}

void report_unserved(struct vm *vm, const char *what, uint64_t address, unsigned int size,
		     bool write)
{
	if (vm->unserved++ >= UNSERVED_MAX)
		return;
	log_info("%s: nothing serves this %s of %u bytes: %s 0x%lx%s", vm->options.name,
		 write ? "write" : "read", size, what, address,
		 vm->unserved == UNSERVED_MAX ? " (the last one reported)" : "");
}

/* What the guest computes with is nobody's business but a debugger's. */
static void report_registers(const struct vcpu *v)
{
	static const char *const names[GPR_NR] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp",
						   "rsi", "rdi", "r8",	"r9",  "r10", "r11",
						   "r12", "r13", "r14", "r15" };

	for (unsigned int i = 0; i < GPR_NR; i += 4)
		log_info("  %3s %016lx %3s %016lx %3s %016lx %3s %016lx", names[i], vcpu_reg(v, i),
			 names[i + 1], vcpu_reg(v, i + 1), names[i + 2], vcpu_reg(v, i + 2),
			 names[i + 3], vcpu_reg(v, i + 3));
	log_info("  cr0 %08lx cr2 %016lx cr3 %016lx cr4 %08lx efer %03lx rflags %08lx",
		 vmcs_read(VMCS_GUEST_CR0), v->cr2, vmcs_read(VMCS_GUEST_CR3),
		 vmcs_read(VMCS_GUEST_CR4), vmcs_read(VMCS_GUEST_EFER),
		 vmcs_read(VMCS_GUEST_RFLAGS));
}

void report_stop(struct vcpu *v, const char *what)
{
	log_info("%s: stopped: %s; exit %u (%s), qualification 0x%lx, at %04lx:%lx",
		 v->vm->options.name, what, v->exit_reason, stats_reason_name(v->exit_reason),
		 vmcs_read(VMCS_EXIT_QUAL), vmcs_read(VMCS_GUEST_CS_SELECTOR),
		 vmcs_read(VMCS_GUEST_RIP));
	if (v->exit_reason == EXIT_REASON_EPT_VIOLATION)
		log_info("%s: the access was to guest-physical 0x%lx", v->vm->options.name,
			 vmcs_read(VMCS_GUEST_PHYS_ADDR));
	if (DEBUG)
		report_registers(v);
}

void report_bytes(struct vcpu *v, const uint8_t *bytes, unsigned int len)
{
	char text[3 * 15 + 1] = "";
	size_t at = 0;

	for (unsigned int i = 0; i < len && at < sizeof(text); i++)
		at += fmt_print(text + at, sizeof(text) - at, " %02x", bytes[i]);
	log_info("%s: the instruction's bytes:%s", v->vm->options.name, text);
}
