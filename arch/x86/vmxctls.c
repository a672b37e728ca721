/* SPDX-License-Identifier: MIT */
/* The arithmetic of VMX control words, apart from the CPU so that it is tested on the host. */
#include "arch/vmxcpu.h"

uint32_t vmx_ctls(uint64_t capability, uint32_t must1, uint32_t must0, uint32_t *out)
{
	uint32_t fixed1 = (uint32_t)capability; /* "allowed 0-settings": set bits must be 1 */
	uint32_t allowed1 = (uint32_t)(capability >> 32); /* "allowed 1-settings" */

	*out = must1 | fixed1;
	return (must1 & ~allowed1) | (must0 & fixed1);
}
