/* SPDX-License-Identifier: MIT */
/*
 * The CRT controller's registers (IBM VGA, "CRT Controller Registers"): ports 0x3d4 and 0x3d5. There is no screen; what
 * is written to the cursor is read back, as text consoles expect.
 */
#pragma once
#include <stdint.h>

#define CRTC_REGS 32

struct crtc {
	uint8_t index;
	uint8_t regs[CRTC_REGS];
};

static inline uint8_t crtc_read(const struct crtc *c, unsigned int reg)
{
	return reg ? c->regs[c->index] : c->index;
}

static inline void crtc_write(struct crtc *c, unsigned int reg, uint8_t value)
{
	if (reg)
		c->regs[c->index] = value;
	else
		c->index = value & (CRTC_REGS - 1);
}
