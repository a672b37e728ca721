/* SPDX-License-Identifier: MIT */
/*
 * NMI torture: each scenario runs with RFLAGS.TF set, so that #DB comes at every boundary between two
 * instructions, those of the vector stubs and of handlers included; at one of them, another each run, the
 * #DB turns into an NMI or an interrupt. Then the state machine's words, the MMU and the counters must agree.
 */
#include "boot/torture.h"
#include "arch/apic.h"
#include "arch/insn.h"
#include "arch/mitigation.h"
#include "arch/percpu.h"
#include "arch/regs.h"
#include "arch/tsc.h"
#include "asi/crossing.h"
#include "boot/torture_internal.h"
#include "boot/torture_vectors.h"
#include "lib/log.h"
#include "lib/string.h"
#include "lib/symbol.h"
#include "mm/buddy.h"
#include "mm/vmalloc.h"

#define FIRST_OWNER (OWNER_MAX - TORTURE_DOMAINS) /* no VM has them, nor the self-test */
#define STACK_SIZE  (4 * PAGE_SIZE)
#define DEPTH_MAX   4 /* scenario's own handler, its fault, the injected one, its fault */
#define HIT_ORDER   4 /* a bit for each of 512 KiB of text */
#define REPORTS_MAX 4 /* of one scenario */
#define WORD	    0x7041

/*
 * CR3 writes beyond those of a clean run: a handler leaves and is undone at its return. Where it comes just
 * behind curr, its own two are repeated by whoever was interrupted, which a clean run does as well.
 */
#define EXTRA_WRITES_LEAVING 2
#define EXTRA_WRITES_STAYING 1 /* its return may be the first to see the new target */

extern char __text_start[], __text_end[];

static __percpu struct torture *torture_now;
/* Boundaries until torture_step() is called: counted down in torture.S, where those in between cost little. */
__percpu uint64_t torture_countdown;
/* Sensitive, as all plain static data; volatile, or they would be constants, which are no secret. */
static volatile uint64_t scenario_word = WORD, handler_word = WORD;

/* Of one scenario. Sensitive: written between runs only. */
static struct {
	uint64_t runs, injected, addresses, failures;
	uint32_t must; /* bit by bit the names of the scenario that were hit */
	uint8_t *hit;  /* where: a bit for each byte of the text */
} tally;

static void wrong(struct torture *t, const char *what)
{
	if (!t->wrong)
		t->wrong = what;
}

static void expect(struct torture *t, bool so, const char *what)
{
	if (!so)
		wrong(t, what);
}

/* Whether what is to be injected can come at the boundary @t->at, before the instruction at @f->rip. */
static bool may_come(const struct torture *t, const struct trap_frame *f)
{
	if (t->kind == KIND_IRQ)
		return f->rflags & RFLAGS_IF;
	return t->kind == KIND_MC || t->at < t->nmi_blocked_from || t->at >= t->nmi_blocked_to;
}

/*
 * An NMI keeps others out until the next IRET, whoever's it is (SDM, "Handling Multiple NMIs"). The
 * scenario's own NMI is an INT 2, which blocks nothing, so the run without injection notes from where to where.
 */
static void note_nmi_blocking(struct torture *t, const uint8_t *next)
{
	if (next[0] == 0xcd && next[1] == VEC_NMI)
		t->nmi_blocked_from = t->boundaries;
	else if (next[0] == 0x48 && next[1] == 0xcf && t->nmi_blocked_to < t->nmi_blocked_from)
		t->nmi_blocked_to = t->boundaries;
}

/* Pending, it would come behind IRETQ; but it comes before, in the state of the same boundary. */
static void real_nmi(const struct torture *t)
{
	apic_send_nmi(apic_id());
	for (unsigned int i = 0; i < 1000 && !t->handled; i++)
		cpu_pause();
}

static void inject(struct torture *t, struct trap_frame *f)
{
	uint64_t cr2 = read_cr2();

	t->rip = f->rip;
	if (t->kind == KIND_NMI)
		f->vector = VEC_NMI;
	else if (t->kind == KIND_REAL_NMI)
		real_nmi(t);
	else if (t->kind == KIND_MC)
		int_mc();
	else
		apic_send_interrupt(apic_id(),
				    TORTURE_IRQ); /* pending until IRETQ turns interrupts on */
	expect(t, read_cr2() == cr2, "CR2 has changed");
}

void torture_step(struct trap_frame *f)
{
	struct torture *t = this_cpu(torture_now);

	expect(t, !asi_self() || asi_current(), "restricted, but curr is NULL");
	expect(t, this_cpu(trap_depth) <= DEPTH_MAX, "depth is out of bounds");
	this_cpu(torture_countdown) = 1;
	if (!t->through && t->boundaries++ == t->at) {
		t->through = true;
		if (may_come(t, f))
			inject(t, f);
	}
	if (t->through)
		f->rflags &= ~RFLAGS_TF; /* the rest runs at full speed */
	else
		note_nmi_blocking(t, (const uint8_t *)f->rip);
}

static void touch_nonsensitive(struct torture *t)
{
	uint32_t self = asi_self();
	uint64_t crossings = asi_crossings();

	if (self != t->domain[1]->owner->id) /* where A's memory is mapped */
		WRITE_ONCE(*t->local, READ_ONCE(*t->local) + 1);
	expect(t, asi_self() == self && asi_crossings() == crossings,
	       "LOCAL or GLOBAL memory cost a crossing");
}

static void act(struct torture *t, enum torture_act what)
{
	if (what == ACT_NOTHING)
		return;
	if (what == ACT_TOUCH) {
		touch_nonsensitive(t);
		return;
	}
	if (what == ACT_FAULT)
		expect(t, handler_word == WORD, "sensitive memory reads wrong");
	else
		asi_exit();
	/*
	 * Only the outermost return goes back, whatever came in since. A fault where curr was said but CR3
	 * not loaded yet does not happen, so curr stays.
	 */
	expect(t, !asi_self() && (what == ACT_FAULT || !asi_current()),
	       "a handler that left is not out");
}

bool torture_trap(const struct trap_frame *f)
{
	struct torture *t = this_cpu(torture_now);

	if (!t || (f->vector != VEC_NMI && f->vector != VEC_MC && f->vector != TORTURE_IRQ &&
		   f->vector != TORTURE_OWN))
		return false;
	if (__atomic_exchange_n(&t->own, false,
				__ATOMIC_RELAXED)) { /* at once: one of two nested ones */
		act(t, ACT_FAULT);
	} else {
		t->handled++;
		act(t, t->act);
	}
	return f->vector != TORTURE_IRQ || apic_interrupt(TORTURE_IRQ);
}

static void visit(struct asi *asi)
{
	asi_enter(asi);
	asi_relax();
	asi_exit();
}

/* From out, interrupts off, to where the scenario starts. */
static void prepare(struct torture *t)
{
	struct asi *a = t->domain[0], *b = t->domain[1];
	enum torture_from from = t->scenario->from;

	visit(b);
	visit(a);
	if (from == FROM_STALE)
		asi_flush_local(a, 0, ~0UL);
	for (unsigned int i = 1; from == FROM_EVICTED && i < TORTURE_DOMAINS; i++)
		visit(t->domain[i]);
	if (from == FROM_RELAXED || from == FROM_TENSE)
		asi_enter(a);
	if (from == FROM_B)
		asi_enter(b);
	if (from == FROM_RELAXED || from == FROM_B)
		asi_relax();
}

static uint64_t cr3_writes(void)
{
	return asi_cpu_stats()->cr3_flush + asi_cpu_stats()->cr3_noflush;
}

static uint64_t flushes(void)
{
	return asi_cpu_stats()->cr3_flush + asi_cpu_stats()->tlb_flushes;
}

/* The words against each other, against CR3, and against the MMU. */
static void check_words(struct torture *t)
{
	struct asi *curr = asi_current();

	expect(t, this_cpu(trap_depth) == 0, "depth is not 0");
	expect(t, asi_self() == (curr ? curr->owner->id : 0), "the self page contradicts curr");
	expect(t, read_cr3() == asi_host_cr3(), "CR3 is not as recorded");
	if (!curr)
		return;
	expect(t, (read_cr3() & PTE_ADDR_MASK) == curr->pt.root.v, "CR3 is not curr's");
	expect(t, this_cpu(asi_cr3_gen) == curr->tlb_gen, "a flush is owed");
}

/* What this scenario has to come to. */
static void check_outcome(struct torture *t)
{
	const struct torture_outcome *o = &t->outcome, *clean = &t->clean;
	bool left =
		t->act == ACT_FAULT || t->act == ACT_CALL || t->kind == KIND_MC; /* its policy */
	bool tense = t->scenario->to == TO_TENSE;
	uint64_t extra = left ? EXTRA_WRITES_LEAVING : EXTRA_WRITES_STAYING;

	expect(t, this_cpu(asi_target) == (tense ? t->domain[0] : NULL),
	       "target is not as expected");
	if (tense)
		expect(t, o->curr == t->domain[0], "not in the target's space");
	else if (t->scenario->to == TO_OUT)
		expect(t, !o->curr, "not out");
	if (t->at == TORTURE_NEVER)
		return;
	expect(t, t->handled == (t->rip ? 1 : 0), "what was injected did not come once");
	expect(t, o->curr == clean->curr || (left && !tense && !o->curr),
	       "curr is not as expected");
	expect(t, o->result == clean->result, "registers, flags or what was read are wrong");
	expect(t, o->cr3_writes >= clean->cr3_writes && o->cr3_writes <= clean->cr3_writes + extra,
	       "too many or too few writes of CR3");
}

/* From wherever the scenario ended: A can be entered, and hides what is sensitive. Ends out. */
static void check_use(struct torture *t, uint64_t flushes_before)
{
	uint64_t crossings;

	asi_enter(t->domain[0]);
	check_words(t);
	expect(t, asi_self() == t->domain[0]->owner->id, "not in A after another enter");
	expect(t, !(t->scenario->flags & WITH_FLUSH) || flushes() > flushes_before,
	       "a flush was forgotten");
	asi_relax();
	crossings = asi_cpu_stats()->exits[ASI_BY_FAULT];
	expect(t, scenario_word == WORD, "sensitive memory reads wrong");
	expect(t, asi_cpu_stats()->exits[ASI_BY_FAULT] == crossings + 1 && !asi_self(),
	       "sensitive memory did not cost a crossing");
}

/* Whatever is broken, the next run starts from out. */
static void recover(struct torture *t)
{
	this_cpu(asi_target) = NULL;
	asi_exit();
	this_cpu(trap_depth) = 0;
	t->own = false;
}

static void run(struct torture *t, uint64_t at)
{
	const struct torture_scenario *s = t->scenario;
	uint64_t writes, flushed;

	t->at = at;
	t->boundaries = at == TORTURE_NEVER ? 0 : at; /* where torture_step() is first called */
	t->rip = t->handled = 0;
	t->wrong = NULL;
	crossing_forget(t->rows);
	prepare(t);
	this_cpu(torture_countdown) = t->boundaries + 1;
	t->through = false;
	flushed = flushes();
	writes = cr3_writes();
	irq_restore(s->flags & WITH_IRQS ? RFLAGS_IF : 0);
	t->outcome.result = torture_stepped(t, s->run);
	t->through = true;
	this_cpu(torture_countdown) = 1;
	expect(t, irqs_enabled() == !!(s->flags & WITH_IRQS), "the interrupt flag has changed");
	irq_disable();
	t->outcome.cr3_writes = cr3_writes() - writes;
	t->outcome.curr = asi_current();
	check_words(t);
	check_outcome(t);
	check_use(t, flushed);
	recover(t);
}

static void count_hit(const struct torture *t)
{
	uint64_t offset = t->rip - (uint64_t)__text_start;
	const char *name = symbol_lookup(t->rip, &(uint64_t){ 0 });

	tally.injected++;
	if (offset < (uint64_t)(__text_end - __text_start) &&
	    !(tally.hit[offset / 8] & 1 << offset % 8)) {
		tally.hit[offset / 8] |= (uint8_t)(1 << offset % 8);
		tally.addresses++;
	}
	for (unsigned int i = 0; i < TORTURE_MUST && t->scenario->must[i]; i++) {
		const char *must = t->scenario->must[i];

		if (name && strlen(name) == strlen(must) && !memcmp(name, must, strlen(must)))
			tally.must |= 1u << i;
	}
}

static void report_failure(const struct torture *t)
{
	static const char *const kinds[] = { "NMI", "real NMI", "machine check", "interrupt" };
	static const char *const acts[] = { "does nothing", "touches LOCAL memory", "faults",
					    "leaves" };
	uint64_t offset = 0;
	const char *name = symbol_lookup(t->rip, &offset);

	if (tally.failures++ >= REPORTS_MAX)
		return;
	if (t->at == TORTURE_NEVER)
		log_error("torture: %s: without any injection: %s", t->scenario->name, t->wrong);
	else
		log_error("torture: %s: %s that %s at boundary %lu, before %s+0x%lx: %s",
			  t->scenario->name, kinds[t->kind], acts[t->act], t->at,
			  name ? name : "nothing", offset, t->wrong);
}

/* At each boundary once. */
static void run_all(struct torture *t)
{
	for (uint64_t at = 0;; at++) {
		run(t, at);
		tally.runs++;
		if (t->rip)
			count_hit(t);
		if (t->wrong)
			report_failure(t);
		if (t->boundaries <= at)
			return;
	}
}

static void report(const struct torture_scenario *s, uint64_t boundaries, uint64_t ticks)
{
	for (unsigned int i = 0; i < TORTURE_MUST && s->must[i]; i++) {
		if (!(tally.must & 1u << i)) {
			log_error("torture: %s: nothing was injected in %s", s->name, s->must[i]);
			tally.failures++;
		}
	}
	log_info("torture: %s: %lu boundaries, %lu injections at %lu instructions: %s", s->name,
		 boundaries, tally.injected, tally.addresses, tally.failures ? "FAILED" : "ok");
	log_info("@torture {\"scenario\":\"%s\",\"boundaries\":%lu,\"addresses\":%lu,\"runs\":%lu,"
		 "\"injected\":%lu,\"failures\":%lu,\"ticks\":%lu}",
		 s->name, boundaries, tally.addresses, tally.runs, tally.injected, tally.failures,
		 ticks);
}

static uint64_t run_scenario(struct torture *t, const struct torture_scenario *s)
{
	uint64_t begin = rdtsc(), boundaries;
	uint8_t *hit = tally.hit;

	memset(&tally, 0, sizeof(tally));
	tally.hit = hit;
	memset(hit, 0, (size_t)(__text_end - __text_start) / 8);
	t->scenario = s;
	t->act = ACT_NOTHING;
	t->nmi_blocked_from = t->nmi_blocked_to = 0;
	run(t, TORTURE_NEVER); /* its crossings get their rows, which takes long */
	t->rows = crossing_rows();
	run(t, TORTURE_NEVER);
	t->clean = t->outcome;
	boundaries = t->boundaries;
	if (t->wrong)
		report_failure(t);
	for (t->kind = 0; t->kind < KIND_NR; t->kind++)
		for (t->act = 0; t->act < ACT_NR; t->act++)
			if (t->kind != KIND_IRQ || s->flags & WITH_IRQS)
				run_all(t);
	report(s, boundaries, rdtsc() - begin);
	return tally.failures;
}

static void redirect(bool on)
{
	idt_redirect(VEC_DB, on ? torture_debug : NULL);
	idt_redirect(VEC_PF, on ? torture_page_fault : NULL);
	idt_redirect(VEC_NMI, on ? torture_nmi : NULL);
	idt_redirect(TORTURE_OWN, on ? torture_own : NULL);
}

void torture_all(struct torture *t)
{
	uint64_t flags = irq_save(), failures = 0;
	unsigned int rows = crossing_rows();

	this_cpu(torture_now) = t;
	redirect(true);
	for (const struct torture_scenario *s = torture_scenarios; s->name; s++) {
		t->rows = rows;
		failures += run_scenario(t, s);
	}
	redirect(false);
	crossing_forget(rows);
	this_cpu(torture_now) = NULL;
	write_dr6(DR6_FIXED);
	irq_restore(flags);
	t->failures = failures;
}

/* Without ASI the domains are NULL. False if memory is short. */
static bool set_up(struct torture *t)
{
	bool ok;

	t->owners = page_zalloc(0, GLOBAL, NULL);
	if (!t->owners)
		return false;
	for (unsigned int i = 0; i < TORTURE_DOMAINS; i++) {
		mem_owner_init(&t->owners[i], (uint16_t)(FIRST_OWNER + i));
		if (asi_create(ASI_GUEST_VM, &t->owners[i], &t->domain[i]))
			return false;
	}
	t->local = page_zalloc(0, LOCAL, &t->owners[0]);
	tally.hit = page_alloc(HIT_ORDER, SENSITIVE, NULL);
	ok = t->local && tally.hit &&
	     (uint64_t)(__text_end - __text_start) / 8 <= PAGE_SIZE << HIT_ORDER;
	t->sensitive = &scenario_word;
	return ok;
}

static void tear_down(struct torture *t)
{
	page_free(tally.hit, HIT_ORDER);
	page_free(t->local, 0);
	for (unsigned int i = 0; i < TORTURE_DOMAINS; i++) {
		mem_owner_destroy(&t->owners[i]);
		asi_put(t->domain[i]);
	}
	page_free(t->owners, 0);
}

bool torture_run(void)
{
	struct torture *t = page_zalloc(0, GLOBAL, NULL);
	char *stack = vmalloc(STACK_SIZE, GLOBAL, NULL);
	size_t l1d_len;
	bool pass;

	if (!t || !stack || !set_up(t)) {
		log_error("torture: no memory");
		return false;
	}
	stack_init(&t->stack, stack + STACK_SIZE);
	l1d_len = mitigation_set_l1d_len(1); /* each of its loops turns once */
	if (t->domain[0])
		torture_on_stack(t, &t->stack);
	else
		log_info("torture: nothing to do without ASI");
	mitigation_set_l1d_len(l1d_len);
	pass = t->failures == 0;
	tear_down(t);
	vfree(stack);
	page_free(t, 0);
	return pass;
}
