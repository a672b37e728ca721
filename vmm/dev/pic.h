/* SPDX-License-Identifier: MIT */
/*
 * Two 8259A interrupt controllers as a PC wires them: the second one's output is input 2 of the first. Intel 8259A
 * data sheet, and for ELCR the PIIX3's ("Edge/Level Control Registers"), which also ignores ICW1's trigger mode.
 * LOCAL memory of a VM; whoever calls sees to it that calls do not overlap, but for a look at @intr.
 *
 * Not there: MCS-80 mode and buffered mode, which no PC has; ICW3, since the wires are as they are.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define PIC_INPUTS 16

struct pic_chip {
	uint8_t lines; /* inputs that are high */
	uint8_t irr; /* requests: an edge that has come and whose line is high still, or a level */
	uint8_t isr, imr;
	uint8_t elcr;	/* inputs that are triggered by level */
	uint8_t base;	/* vector of input 0 */
	uint8_t lowest; /* the input of lowest priority; the next one has the highest */
	uint8_t expect; /* which ICW the odd port takes next: 2 to 4; 0: none, it is OCW1 */
	bool single, wants_icw4;
	bool nested;	/* special fully nested mode */
	bool auto_end;	/* no EOI is needed */
	bool rotate;	/* with auto_end */
	bool mask_mode; /* special mask mode */
	bool read_isr;	/* the even port reads ISR, not IRR */
	bool poll;	/* the next read is an acknowledge */
};

struct pic {
	struct pic_chip chip[2];
	bool intr; /* the output: the CPU is to be interrupted */
};

/* As firmware leaves it: vectors 8 to 15 and 0x70 to 0x77, all masked, triggered by edges. */
void pic_init(struct pic *p);

/* @chip: 0 at ports 0x20 and 0x21, 1 at 0xa0 and 0xa1; @odd: the second of the two. */
uint8_t pic_read(struct pic *p, unsigned int chip, bool odd);
void pic_write(struct pic *p, unsigned int chip, bool odd, uint8_t value);

/* Ports 0x4d0 and 0x4d1. */
uint8_t pic_read_elcr(const struct pic *p, unsigned int chip);
void pic_write_elcr(struct pic *p, unsigned int chip, uint8_t value);

/* A device sets its line, 0 to 15. Line 2 is the second chip's. */
void pic_set(struct pic *p, unsigned int line, bool high);
/* The line falls, if it is high, and rises. */
void pic_pulse(struct pic *p, unsigned int line);

/* Whether an edge on that line would become a request that is not there yet, and unmasked. */
bool pic_wants(const struct pic *p, unsigned int line);

/* The CPU acknowledges: the vector it gets. Without a request, that of input 7, as on real ones. */
uint8_t pic_ack(struct pic *p);
