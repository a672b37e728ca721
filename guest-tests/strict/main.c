/* SPDX-License-Identifier: MIT */
/*
 * strict: asks the hypervisor for a bug, a handler that touches sensitive memory (HC_DEBUG_TOUCH, in
 * builds with DEBUG=1 only).
 *
 * Why: with asi=strict such a guest ends there, without the access or its effects, and nobody else does;
 * otherwise the access costs a crossing and is served.
 * Expected: in a debug build stopped, sensitive-access, with asi=strict; else pass.
 * Arguments: locked=1: while the handler holds a lock.
 */
#include "guest-tests/lib/cpu.h"
#include "vmm/abi.h"

void guest_main(void)
{
	u64 locked = arg_u64("locked", 0);
	s64 result;

	if (!need_hypervisor("strict"))
		finish();
	print("strict: touching now\n");
	result = hypercall(HC_DEBUG_TOUCH, locked, 0, 0);
	if (result == HC_EINVAL)
		skip("touch", "this is no debug build");
	else
		report_eq("touch", (u64)result, 0);
	report(true, "still here", " ");
	finish();
}
