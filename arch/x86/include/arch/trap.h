/* SPDX-License-Identifier: MIT */
/*
 * What the vector stubs of arch/x86/entry.S save, and the contracts of a trap.
 * The stubs count the nesting depth (asi state machine) around everything else.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
	uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
	uint64_t vector, error_code;
	uint64_t rip, cs, rflags, rsp, ss;
};

/* Handlers nested now on this CPU; 0 in base context. Counted by the stubs of all 256 vectors. */
extern uint32_t trap_depth;

/* Builds the IDT, one for all CPUs, and loads it on this CPU; the second only loads it. */
void idt_init(void);
void idt_load(void);
/* Gives #DF its own stack, once gdt_init has made it. */
void idt_use_ist(void);

/*
 * @vector goes to @entry from now on, on the stack that it has anyway; NULL: to its stub again. Only for
 * tests before any guest runs, with a vector that cannot come in between: a gate is not written at once.
 */
void idt_redirect(uint8_t vector, const void *entry);

/* Called by the stubs, on the interrupted stack; #DF has its own. */
void trap_dispatch(struct trap_frame *frame);

/*
 * REQUIRED of asi/fault.c: a page fault in the hypervisor at @cr2. True if it was
 * a miss of the restricted space and the instruction may be retried (unrestricted
 * now). False or a panic: our bug. In a strict domain @frame may return elsewhere (asi_strict_stop()).
 */
bool fault_fixup(struct trap_frame *frame, uint64_t cr2);

/* REQUIRED of asi/switch.c: asi_exit() for vectors whose policy is to leave at once (trap.c). */
void trap_leave_restricted(void);

/* NMIs that @cpu has had; those that came as VM exits are handed on to the IDT. */
uint64_t trap_nmis_of(uint32_t cpu);

/* REQUIRED of asi/switch.c: the outermost handler returns; go back to the target, if there is one. */
void asi_intr_exit(void);

/* REQUIRED of boot/selftest.c: true if the self-test expects this trap and has handled it. */
bool selftest_trap(const struct trap_frame *frame);
