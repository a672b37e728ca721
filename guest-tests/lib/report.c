/* SPDX-License-Identifier: MIT */
/* Verdicts, and the way from the boot loader's entry to the exit port. */
#include <stdarg.h>

#include "guest-tests/lib/console.h"
#include "guest-tests/lib/cpu.h"
#include "vmm/abi.h"

static unsigned int passed, failed, skipped;

void report(bool ok, const char *name, const char *fmt, ...)
{
	va_list ap;

	if (ok) {
		passed++;
		print("PASS: %s\n", name);
		return;
	}
	failed++;
	print("FAIL: %s: ", name);
	va_start(ap, fmt);
	vprint(fmt, ap);
	va_end(ap);
	print("\n");
}

void report_eq(const char *name, u64 got, u64 want)
{
	report(got == want, name, "got 0x%lx, expected 0x%lx", got, want);
}

void report_strict(const char *name, u64 got, u64 want)
{
	if (got != want && !strict())
		skip(name, "this bare machine differs");
	else
		report_eq(name, got, want);
}

void skip(const char *name, const char *reason)
{
	skipped++;
	print("SKIP: %s: %s\n", name, reason);
}

bool all_passed(void)
{
	return passed && !failed;
}

void finish(void)
{
	print("SUMMARY: %u passed, %u failed, %u skipped\n", passed, failed, skipped);
	outb(PORT_EXIT, !all_passed());
	for (;;)
		asm volatile("cli\n\thlt");
}

void guest_start(u32 magic, u32 info);
void guest_start(u32 magic, u32 info)
{
	console_init();
	trap_init();
	if (magic != 0x2badb002) {
		report(false, "boot", "EAX is 0x%x at the entry", magic);
		finish();
	}
	info_init(info);
	print("MACHINE: %s\n", hypervisor() ? "vestibule" : "bare");
	guest_main();
	finish();
}
