/* SPDX-License-Identifier: MIT */
/*
 * An 8254 interval timer and port 0x61 beside it. Intel 8254 data sheet; for port 0x61 the PIIX3's, "NMI Status and
 * Control Register". Nothing ticks: whoever calls says what time it is, in clocks of PIT_HZ, which only go up,
 * and all else follows from the clock at which a count was loaded. LOCAL memory of a VM; calls do not overlap.
 *
 * Deviations: a count is loaded with the write, and not one clock later; a new one starts at once also in modes 2
 * and 3, where the 8254 ends its cycle first.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define PIT_HZ	     1193182
#define PIT_CHANNELS 3
#define PIT_CONTROL  3 /* port 0x43; the channels are 0x40 to 0x42 */

struct pit_channel {
	uint64_t start; /* clock at which it was at its full count */
	uint64_t held;	/* clocks counted when the gate fell */
	uint32_t count; /* 1 to 65536 */
	uint8_t mode;	/* 0 to 5 */
	uint8_t access; /* 1: low byte, 2: high byte, 3: both */
	bool bcd;
	bool loaded;	/* a whole count has been written since the control word */
	bool triggered; /* modes 1 and 5: the gate has risen since */
	bool gate;
	bool write_high, read_high; /* the next byte is the second one of two */
	uint8_t low;		    /* the first one written */
	uint8_t latched;	    /* bytes of @latch that are still to be read */
	uint16_t latch;
	bool status_latched;
	uint8_t status;
};

struct pit {
	struct pit_channel channel[PIT_CHANNELS];
	uint8_t control; /* port 0x61, the bits that can be written */
};

/* As firmware leaves it: channel 0 in mode 3, 18.2 Hz. */
void pit_init(struct pit *p, uint64_t clock);

/* @reg: 0 to 3, a port - 0x40. */
uint8_t pit_read(struct pit *p, unsigned int reg, uint64_t clock);
void pit_write(struct pit *p, unsigned int reg, uint8_t value, uint64_t clock);

/* Port 0x61: the gate of channel 2, and what it counts. */
uint8_t pit_read_control(const struct pit *p, uint64_t clock);
void pit_write_control(struct pit *p, uint8_t value, uint64_t clock);

/* The level of a channel's output. */
bool pit_out(const struct pit *p, unsigned int channel, uint64_t clock);
/* The first clock behind @clock at which it rises, if nothing is written meanwhile; 0: never. */
uint64_t pit_next_rise(const struct pit *p, unsigned int channel, uint64_t clock);
