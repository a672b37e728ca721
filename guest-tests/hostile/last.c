/* SPDX-License-Identifier: MIT */
/* See last.h. */
#include "guest-tests/hostile/last.h"
#include "guest-tests/lib/cpu.h"

/* The processor's own walk of the guest's tables leaves RAM. */
void last_tables(void)
{
	print("last act: page tables where no memory is\n");
	try_cr3(0xfd000000);
	report(false, "page tables without memory", "still running");
}

void last_hlt(void)
{
	print("last act: halting with interrupts off\n");
	asm volatile("cli\n\thlt");
	report(false, "halted", "still running");
}

/* task.S: 32-bit mode, then a jump to a TSS. A processor switches; nobody has to emulate it. */
void task_jump(void) __attribute__((noreturn));

void last_task(void)
{
	print("last act: a task switch\n");
	task_jump();
}
