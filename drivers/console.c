/* SPDX-License-Identifier: MIT */
/*
 * Console output: whole lines of one CPU at a time on one UART. A panic inside a
 * write must print, so the lock is one that can be given up, unlike a ticket of
 * arch/spinlock.h. It is the innermost lock of all.
 */
#include "arch/insn.h"
#include "arch/percpu.h"
#include "arch/spinlock.h"
#include "drivers/console.h"
#include "drivers/uart16550.h"
#include "lib/bitops.h"
#include "lib/log.h"
#include "lib/parse.h"

#define COM1 0x3f8
#define COM2 0x2f8

/* A line takes up to 45 ms, and 64 CPUs may stand in line: a few seconds of PAUSEs. */
#define LOCK_SPINS 50000000

static __nonsensitive uint16_t console_port;   /* 0: none, output is dropped */
static __nonsensitive uint32_t console_holder; /* number of the CPU that writes, plus 1 */
static __nonsensitive bool console_lock_lost;  /* its holder died: nobody waits any more */
static __nonsensitive bool console_stalled;    /* the UART took no byte for a long time */

void console_init(void)
{
	console_port = uart16550_init(COM1) ? COM1 : 0;
}

bool console_select(const char *name, size_t len)
{
	struct word w = { name, len };
	uint64_t port;

	if (parse_is(w, "com1"))
		port = COM1;
	else if (parse_is(w, "com2"))
		port = COM2;
	else if (!parse_u64(name, len, &port) || port == 0 || port > 0xfff8)
		return false;
	console_drain();
	if (!uart16550_init((uint16_t)port))
		return false;
	console_port = (uint16_t)port;
	return true;
}

/*
 * False if this CPU holds the lock already (an NMI, exception or panic inside a write)
 * or if it cannot be had for seconds. The caller writes all the same: mixed lines are
 * better than a lost reason.
 */
static bool console_lock(uint32_t me)
{
	if (READ_ONCE(console_holder) == me)
		return false;
	for (unsigned int i = 0; i < LOCK_SPINS && !READ_ONCE(console_lock_lost); i++) {
		uint32_t nobody = 0;

		if (__atomic_compare_exchange_n(&console_holder, &nobody, me, false,
						__ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return true;
		cpu_pause();
	}
	WRITE_ONCE(console_lock_lost, true);
	return false;
}

/* Of a UART that is stuck, one byte is waited for; then bytes are lost until it moves again. */
static void put(uint16_t port, char c)
{
	console_stalled = !uart16550_put(port, (uint8_t)c, !console_stalled);
}

void console_write(const char *text, size_t len)
{
	uint16_t port = console_port;
	uint64_t flags;
	bool locked;

	if (!port)
		return;
	flags = irq_save();
	locked = console_lock(this_cpu(cpu_number) + 1);
	this_cpu(locks_held)++;
	if (locked)
		lock_order_take(LOCK_CONSOLE);
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\n')
			put(port, '\r');
		put(port, text[i]);
	}
	if (locked) {
		__atomic_store_n(&console_holder, 0, __ATOMIC_RELEASE);
		lock_order_give(LOCK_CONSOLE);
	}
	this_cpu(locks_held)--;
	irq_restore(flags);
}

void console_drain(void)
{
	if (console_port)
		uart16550_drain(console_port);
}
