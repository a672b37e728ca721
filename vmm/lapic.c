/* SPDX-License-Identifier: MIT */
/* Registers, modes and priorities of the local APIC. */
#include "arch/regs.h"
#include "lib/bitops.h"
#include "lib/compiler.h"
#include "lib/string.h"
#include "vmm/apicv.h"
#include "vmm/cpuid.h"
#include "vmm/lapic_internal.h"
#include "vmm/platform.h"
#include "vmm/post.h"
#include "vmm/vcpu.h"

#define VERSION		0x00050014U /* integrated; LVT entries 0 to 5 */
#define LVT_EXTINT	0x700U
#define LVT_NMI		0x400U
#define LVT_MODE	0x700U
#define APIC_BASE_RESET (LAPIC_PAGE | APIC_BASE_BSP)

/*
 * Which modes have the register, and the bits that software may write. @read_only ones may be written as
 * anything; all others are reserved, which x2APIC mode answers with #GP. SDM, "The Local APIC Block Diagram",
 * "x2APIC Register Address Space".
 */
enum access { R = 1, W = 2, X2R = 4, X2W = 8, READ = R | X2R, BOTH = READ | W | X2W };

static const struct rule {
	uint8_t access;
	uint32_t bits, read_only;
} rules[LAPIC_REGS_NR] = {
	[LAPIC_ID] = { READ, 0, 0 },
	[LAPIC_VERSION] = { READ, 0, 0 },
	[LAPIC_TPR] = { BOTH, 0xff, 0 },
	[LAPIC_APR] = { R, 0, 0 }, /* this and RRD: not since the Pentium 4, but no error either */
	[LAPIC_PPR] = { READ, 0, 0 },
	[LAPIC_EOI] = { W | X2W, 0, 0 },
	[LAPIC_RRD] = { R, 0, 0 },
	[LAPIC_LDR] = { READ | W, 0xff000000, 0 },
	[LAPIC_DFR] = { R | W, 0xf0000000, 0 },
	[LAPIC_SVR] = { BOTH, 0x3ff, 0 },
	[LAPIC_ISR... LAPIC_IRR + 7] = { READ, 0, 0 },
	[LAPIC_ESR] = { BOTH, 0, 0 },
	[LAPIC_ICR] = { BOTH, 0xccfff, 1 << 12 },
	[LAPIC_ICR2] = { R | W, 0xff000000, 0 },
	[LAPIC_LVT_TIMER] = { BOTH, 0x700ff, 1 << 12 },
	[LAPIC_LVT_THERMAL] = { BOTH, 0x107ff, 1 << 12 },
	[LAPIC_LVT_PERF] = { BOTH, 0x107ff, 1 << 12 },
	[LAPIC_LVT_LINT0] = { BOTH, 0x1a7ff, 1 << 12 | 1 << 14 },
	[LAPIC_LVT_LINT1] = { BOTH, 0x1a7ff, 1 << 12 | 1 << 14 },
	[LAPIC_LVT_ERROR] = { BOTH, 0x100ff, 1 << 12 },
	[LAPIC_TMICT] = { BOTH, 0xffffffff, 0 },
	[LAPIC_TMCCT] = { READ, 0, 0 },
	[LAPIC_DCR] = { BOTH, 0xb, 0 },
	[LAPIC_SELF_IPI] = { X2W, 0xff, 0 },
};

/* SDM, "Local APIC State After Power-Up or Reset". */
static void reset(struct lapic *l)
{
	memset(l->regs, 0, LAPIC_REGS_SIZE);
	l->regs[LAPIC_ID][0] = l->id << 24;
	l->regs[LAPIC_VERSION][0] = VERSION;
	l->regs[LAPIC_DFR][0] = ~0U;
	l->regs[LAPIC_SVR][0] = VECTOR_MASK;
	for (unsigned int lvt = LAPIC_LVT_TIMER; lvt <= LAPIC_LVT_ERROR; lvt++)
		l->regs[lvt][0] = LVT_MASKED;
	l->irr_words = l->isr_words = 0;
	l->errors = 0;
	l->timer_end = 0;
}

static void set_x2apic_ids(struct lapic *l)
{
	l->regs[LAPIC_ID][0] = l->id;
	l->regs[LAPIC_LDR][0] = l->id >> 4 << 16 | 1U << (l->id & 0xf);
}

void lapic_publish(struct vcpu *v)
{
	const struct lapic *l = v->lapic;

	WRITE_ONCE(v->post->apic_base, l->base);
	WRITE_ONCE(v->post->apic_id, l->id);
	WRITE_ONCE(v->post->ldr, l->regs[LAPIC_LDR][0]);
	WRITE_ONCE(v->post->dfr, l->regs[LAPIC_DFR][0]);
	WRITE_ONCE(v->post->svr, l->regs[LAPIC_SVR][0]);
	apicv_update(v);
}

void lapic_init(struct vcpu *v)
{
	struct lapic *l = v->lapic;

	*l = (struct lapic){
		.regs = l->regs,
		.service = l->service,
		.base = LAPIC_PAGE | APIC_BASE_EN | (v->id ? 0 : APIC_BASE_BSP),
		.id = v->id,
		.ratio = guest_crystal_ratio(),
	};
	reset(l);
	if (!v->id) {
		l->regs[LAPIC_LVT_LINT0][0] = LVT_EXTINT;
		l->regs[LAPIC_LVT_LINT1][0] = LVT_NMI;
	}
	lapic_publish(v);
}

/* SDM, "Local APIC State After It Receives an INIT-Deassert IPI" and "... After Power-Up or Reset": INIT keeps the ID. */
void lapic_reset(struct vcpu *v)
{
	reset(v->lapic);
	if (lapic_is_x2(v->lapic))
		set_x2apic_ids(v->lapic);
	lapic_publish(v);
}

bool lapic_enabled(const struct lapic *l)
{
	return l->base & APIC_BASE_EN;
}

/* The highest vector of the registers from @first on that @words names; -1: none. */
static int highest(const struct lapic *l, enum lapic_reg first, uint32_t words)
{
	while (words) {
		unsigned int word = bit_highest(words);
		uint32_t set = l->regs[first + word][0];

		if (set)
			return (int)(word * 32 + bit_highest(set));
		words ^= 1U << word;
	}
	return -1;
}

static int highest_requested(const struct lapic *l)
{
	return highest(l, LAPIC_IRR, l->irr_words);
}

static int highest_in_service(const struct lapic *l)
{
	return highest(l, LAPIC_ISR, l->isr_words);
}

/* Takes @vector out of IRR or ISR. What the CPU sets meanwhile nobody notes in @words: they stay. */
static void forget(struct lapic *l, enum lapic_reg first, uint8_t *words, unsigned int vector)
{
	uint32_t *reg = l->regs[first + vector / 32];

	*reg &= ~(1U << vector % 32);
	if (!*reg && !l->is_virtual)
		*words &= (uint8_t) ~(1U << vector / 32);
}

uint8_t lapic_requested(const struct lapic *l)
{
	return (uint8_t)MAX(highest_requested(l), 0);
}

uint8_t lapic_in_service(const struct lapic *l)
{
	return (uint8_t)MAX(highest_in_service(l), 0);
}

/* SDM, "Task and Processor Priorities". */
static uint32_t ppr(const struct lapic *l)
{
	int served = highest_in_service(l);
	uint32_t tpr = l->regs[LAPIC_TPR][0], class = served < 0 ? 0 : (uint32_t)served & 0xf0;

	return (tpr & 0xf0) >= class ? tpr : class;
}

int lapic_pending(const struct lapic *l)
{
	int vector = highest_requested(l);

	return vector >= 0 && (uint32_t)vector >> 4 > ppr(l) >> 4 ? vector : -1;
}

int lapic_injects(const struct lapic *l)
{
	return l->is_virtual ? -1 : lapic_pending(l);
}

bool lapic_takes_extint(const struct lapic *l)
{
	uint32_t lint0 = l->regs[LAPIC_LVT_LINT0][0];

	return !lapic_enabled(l) || (lint0 & (LVT_MASKED | LVT_MODE)) == LVT_EXTINT;
}

void lapic_take(struct lapic *l, unsigned int vector)
{
	forget(l, LAPIC_IRR, &l->irr_words, vector);
	l->regs[LAPIC_ISR + vector / 32][0] |= 1U << vector % 32;
	l->isr_words |= (uint8_t)(1U << vector / 32);
}

/*
 * Something may interrupt now: the exit path shall look. Where the CPU delivers by itself it has to know of what TPR still
 * holds back, too: the guest may lower that without an exit.
 */
static void look(struct vcpu *v)
{
	if (v->lapic->is_virtual)
		apicv_tell_status(v->lapic);
	else if (lapic_pending(v->lapic) >= 0)
		v->events.due = 0;
}

void lapic_request(struct vcpu *v, uint8_t vector, bool level)
{
	struct lapic *l = v->lapic;
	uint32_t bit = 1U << vector % 32, *tmr = l->regs[LAPIC_TMR + vector / 32], was = *tmr;

	l->regs[LAPIC_IRR + vector / 32][0] |= bit;
	l->irr_words |= (uint8_t)(1U << vector / 32);
	*tmr = level ? was | bit : was & ~bit;
	if (*tmr != was && l->is_virtual)
		apicv_tell_eoi_exits(l);
	look(v);
}

void lapic_local(struct vcpu *v, enum lapic_reg lvt)
{
	uint32_t entry = v->lapic->regs[lvt][0];

	if (entry & LVT_MASKED)
		return;
	if ((entry & VECTOR_MASK) < VECTOR_MIN)
		lapic_error(v, ESR_RECEIVE_VECTOR);
	else
		lapic_request(v, (uint8_t)entry, false);
}

/*
 * SDM, "Error Handling": one interrupt until ESR is written again. So an error entry whose own vector is
 * illegal adds its error and ends here.
 */
void lapic_error(struct vcpu *v, uint32_t bit)
{
	bool armed = !v->lapic->errors;

	v->lapic->errors |= bit;
	if (armed)
		lapic_local(v, LAPIC_LVT_ERROR);
}

static void set_tpr(struct vcpu *v, uint32_t value)
{
	v->lapic->regs[LAPIC_TPR][0] = value;
	look(v);
}

uint64_t lapic_cr8(const struct lapic *l)
{
	return l->regs[LAPIC_TPR][0] >> 4;
}

void lapic_set_cr8(struct vcpu *v, uint64_t cr8)
{
	set_tpr(v, (uint32_t)cr8 << 4);
}

/* SDM, "Signaling Interrupt Servicing Completion": I/O APICs hear of the end of level-triggered interrupts. */
static void end_of_interrupt(struct vcpu *v)
{
	struct lapic *l = v->lapic;
	int vector = highest_in_service(l);

	if (vector < 0)
		return;
	forget(l, LAPIC_ISR, &l->isr_words, (unsigned int)vector);
	if (l->regs[LAPIC_TMR + vector / 32][0] >> vector % 32 & 1)
		platform_eoi(v->vm, (uint8_t)vector);
	look(v);
}

/* SDM, "Local APIC State After It Has Been Software Disabled": all entries masked, and they stay so. */
static void set_svr(struct vcpu *v, uint32_t value)
{
	struct lapic *l = v->lapic;

	l->regs[LAPIC_SVR][0] = value;
	lapic_publish(v);
	if (value & SVR_ENABLE)
		return;
	for (unsigned int lvt = LAPIC_LVT_TIMER; lvt <= LAPIC_LVT_ERROR; lvt++)
		l->regs[lvt][0] |= LVT_MASKED;
	vcpu_timer_changed(v);
}

static void set_lvt(struct vcpu *v, enum lapic_reg reg, uint32_t value)
{
	if (!(v->lapic->regs[LAPIC_SVR][0] & SVR_ENABLE))
		value |= LVT_MASKED;
	if (reg == LAPIC_LVT_TIMER)
		lapic_timer_write(v, reg, value);
	else
		v->lapic->regs[reg][0] = value;
	if (reg == LAPIC_LVT_LINT0)
		v->events.due = 0; /* the PIC may interrupt now */
}

static uint32_t read_reg(struct vcpu *v, unsigned int reg)
{
	switch (reg) {
	case LAPIC_PPR:
		return ppr(v->lapic);
	case LAPIC_TMCCT:
		return lapic_timer_count(v);
	default:
		return v->lapic->regs[reg][0];
	}
}

/* @value has legal bits only, the register is one that can be written. */
static void write_reg(struct vcpu *v, unsigned int reg, uint32_t value)
{
	struct lapic *l = v->lapic;

	switch (reg) {
	case LAPIC_TPR:
		set_tpr(v, value);
		break;
	case LAPIC_EOI:
		end_of_interrupt(v);
		break;
	case LAPIC_DFR:
		l->regs[reg][0] = value | 0x0fffffff;
		lapic_publish(v);
		break;
	case LAPIC_SVR:
		set_svr(v, value);
		break;
	case LAPIC_ESR:
		l->regs[reg][0] = l->errors;
		l->errors = 0;
		break;
	case LAPIC_ICR:
		l->regs[reg][0] = value;
		lapic_send(v, value,
			   lapic_is_x2(l) ? l->regs[LAPIC_ICR2][0] : l->regs[LAPIC_ICR2][0] >> 24);
		break;
	case LAPIC_SELF_IPI:
		lapic_send(v, ICR_SELF | value, 0);
		break;
	case LAPIC_LVT_TIMER ... LAPIC_LVT_ERROR:
		set_lvt(v, reg, value);
		break;
	case LAPIC_TMICT:
	case LAPIC_DCR:
		lapic_timer_write(v, reg, value);
		break;
	default: /* LDR, ICR2 */
		l->regs[reg][0] = value;
		lapic_publish(v);
	}
}

/* Those of which each write exits. */
static bool is_kept(unsigned int reg)
{
	return reg != LAPIC_TPR && reg != LAPIC_EOI && reg != LAPIC_ICR && reg != LAPIC_ICR2;
}

/* What the guest wrote comes to be as by an access that exits: from the register as it was before. */
bool lapic_written(struct vcpu *v, unsigned int offset)
{
	struct lapic *l = v->lapic;
	unsigned int reg = offset / 16;
	uint32_t value;

	if (reg >= LAPIC_REGS_NR || !l->is_virtual || (lapic_is_x2(l) && reg != LAPIC_SELF_IPI))
		return false;
	value = l->regs[reg][0];
	l->regs[reg][0] = is_kept(reg) ? l->kept[reg] : value & rules[reg].bits;
	if (!(offset & 0xf) && (rules[reg].access & (lapic_is_x2(l) ? X2W : W)))
		write_reg(v, reg, value & rules[reg].bits);
	l->kept[reg] = l->regs[reg][0];
	return true;
}

bool lapic_has_page(const struct vcpu *v, uint64_t gpa)
{
	const struct lapic *l = v->lapic;

	return l && lapic_enabled(l) && !lapic_is_x2(l) && gpa >> 12 == LAPIC_PAGE >> 12;
}

/* The register at @gpa if it exists in xAPIC mode, else -1 and an error. */
static int register_at(struct vcpu *v, uint64_t gpa)
{
	unsigned int reg = gpa >> 4 & 0xff;

	if (reg < LAPIC_REGS_NR && (rules[reg].access & (R | W)))
		return (int)reg;
	lapic_error(v, ESR_REGISTER);
	return -1;
}

uint64_t lapic_mmio_read(struct vcpu *v, uint64_t gpa, unsigned int size)
{
	unsigned int byte = gpa & 0xf;
	int reg = register_at(v, gpa);

	if (reg < 0 || !(rules[reg].access & R) || byte + size > 4)
		return 0;
	return read_reg(v, (unsigned int)reg) >> 8 * byte & BITS(8 * size - 1, 0);
}

void lapic_mmio_write(struct vcpu *v, uint64_t gpa, unsigned int size, uint64_t value)
{
	int reg = register_at(v, gpa);

	if (reg >= 0 && (rules[reg].access & W) && size == 4 && !(gpa & 0xf))
		write_reg(v, (unsigned int)reg, (uint32_t)value & rules[reg].bits);
}

static bool read_x2(struct vcpu *v, uint32_t reg, uint64_t *value)
{
	if (!lapic_is_x2(v->lapic) || reg >= LAPIC_REGS_NR || !(rules[reg].access & X2R))
		return false;
	*value = read_reg(v, reg);
	if (reg == LAPIC_ICR)
		*value |= (uint64_t)v->lapic->regs[LAPIC_ICR2][0] << 32;
	return true;
}

static bool write_x2(struct vcpu *v, uint32_t reg, uint64_t value)
{
	if (!lapic_is_x2(v->lapic) || reg >= LAPIC_REGS_NR || !(rules[reg].access & X2W))
		return false;
	if ((uint32_t)value & ~(rules[reg].bits | rules[reg].read_only))
		return false;
	if (reg == LAPIC_ICR)
		v->lapic->regs[LAPIC_ICR2][0] = (uint32_t)(value >> 32);
	else if (value >> 32)
		return false;
	write_reg(v, reg, (uint32_t)value & rules[reg].bits);
	return true;
}

/* SDM, "x2APIC States": off to xAPIC and back, xAPIC to x2APIC, and from there only off. */
static bool set_base(struct vcpu *v, uint64_t value)
{
	const uint64_t modes = APIC_BASE_EN | APIC_BASE_EXTD;
	struct lapic *l = v->lapic;
	uint64_t old = l->base & modes, new = value &modes;

	if ((value & ~(modes | APIC_BASE_BSP)) != LAPIC_PAGE || new == APIC_BASE_EXTD)
		return false;
	if ((old == modes && new == APIC_BASE_EN) || (!old && new == modes))
		return false;
	l->base = value;
	if (!new) {
		reset(l);
		vcpu_timer_changed(v);
	} else if (new == modes && old != modes) {
		set_x2apic_ids(l);
		l->regs[LAPIC_ICR2][0] = 0;
	}
	lapic_publish(v);
	return true;
}

bool lapic_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *value)
{
	if (msr == MSR_APIC_BASE) {
		*value = v->lapic ? v->lapic->base : APIC_BASE_RESET;
		return true;
	}
	if (!v->lapic)
		return false;
	if (msr == MSR_TSC_DEADLINE) {
		*value = lapic_tsc_deadline(v);
		return true;
	}
	return msr >= MSR_X2APIC && read_x2(v, msr - MSR_X2APIC, value);
}

bool lapic_wrmsr(struct vcpu *v, uint32_t msr, uint64_t value)
{
	if (!v->lapic)
		return msr == MSR_APIC_BASE && value == APIC_BASE_RESET;
	if (msr == MSR_APIC_BASE)
		return set_base(v, value);
	if (msr == MSR_TSC_DEADLINE) {
		lapic_set_tsc_deadline(v, value);
		return true;
	}
	return msr >= MSR_X2APIC && write_x2(v, msr - MSR_X2APIC, value);
}
