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
#include "lib/string.h"

#define COM1	 0x3f8
#define COM2	 0x2f8
#define IRQ_COM1 4
#define IRQ_COM2 3

#define INPUT_MAX 1024 /* a power of two */

/* A line takes up to 45 ms, and 64 CPUs may stand in line: a few seconds of PAUSEs. */
#define LOCK_SPINS 50000000

static __nonsensitive uint16_t console_port;   /* 0: none, output is dropped */
static __nonsensitive uint32_t console_holder; /* number of the CPU that writes, plus 1 */
static __nonsensitive bool console_lock_lost;  /* its holder died: nobody waits any more */
static __nonsensitive bool console_stalled;    /* the UART took no byte for a long time */
static __nonsensitive uint32_t
	console_row; /* whose row has been begun that is no line, 0: nobody's */
static __nonsensitive bool console_overrun;    /* the UART has lost input */
static __nonsensitive uint32_t console_reader; /* CPU that takes input while it writes, plus 1 */

/* Typed, and not yet taken; sensitive. The boot processor's alone. */
static uint8_t input[INPUT_MAX];
static uint32_t input_first, input_count, input_lost;
static uint16_t input_port;    /* 0: nobody listens */
static uint16_t diverted_from; /* console_port, while lines are diverted */

void console_init(void)
{
	console_port = uart16550_init(COM1) ? COM1 : 0;
}

/* 0: no port's name. */
static uint16_t port_named(const char *name, size_t len)
{
	struct word w = { name, len };
	uint64_t port;

	if (parse_is(w, "com1"))
		return COM1;
	if (parse_is(w, "com2"))
		return COM2;
	return parse_u64(name, len, &port) && port <= 0xfff8 ? (uint16_t)port : 0;
}

bool console_select(const char *name, size_t len)
{
	uint16_t port = port_named(name, len);

	if (!port)
		return false;
	console_drain();
	if (!uart16550_init(port))
		return false;
	console_port = port;
	return true;
}

bool console_divert(const char *name, size_t len)
{
	uint16_t port = name ? port_named(name, len) : diverted_from;

	console_drain();
	if (!port || port == console_port || (name && !uart16550_init(port)))
		return false;
	diverted_from = console_port;
	console_port = port;
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

/* Takes all that the UART has received. */
static void receive(void)
{
	unsigned int got;
	uint8_t byte;

	/* Bounded: one that never ends is no UART. */
	for (unsigned int i = 0; input_port && i < INPUT_MAX; i++) {
		got = uart16550_get(input_port, &byte);
		if (got & UART_OVERRUN)
			console_overrun = true;
		if (!(got & UART_RECEIVED))
			return;
		if (input_count == INPUT_MAX)
			input_lost++;
		else
			input[(input_first + input_count++) % INPUT_MAX] = byte;
	}
}

/* Of a UART that is stuck, one byte is waited for; then bytes are lost until it moves again. */
static void put(uint16_t port, char c)
{
	unsigned int did = uart16550_put(port, (uint8_t)c, !console_stalled);

	console_stalled = !(did & UART_SENT);
	if (unlikely(did & UART_OVERRUN))
		console_overrun = true;
}

static void put_all(uint16_t port, const char *bytes, size_t len, bool lines)
{
	bool reads = console_reader == this_cpu(cpu_number) + 1;

	for (size_t i = 0; i < len; i++) {
		if (lines && bytes[i] == '\n')
			put(port, '\r');
		put(port, bytes[i]);
		if (unlikely(reads))
			receive();
	}
}

/* @owner's row, or with 0 whole lines. */
static void write(uint16_t port, uint32_t owner, const char *prefix, const char *bytes, size_t len)
{
	if (unlikely(console_row) && console_row != owner)
		put_all(port, "\n", 1, true);
	if (unlikely(owner) && console_row != owner)
		put_all(port, prefix, strlen(prefix), false);
	put_all(port, bytes, len, !owner);
	console_row = bytes[len - 1] == '\n' ? 0 : owner;
}

static void write_locked(uint32_t owner, const char *prefix, const char *bytes, size_t len)
{
	uint16_t port = console_port;
	uint64_t flags;
	bool locked;

	if (!port || !len)
		return;
	flags = irq_save();
	locked = console_lock(this_cpu(cpu_number) + 1);
	this_cpu(locks_held)++;
	if (locked)
		lock_order_take(LOCK_CONSOLE);
	write(port, owner, prefix, bytes, len);
	if (locked) {
		__atomic_store_n(&console_holder, 0, __ATOMIC_RELEASE);
		lock_order_give(LOCK_CONSOLE);
	}
	this_cpu(locks_held)--;
	irq_restore(flags);
}

void console_write(const char *text, size_t len)
{
	write_locked(0, "", text, len);
}

void console_put(uint32_t owner, const char *prefix, const char *bytes, size_t len)
{
	write_locked(owner, prefix, bytes, len);
}

bool console_row_is(uint32_t owner)
{
	return READ_ONCE(console_row) == owner;
}

unsigned int console_irq(void)
{
	return console_port == COM1 ? IRQ_COM1 : console_port == COM2 ? IRQ_COM2 : 0;
}

void console_listen(void)
{
	input_port = console_port;
	if (input_port)
		uart16550_listen(input_port);
}

void console_listen_while(bool writing)
{
	console_reader = writing ? this_cpu(cpu_number) + 1 : 0;
}

bool console_has_input(void)
{
	receive();
	return input_count != 0;
}

bool console_get(uint8_t *byte)
{
	if (!console_has_input())
		return false;
	*byte = input[input_first];
	input[input_first] = 0;
	input_first = (input_first + 1) % INPUT_MAX;
	input_count--;
	return true;
}

unsigned int console_lost(void)
{
	unsigned int lost = input_lost + console_overrun;

	console_overrun = false;
	input_lost = 0;
	return lost;
}

void console_drain(void)
{
	if (console_port)
		uart16550_drain(console_port);
}
