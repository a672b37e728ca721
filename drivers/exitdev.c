/* SPDX-License-Identifier: MIT */
/*
 * Ending the machine: each way in turn, the surest first. A port that the machine does
 * not have swallows the write, so the next way is tried. The verdict itself is in the
 * serial output; only QEMU can take it as an exit status.
 */
#include "arch/insn.h"
#include "drivers/console.h"
#include "drivers/exitdev.h"
#include "lib/panic.h"

#define PORT_BOCHS	0x8900 /* Bochs ends when it has read "Shutdown" here */
#define PORT_DEBUG_EXIT 0xf4   /* QEMU's isa-debug-exit: exit status (code << 1) | 1 */

#define VERDICT_PANIC 2

static __nonsensitive uint16_t poweroff_port; /* 0: not known */
static __nonsensitive uint16_t poweroff_value;

void exitdev_set_poweroff(uint16_t port, uint16_t value)
{
	poweroff_port = port;
	poweroff_value = value;
}

void exitdev_stop(uint8_t code)
{
	irq_disable();
	/* Bochs ends at once and loses what is still in its UART. */
	console_drain();
	for (const char *p = "Shutdown"; *p; p++)
		outb(PORT_BOCHS, (uint8_t)*p);
	outl(PORT_DEBUG_EXIT, code);
	if (poweroff_port)
		outw(poweroff_port, poweroff_value);
	cpu_halt_forever();
}

void panic_stop(void)
{
	exitdev_stop(VERDICT_PANIC);
}
