/* SPDX-License-Identifier: MIT */
/*
 * Says why, from where, and stops. Nothing here takes a lock or allocates, and no
 * address is read before panic_can_read() has agreed: after a bug of our own, any
 * pointer may be wrong.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include "lib/fmt.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "lib/symbol.h"

#define FRAMES_MAX   24
#define REASON_MAX   400
#define ESCAPED_MAX  304
#define LOCATION_MAX 96

/* With 40 bytes for what stands around them: the record fits a line of log, so it stays valid. */
_Static_assert(ESCAPED_MAX + LOCATION_MAX + 40 < 512, "the record is cut");

/*
 * Long enough for a report at 115200 baud (a quarter of a second), and bounded because
 * the CPU that reports may be the one that waits here.
 */
#define REPORT_SPINS 20000000

static __nonsensitive bool panicking;

/*
 * "symbol+0x12", or the bare address if it has no name. @back is 1 for a return address:
 * behind a call that never returns it belongs to the next function already.
 */
static void location(char buf[LOCATION_MAX], uint64_t addr, uint64_t back)
{
	uint64_t offset;
	const char *name = symbol_lookup(addr - back, &offset);

	if (name)
		fmt_print(buf, LOCATION_MAX, "%.72s+0x%lx", name, offset + back);
	else
		fmt_print(buf, LOCATION_MAX, "0x%lx", addr);
}

static void print_frame(unsigned int n, uint64_t addr, uint64_t back)
{
	char where[LOCATION_MAX];

	location(where, addr, back);
	log_info("  #%-2u 0x%016lx %s", n, addr, where);
}

/* A frame is { caller's RBP, return address }; the first function of a stack has RBP = 0. */
static void print_frames(unsigned int n, unsigned long rbp)
{
	for (; n < FRAMES_MAX && rbp && rbp % 8 == 0; n++) {
		const unsigned long *frame = (const unsigned long *)rbp;

		if (!panic_can_read(rbp) || !panic_can_read(rbp + 8) || !frame[1])
			return;
		print_frame(n, frame[1], 1);
		if (frame[0] == rbp)
			return;
		rbp = frame[0];
	}
}

/* Reason, backtrace from @rip and the frame at @rbp, record, end. @back as for location(). */
static __noreturn void report(unsigned long rip, unsigned long back, unsigned long rbp,
			      const char *fmt, va_list ap)
{
	char reason[REASON_MAX], escaped[ESCAPED_MAX], where[LOCATION_MAX];

	if (__atomic_exchange_n(&panicking, true, __ATOMIC_RELAXED)) {
		/* Perhaps another CPU is reporting: stopping now would cut its report short. */
		for (unsigned int i = 0; i < REPORT_SPINS; i++)
			__builtin_ia32_pause();
		panic_stop();
	}
	fmt_vprint(reason, sizeof(reason), fmt, ap);
	log_info("panic: %s", reason);
	print_frame(0, rip, back);
	print_frames(1, rbp);

	json_escape(escaped, sizeof(escaped), reason);
	location(where, rip, back);
	log_info("@panic {\"reason\":\"%s\",\"rip\":\"%s\"}", escaped, where);
	panic_context(); /* last: should it panic, all else has been said */
	panic_stop();
}

void panic(const char *fmt, ...)
{
	const unsigned long *frame =
		__builtin_frame_address(0); /* { caller's RBP, return address } */
	va_list ap;

	va_start(ap, fmt);
	report(frame[1], 1, frame[0], fmt, ap);
}

void panic_at(unsigned long rip, unsigned long rbp, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report(rip, 0, rbp, fmt, ap);
}
