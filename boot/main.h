/* SPDX-License-Identifier: MIT */
/* Entered from start.S, in 64-bit mode, on the boot page tables and hv_main's own stack. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "lib/compiler.h"

#define VESTIBULE_VERSION "0.1"

void hv_main(uint32_t magic, uint32_t bootinfo_at) __noreturn;

/* The rest, on the CPU's base stack (arch/stack.h). */
struct stack;
void hv_serve_on_stack(bool selftest, struct stack *stack) __noreturn;
void hv_serve(bool selftest) __noreturn;
