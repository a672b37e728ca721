/* SPDX-License-Identifier: MIT */
/*
 * Per-CPU variables, in two halves. Both are defined like static variables; the
 * image holds a template of each half, and percpu_init() copies it for every CPU:
 *
 *	__percpu int depth;		this_cpu(depth)++;
 *	__percpu_sensitive int x;	*this_cpu_sensitive(x) = 1;
 *
 * GS base holds (area of this CPU - template), so a nonsensitive variable costs
 * one instruction and no address arithmetic. Nothing but reason goes into the
 * nonsensitive half: every restricted space maps it (asi/nonsensitive.list).
 */
#pragma once
#include <stdint.h>
#include "arch/layout.h"
#include "lib/compiler.h"

#define __percpu	   __section(".percpu")
#define __percpu_sensitive __section(".percpu_sensitive")

/* An lvalue: this CPU's copy. The caller does not move to another CPU meanwhile. */
#define this_cpu(var) (*(__typeof__(var) __seg_gs *)(uintptr_t) & (var))

/* Distance from each template to this CPU's copy. */
extern uint64_t percpu_offset, percpu_sensitive_offset;

/* The address of this CPU's copy, good in any segment. */
#define this_cpu_ptr(var) ((__typeof__(var) *)((uintptr_t) & (var) + this_cpu(percpu_offset)))
#define this_cpu_sensitive(var) \
	((__typeof__(var) *)((uintptr_t) & (var) + this_cpu(percpu_sensitive_offset)))

/* The address of the copy of a nonsensitive variable that @cpu has; good in every space. */
#define percpu_of(cpu, var)                                                                  \
	((__typeof__(var) *)((uintptr_t) & (var) - (uintptr_t)__percpu_start + PERCPU_BASE + \
						   (cpu)*PERCPU_STRIDE))
extern char __percpu_start[];

/* Where the template of the per-CPU variable at @va stands in the image; 0 if @va is no such. */
uint64_t percpu_template(uint64_t va);

/* This CPU's number, 0 for the one that booted. */
extern uint32_t cpu_number;
