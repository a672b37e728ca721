/* SPDX-License-Identifier: MIT */
/* A processor per thread; a failed assertion ends the program. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "arch/percpu.h"
#include "arch/insn.h"
#include "lib/assert.h"

char fake_panic_text[256];
bool host_scrubs = true;
_Thread_local uint64_t host_scrubbed;
_Thread_local uint32_t cpu_number;
_Thread_local uint32_t locks_held, lock_ranks;

void fake_assert_failed(const char *expression, const char *file, int line)
{
	fprintf(stderr, "%s:%d: CPU %u: assertion failed: %s\n", file, line, cpu_number,
		expression);
	abort();
}

void panic(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "CPU %u: panic: ", cpu_number);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	abort();
}

void panic_at(unsigned long rip, unsigned long rbp, const char *fmt, ...)
{
	va_list ap;

	(void)rbp;
	va_start(ap, fmt);
	fprintf(stderr, "CPU %u: panic at 0x%lx: ", cpu_number, rip);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	abort();
}

/*
 * With -fsanitize=thread and --param tsan-distinguish-volatile=1: READ_ONCE and WRITE_ONCE are meant to race, as loads and
 * stores of a machine do.
 */
#define VOLATILE(n)                             \
	void __tsan_volatile_read##n(void *p);  \
	void __tsan_volatile_write##n(void *p); \
	void __tsan_volatile_read##n(void *p)   \
	{                                       \
		(void)p;                        \
	}                                       \
	void __tsan_volatile_write##n(void *p)  \
	{                                       \
		(void)p;                        \
	}
VOLATILE(1)
VOLATILE(2)
VOLATILE(4)
VOLATILE(8)
VOLATILE(16)
