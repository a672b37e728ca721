/* SPDX-License-Identifier: MIT */
/*
 * Attributes and section annotations, each named once. The sections are laid
 * out by linker.ld; which of them the restricted address spaces map is decided
 * by the table in mm/hostmap.c.
 */
#pragma once

#define __aligned(n)	     __attribute__((aligned(n)))
#define __packed	     __attribute__((packed))
#define __noreturn	     __attribute__((noreturn))
#define __must_check	     __attribute__((warn_unused_result))
#define __used		     __attribute__((used))
#define __noinline	     __attribute__((noinline))
#define __no_stack_protector __attribute__((no_stack_protector))
#undef __always_inline /* glibc has it too, on the host */
#define __always_inline inline __attribute__((always_inline))
#define __printf(f, a)	__attribute__((format(printf, f, a)))
#define __section(s)	__attribute__((section(s)))

/*
 * Static data is sensitive unless it says otherwise. Every symbol put here
 * stands in asi/nonsensitive.list with its reason; the build compares the two.
 */
#define __nonsensitive __section(".data.nonsensitive")

/* Code and data used only until hv_main() frees them; unmapped afterwards. */
#define __init	   __section(".init.text") __noinline
#define __initdata __section(".init.data")

/* The Makefile says 0 or 1; a constant for if (DEBUG), so that both sides always compile. */
#ifndef DEBUG
#define DEBUG 0
#endif

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define ARRAY_SIZE(a)	      (sizeof(a) / sizeof((a)[0]))
#define container_of(p, t, m) ((t *)((char *)(p) - __builtin_offsetof(t, m)))
#define barrier()	      __asm__ volatile("" ::: "memory")

/* One untorn access that the compiler neither repeats nor drops. */
#define READ_ONCE(x)	 (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))
