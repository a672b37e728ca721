/* SPDX-License-Identifier: MIT */
/*
 * io: port accesses of every form.
 *
 * Why: an I/O exit is emulated by the hypervisor, with its widths (a narrow IN keeps the rest
 * of RAX, a 32-bit one clears the upper half), string forms through guest memory (both
 * directions, page crossings, count 0, segment bases, faults half-way) and REP counters.
 * Each is easy to get nearly right.
 * Expected: pass, and the line "outsb: hello by string output".
 */
#include "guest-tests/lib/cpu.h"

enum { COM1 = 0x3f8, CANARY = 0x5a };

#define UNMAPPED 0x200000000ul
#define HOLE	 0x600000ul /* RAM behind the image, the start of a 2 MiB page */

extern u64 page_dirs[];

static u8 buf[3 * 4096] __attribute__((aligned(4096)));

static void check_widths(void)
{
	static const u16 ports[] = { 0x4d8, 0x3e0, 0x1234, 0xeff0 };
	u32 v;

	for (unsigned int i = 0; i < ARRAY_SIZE(ports); i++) {
		u64 b = 0x1122334455667700, w = 0x1122334455660000, l = 0x1122334400000000;

		asm volatile("inb %w1, %b0" : "+a"(b) : "d"(ports[i]));
		asm volatile("inw %w1, %w0" : "+a"(w) : "d"(ports[i]));
		asm volatile("inl %w1, %k0" : "+a"(l) : "d"(ports[i]));
		print("port 0x%x\n", ports[i]);
		report_eq("inb keeps the rest of RAX", b, 0x11223344556677ff);
		report_eq("inw keeps the rest of RAX", w, 0x112233445566ffff);
		report_eq("inl clears the upper half", l, 0xffffffff);
		outb(ports[i], 0);
		outw(ports[i], 0);
		outl(ports[i], 0);
		report_eq("still unclaimed after OUT", inl(ports[i]), 0xffffffff);
	}
	asm volatile("inl $0xe5, %0" : "=a"(v));
	report_strict("IN with an immediate port", v, 0xffffffff);
}

struct string_case {
	const char *name;
	u32 width;
	u64 count, at; /* elements; offset in buf of the first */
	bool backward;
};

static const struct string_case cases[] = {
	{ "insb once", 1, 1, 100, false },
	{ "insb none", 1, 0, 100, false },
	{ "insb 7", 1, 7, 100, false },
	{ "insw 9 odd address", 2, 9, 101, false },
	{ "insl 5", 4, 5, 100, false },
	{ "insb across a page", 1, 64, 4096 - 30, false },
	{ "insw element across a page", 2, 8, 4096 - 7, false },
	{ "insl 2048: two pages", 4, 2048, 4, false },
	{ "insb backward", 1, 16, 200, true },
	{ "insw backward across a page", 2, 16, 4096 + 9, true },
	{ "insl backward across a page", 4, 16, 4096 + 18, true },
	{ "insb 4096", 1, 4096, 2000, false },
};

struct string_regs {
	u64 index, count;
};

/* REP INS or OUTS of one width, forward or backward. */
static struct string_regs string_io(bool out, u32 width, u16 port, u64 addr, u64 count,
				    bool backward)
{
	struct string_regs r = { addr, count };

	if (backward)
		asm volatile("std");
	if (out && width == 1)
		asm volatile("rep outsb" : "+S"(r.index), "+c"(r.count) : "d"(port) : "memory");
	else if (out && width == 2)
		asm volatile("rep outsw" : "+S"(r.index), "+c"(r.count) : "d"(port) : "memory");
	else if (out)
		asm volatile("rep outsl" : "+S"(r.index), "+c"(r.count) : "d"(port) : "memory");
	else if (width == 1)
		asm volatile("rep insb" : "+D"(r.index), "+c"(r.count) : "d"(port) : "memory");
	else if (width == 2)
		asm volatile("rep insw" : "+D"(r.index), "+c"(r.count) : "d"(port) : "memory");
	else
		asm volatile("rep insl" : "+D"(r.index), "+c"(r.count) : "d"(port) : "memory");
	asm volatile("cld");
	return r;
}

static void check_ins(const struct string_case *c)
{
	u64 bytes = c->count * c->width, from = c->at, wrong = 0;
	u64 last = (u64)buf + c->at + bytes;
	struct string_regs r;

	if (c->backward) {
		from = c->at - bytes + c->width;
		last = (u64)buf + c->at - bytes;
	}
	memset(buf, CANARY, sizeof(buf));
	r = string_io(false, c->width, 0x1234, (u64)buf + c->at, c->count, c->backward);
	for (u64 i = 0; i < sizeof(buf); i++)
		wrong += buf[i] != (i >= from && i < from + bytes ? 0xff : CANARY);
	report(!wrong && r.index == last && r.count == 0, c->name,
	       "%lu bytes wrong, RDI off by %ld, RCX %lu", wrong, (s64)(r.index - last), r.count);
}

static void check_outs(const struct string_case *c)
{
	u64 bytes = c->count * c->width;
	u64 last = (u64)buf + c->at + (c->backward ? -bytes : bytes);
	struct string_regs r;

	r = string_io(true, c->width, 0x80, (u64)buf + c->at, c->count, c->backward);
	report(r.index == last && r.count == 0, "the same by OUTS", "%s: RSI off by %ld, RCX %lu",
	       c->name, (s64)(r.index - last), r.count);
}

/* No REP: one element, RCX untouched. */
static void check_single(void)
{
	u64 di = (u64)buf, cx = 77;

	memset(buf, CANARY, 16);
	asm volatile("insb" : "+D"(di), "+c"(cx) : "d"(0x1234) : "memory");
	report(di == (u64)buf + 1 && cx == 77 && buf[0] == 0xff && buf[1] == CANARY,
	       "INSB without REP", "RDI +%ld RCX %lu", (s64)(di - (u64)buf), cx);
}

static void map_hole(bool present)
{
	page_dirs[HOLE >> 21] = present ? HOLE | 0x87 : 0;
	asm volatile("invlpg (%0)" : : "r"(HOLE) : "memory");
}

static void check_faults(void)
{
	u64 di = UNMAPPED, cx = 4;

	asm volatile(GUARDED("rep insb") : "+D"(di), "+c"(cx) : "d"(0x1234) : "memory");
	report_eq("INSB to an unmapped page faults", trap_last.vector, VEC_PF);
	report_eq("its error code", trap_last.error, 2);
	report_eq("its CR2", trap_last.cr2, UNMAPPED);
	report_eq("its RCX", cx, 4);
	di = UNMAPPED;
	asm volatile(GUARDED("rep outsb") : "+S"(di), "+c"(cx) : "d"(0x80) : "memory");
	report_eq("OUTSB from an unmapped page faults", trap_last.vector, VEC_PF);
	report_eq("its error code", trap_last.error, 0);
	/* The first four bytes are below the hole. */
	map_hole(false);
	di = HOLE - 4;
	cx = 8;
	asm volatile(GUARDED("rep outsb") : "+S"(di), "+c"(cx) : "d"(0x80) : "memory");
	report(trap_last.vector == VEC_PF && cx == 4 && di == HOLE && trap_last.cr2 == HOLE,
	       "OUTSB faults half-way", "vector %u, RCX %lu, RSI 0x%lx", trap_last.vector, cx, di);
	di = HOLE - 4;
	cx = 8;
	asm volatile(GUARDED("rep insb") : "+D"(di), "+c"(cx) : "d"(0x1234) : "memory");
	report(trap_last.vector == VEC_PF && cx == 4 && di == HOLE && trap_last.cr2 == HOLE,
	       "INSB faults half-way", "vector %u, RCX %lu, RDI 0x%lx", trap_last.vector, cx, di);
	map_hole(true);
	di = 0x0000900000000000;
	asm volatile(GUARDED("rep insb") : "+D"(di), "+c"(cx) : "d"(0x1234) : "memory");
	report_eq("INSB to a non-canonical address faults", trap_last.vector, VEC_GP);
}

static void check_segment_and_size(void)
{
	static const char text[] = "fs and addr32 prefix\n";
	u64 si = 0, cx = sizeof(text) - 1, di = (u64)buf | 0xabcdull << 40;

	try_wrmsr(MSR_FS_BASE, (u64)text);
	asm volatile("rep outsb %%fs:(%%rsi), (%%dx)" : "+S"(si), "+c"(cx) : "d"(COM1) : "memory");
	report(si == sizeof(text) - 1 && cx == 0, "OUTSB with an FS base", "RSI %lu RCX %lu", si,
	       cx);
	try_wrmsr(MSR_FS_BASE, 0);
	memset(buf, CANARY, 16);
	cx = 3;
	asm volatile("addr32 rep insb" : "+D"(di), "+c"(cx) : "d"(0x1234) : "memory");
	report(di == (u64)buf + 3 && cx == 0 && buf[2] == 0xff && buf[3] == CANARY,
	       "INSB with 32-bit addresses", "RDI 0x%lx RCX %lu", di, cx);
}

void guest_main(void)
{
	static const char line[] = "outsb: hello by string output\n";
	struct string_regs r;

	check_widths();
	check_single();
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		check_ins(&cases[i]);
		check_outs(&cases[i]);
	}
	r = string_io(true, 1, COM1, (u64)line, sizeof(line) - 1, false);
	report(r.count == 0 && r.index == (u64)line + sizeof(line) - 1, "OUTSB to the console",
	       "RCX %lu", r.count);
	check_segment_and_size();
	check_faults();
}
