/* SPDX-License-Identifier: MIT */
/* VMCALL, and whether somebody answers it. */
#include "guest-tests/lib/cpu.h"
#include "vmm/abi.h"

enum { NO_SUCH_CALL = -38 }; /* VMCALL itself faulted */

s64 hypercall(u64 nr, u64 arg1, u64 arg2, u64 arg3)
{
	u64 result = nr;

	asm volatile(GUARDED("vmcall") : "+a"(result) : "b"(arg1), "c"(arg2), "d"(arg3) : "memory");
	return trap_last.vector == TRAP_NONE ? (s64)result : NO_SUCH_CALL;
}

bool hypervisor(void)
{
	static int known; /* 0: not asked yet */

	if (!known)
		known = hypercall(HC_VERSION, 0, 0, 0) == HC_ABI_VERSION ? 1 : -1;
	return known > 0;
}

bool need_hypervisor(const char *name)
{
	if (!hypervisor())
		skip(name, "no hypervisor");
	return hypervisor();
}

bool strict(void)
{
	return hypervisor() || arg_is("bare", "strict");
}

bool need_strict(const char *name)
{
	if (!strict())
		skip(name, "this bare machine does not check it");
	return strict();
}
