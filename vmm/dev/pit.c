/* SPDX-License-Identifier: MIT */
/* 8254: the six modes as functions of time, and the bytes in which counts are written and read. */
#include "vmm/dev/pit.h"
#include "lib/bitops.h"

#define COUNT_MAX     65536
#define COUNT_MAX_BCD 10000

/* Control word: channel in bits 7:6, access 5:4, mode 3:1, BCD 0. Read-back command: what not to latch. */
#define CONTROL_READ_BACK   3
#define READ_BACK_NO_COUNT  0x20
#define READ_BACK_NO_STATUS 0x10
#define STATUS_OUT	    0x80
#define STATUS_NULL_COUNT   0x40
#define ACCESS_LATCH	    0
#define ACCESS_LOW	    1
#define ACCESS_HIGH	    2
#define ACCESS_BOTH	    3

/* Port 0x61 */
#define CONTROL_GATE	0x01
#define CONTROL_WRITTEN 0x0f /* with the speaker and two enables of NMIs that nobody sends */
#define CONTROL_REFRESH 0x10 /* toggles with each refresh of memory */
#define CONTROL_OUT	0x20
#define REFRESH_CLOCKS	18
#define SPEAKER_CHANNEL 2

static uint32_t from_bcd(uint32_t v)
{
	return (v & 0xf) + (v >> 4 & 0xf) * 10 + (v >> 8 & 0xf) * 100 + (v >> 12 & 0xf) * 1000;
}

static uint16_t to_bcd(uint32_t v)
{
	return (uint16_t)(v % 10 | v / 10 % 10 << 4 | v / 100 % 10 << 8 | v / 1000 % 10 << 12);
}

static uint32_t count_max(const struct pit_channel *c)
{
	return c->bcd ? COUNT_MAX_BCD : COUNT_MAX;
}

/* The gate's edge starts modes 1 and 5; its level lets the others count. */
static bool by_trigger(const struct pit_channel *c)
{
	return c->mode == 1 || c->mode == 5;
}

static bool is_periodic(const struct pit_channel *c)
{
	return c->mode == 2 || c->mode == 3;
}

static bool counts(const struct pit_channel *c)
{
	return c->loaded && (by_trigger(c) ? c->triggered : c->gate);
}

/* Clocks since the full count. */
static uint64_t elapsed(const struct pit_channel *c, uint64_t clock)
{
	return counts(c) ? clock - c->start : c->held;
}

static bool channel_out(const struct pit_channel *c, uint64_t clock)
{
	uint64_t n = elapsed(c, clock);

	if (!c->loaded)
		return c->mode != 0;
	switch (c->mode) {
	case 0:
		return n >= c->count;
	case 1:
		return !c->triggered || n >= c->count;
	case 2: /* low during the last clock of each cycle */
		return !c->gate || n % c->count != c->count - 1;
	case 3:
		return !c->gate || n % c->count < (c->count + 1) / 2;
	default: /* low for the one clock behind the end */
		return (c->mode == 5 && !c->triggered) || n != c->count;
	}
}

static uint64_t next_rise(const struct pit_channel *c, uint64_t clock)
{
	uint64_t n = elapsed(c, clock);

	if (!counts(c))
		return 0;
	switch (c->mode) {
	case 0:
	case 1:
		return n < c->count ? c->start + c->count : 0;
	case 2:
	case 3: /* a cycle of one clock has no edges */
		return c->count > 1 ? c->start + (n / c->count + 1) * c->count : 0;
	default:
		return n <= c->count ? c->start + c->count + 1 : 0;
	}
}

/* What the counting element shows. Behind its end it goes on from the highest count. */
static uint16_t count_at(const struct pit_channel *c, uint64_t clock)
{
	uint64_t n = elapsed(c, clock), phase = n % c->count, half = (c->count + 1) / 2;
	uint32_t value, max = count_max(c);

	if (c->mode == 3) /* by two, from an even number, in each half */
		value = (c->count & ~1u) - 2 * (uint32_t)(phase < half ? phase : phase - half);
	else if (c->mode == 2)
		value = c->count - (uint32_t)phase;
	else
		value = (c->count + max - (uint32_t)(n % max)) % max;
	return c->bcd ? to_bcd(value % max) : (uint16_t)value;
}

static void restart(struct pit_channel *c, uint64_t clock)
{
	c->start = clock;
	c->held = 0;
}

static void load(struct pit_channel *c, uint32_t value, uint64_t clock)
{
	/* Digits above 9 are no BCD: what a guest makes of them is bounded like everything. */
	uint32_t count = c->bcd ? from_bcd(value) % COUNT_MAX_BCD : value;

	c->count = count ? count : count_max(c);
	/* A count written in mode 1 or 5 serves the next trigger; here the one under way is over. */
	c->triggered = false;
	c->loaded = true;
	restart(c, clock);
}

static void write_count(struct pit_channel *c, uint8_t value, uint64_t clock)
{
	if (c->access == ACCESS_LOW)
		load(c, value, clock);
	else if (c->access == ACCESS_HIGH)
		load(c, (uint32_t)value << 8, clock);
	else if (c->write_high)
		load(c, (uint32_t)value << 8 | c->low, clock);
	else
		c->low = value;
	c->write_high = c->access == ACCESS_BOTH && !c->write_high;
}

/* A latch that has not been read stays. */
static void latch_count(struct pit_channel *c, uint64_t clock)
{
	if (c->latched)
		return;
	c->latch = count_at(c, clock);
	c->latched = c->access == ACCESS_BOTH ? 2 : 1;
	c->read_high = c->access == ACCESS_HIGH;
}

static void latch_status(struct pit_channel *c, uint64_t clock)
{
	if (c->status_latched)
		return;
	c->status_latched = true;
	c->status = (uint8_t)((channel_out(c, clock) ? STATUS_OUT : 0) |
			      (c->loaded ? 0 : STATUS_NULL_COUNT) | c->access << 4 | c->mode << 1 |
			      (c->bcd ? 1 : 0));
}

static void read_back(struct pit *p, uint8_t command, uint64_t clock)
{
	for (unsigned int i = 0; i < PIT_CHANNELS; i++) {
		if (!(command >> (i + 1) & 1))
			continue;
		if (!(command & READ_BACK_NO_COUNT))
			latch_count(&p->channel[i], clock);
		if (!(command & READ_BACK_NO_STATUS))
			latch_status(&p->channel[i], clock);
	}
}

static void set_mode(struct pit_channel *c, uint8_t control, uint64_t clock)
{
	uint8_t mode = control >> 1 & 7;

	*c = (struct pit_channel){
		.count = c->count,
		.gate = c->gate,
		.mode = mode > 5 ? mode - 4 : mode, /* 6 and 7 are 2 and 3 */
		.access = control >> 4 & 3,
		.bcd = control & 1,
	};
	c->count = MIN(c->count, count_max(c));
	restart(c, clock);
}

void pit_write(struct pit *p, unsigned int reg, uint8_t value, uint64_t clock)
{
	unsigned int channel = value >> 6;

	if (reg != PIT_CONTROL)
		write_count(&p->channel[reg], value, clock);
	else if (channel == CONTROL_READ_BACK)
		read_back(p, value, clock);
	else if ((value >> 4 & 3) == ACCESS_LATCH)
		latch_count(&p->channel[channel], clock);
	else
		set_mode(&p->channel[channel], value, clock);
}

/* Bytes that are not latched are of the count as it is, each as of its own read. */
static uint8_t read_count(struct pit_channel *c, uint64_t clock)
{
	uint16_t value = c->latched ? c->latch : count_at(c, clock);
	bool high = c->access == ACCESS_HIGH || (c->access == ACCESS_BOTH && c->read_high);

	if (c->latched)
		c->latched--;
	c->read_high = c->access == ACCESS_BOTH && !c->read_high;
	return (uint8_t)(high ? value >> 8 : value);
}

uint8_t pit_read(struct pit *p, unsigned int reg, uint64_t clock)
{
	struct pit_channel *c;

	if (reg == PIT_CONTROL) /* is not read */
		return 0xff;
	c = &p->channel[reg];
	if (!c->status_latched)
		return read_count(c, clock);
	c->status_latched = false;
	return c->status;
}

static void set_gate(struct pit_channel *c, bool gate, uint64_t clock)
{
	if (gate == c->gate)
		return;
	if (!gate && !by_trigger(c))
		c->held = is_periodic(c) ? 0 : elapsed(c, clock);
	if (gate && by_trigger(c) && c->loaded) {
		c->triggered = true;
		restart(c, clock);
	}
	if (gate && !by_trigger(c))
		c->start = clock - c->held;
	c->gate = gate;
}

uint8_t pit_read_control(const struct pit *p, uint64_t clock)
{
	return p->control | (clock / REFRESH_CLOCKS & 1 ? CONTROL_REFRESH : 0) |
	       (channel_out(&p->channel[SPEAKER_CHANNEL], clock) ? CONTROL_OUT : 0);
}

void pit_write_control(struct pit *p, uint8_t value, uint64_t clock)
{
	p->control = value & CONTROL_WRITTEN;
	set_gate(&p->channel[SPEAKER_CHANNEL], value & CONTROL_GATE, clock);
}

bool pit_out(const struct pit *p, unsigned int channel, uint64_t clock)
{
	return channel_out(&p->channel[channel], clock);
}

uint64_t pit_next_rise(const struct pit *p, unsigned int channel, uint64_t clock)
{
	return next_rise(&p->channel[channel], clock);
}

void pit_init(struct pit *p, uint64_t clock)
{
	*p = (struct pit){ 0 };
	for (unsigned int i = 0; i < PIT_CHANNELS; i++) {
		struct pit_channel *c = &p->channel[i];

		c->gate = i != SPEAKER_CHANNEL; /* the others' are wired high */
		c->count = COUNT_MAX;
		set_mode(c, ACCESS_BOTH << 4 | 3 << 1, clock);
		if (i == 0)
			load(c, 0, clock);
	}
}
