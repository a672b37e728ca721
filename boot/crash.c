/* SPDX-License-Identifier: MIT */
/* Each of these is a bug that the hypervisor must report with its meaning, and survive into a verdict. */
#include "boot/crash.h"
#include "arch/insn.h"
#include "asi/asi.h"
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

/* Nothing may be touched between enter and relax: leaving is undone at once, so it cannot help. */
static void critical_section(void)
{
	struct mem_owner *owner = page_zalloc(0, GLOBAL, NULL);
	struct asi *asi = NULL;

	mem_owner_init(owner, OWNER_MAX);
	if (asi_create(ASI_GUEST_VM, owner, &asi) || !asi) {
		log_error("crash=critical needs asi=on");
		return;
	}
	asi_enter(asi);
	(void)sensitive_word;
}

static const struct {
	const char *name;
	void (*commit)(void);
} kinds[] = {
	{ "ud", invalid_opcode },    { "low", low_read },
	{ "gp", noncanonical },	     { "text", text_write },
	{ "init", freed_init },	     { "stack", stack_overflow },
	{ "assert", failed_assert }, { "critical", critical_section },
};

void crash(struct word kind)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++)
		if (parse_is(kind, kinds[i].name))
			kinds[i].commit();
	log_error("crash=%.*s: no such fault", (int)kind.len, kind.start);
}
