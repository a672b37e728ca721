/* SPDX-License-Identifier: MIT */
/* Each of these is a bug that the hypervisor must report with its meaning, and survive into a verdict. */
#include "boot/crash.h"
#include "arch/insn.h"
#include "asi/asi.h"
#include "boot/teststack.h"
#include "lib/assert.h"
#include "lib/log.h"
#include "mm/buddy.h"

extern char __text_start[], __init_data_start[];

static volatile uint64_t sensitive_word; /* or it would be a constant, which is no secret */

static void read_word(const void *p)
{
	(void)*(const volatile uint64_t *)p;
}

static void write_to(void *p)
{
	*(volatile char *)p = 1;
}

static void invalid_opcode(void)
{
	__builtin_trap();
}

static void low_read(void)
{
	read_word((void *)PAGE_SIZE); /* nothing is mapped in the lower half */
}

static void noncanonical(void)
{
	write_to((void *)0x8000000000000000);
}

static void text_write(void)
{
	write_to(__text_start);
}

static void freed_init(void)
{
	write_to(__init_data_start);
}

/* Down into the guard page below the stack: the #PF finds no stack either, and becomes #DF. */
static uint64_t __noinline overflow(uint64_t depth)
{
	volatile char frame[256];

	frame[0] = (char)depth;
	if (!depth)
		return 0;
	return depth + overflow(depth + 1) + (uint64_t)frame[0];
}

static void stack_overflow(void)
{
	overflow(1);
}

static void failed_assert(void)
{
	ASSERT(sensitive_word != 0);
}

/* Overwrites the canary that stands between @frame and the return address; not what lies behind. */
static void __noinline overrun(volatile char *frame, unsigned int len)
{
	for (unsigned int i = 0; i < len; i++)
		frame[i] = 'A';
}

static void __noinline buffer_overrun(void)
{
	volatile char frame[24];

	overrun(frame, sizeof(frame) + 8);
}

static struct asi *domain;

/* Nothing may be touched between enter and relax: leaving is undone at once, so it cannot help. */
static void critical_section(void)
{
	asi_enter(domain);
	(void)sensitive_word;
}

static void restricted_overflow(void)
{
	asi_enter(domain);
	asi_relax();
	overflow(1);
}

static void base_stack_enter(void)
{
	asi_enter(domain);
}

static void machine_check(void)
{
	asi_enter(domain);
	int_mc(); /* no bank holds an error, and no RIP is valid: nothing to go on with */
}

struct crash_kind {
	const char *name;
	void (*commit)(void);
	enum { BASE_STACK, TEST_STACK } stack;
};

static const struct crash_kind kinds[] = {
	{ "ud", invalid_opcode, BASE_STACK },	   { "low", low_read, BASE_STACK },
	{ "gp", noncanonical, BASE_STACK },	   { "text", text_write, BASE_STACK },
	{ "init", freed_init, BASE_STACK },	   { "stack", stack_overflow, BASE_STACK },
	{ "assert", failed_assert, BASE_STACK },   { "canary", buffer_overrun, BASE_STACK },
	{ "base", base_stack_enter, BASE_STACK },  { "critical", critical_section, TEST_STACK },
	{ "df", restricted_overflow, TEST_STACK }, { "mc", machine_check, TEST_STACK },
};

/* A domain without a VM, and a stack in it. */
static struct stack *make_domain(void)
{
	struct mem_owner *owner = page_zalloc(0, GLOBAL, NULL);

	if (!owner)
		return NULL;
	mem_owner_init(owner, OWNER_MAX);
	return asi_create(ASI_GUEST_VM, owner, &domain) || !domain ? NULL : teststack_create(owner);
}

__noinline void crash_commit(const struct crash_kind *kind)
{
	kind->commit();
}

static void commit_by_stack(const struct crash_kind *kind, struct stack *stack)
{
	if (kind->stack == BASE_STACK)
		crash_commit(kind);
	else if (stack)
		crash_on_stack(kind, stack);
	else
		log_error("crash=%s needs asi=on", kind->name);
}

void crash(struct word kind)
{
	struct stack *stack = make_domain();
	bool known = false;

	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!parse_is(kind, kinds[i].name))
			continue;
		known = true;
		commit_by_stack(&kinds[i], stack);
	}
	if (!known)
		log_error("crash=%.*s: no such fault", (int)kind.len, kind.start);
}
