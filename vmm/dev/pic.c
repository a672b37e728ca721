/* SPDX-License-Identifier: MIT */
/* 8259A: initialisation and operation command words, priorities, acknowledge. */
#include "vmm/dev/pic.h"
#include "lib/bitops.h"

#define CASCADE 2 /* the first chip's input that the second drives */

#define ICW1	    0x10 /* this bit of the even port tells ICW1 from OCW2 and OCW3 */
#define ICW1_IC4    0x01
#define ICW1_SINGLE 0x02
#define ICW4_AEOI   0x02
#define ICW4_SFNM   0x10

#define OCW3	   0x08
#define OCW3_RIS   0x01
#define OCW3_RR	   0x02
#define OCW3_POLL  0x04
#define OCW3_SMM   0x20
#define OCW3_ESMM  0x40
#define POLL_FOUND 0x80

/* OCW2, bits 7 to 5 */
enum {
	OCW2_ROTATE_AUTO_CLEAR,
	OCW2_EOI,
	OCW2_NOP,
	OCW2_EOI_SPECIFIC,
	OCW2_ROTATE_AUTO_SET,
	OCW2_EOI_ROTATE,
	OCW2_SET_PRIORITY,
	OCW2_EOI_SPECIFIC_ROTATE,
};

/* The timer, the keyboard, the cascade; the clock and the coprocessor: edges whatever ELCR is told. */
static const uint8_t elcr_mask[2] = { 0xf8, 0xde };

static uint8_t bit_of(unsigned int input)
{
	return (uint8_t)(1u << input);
}

/* 0 is the highest priority. */
static unsigned int rank_of(const struct pic_chip *c, unsigned int input)
{
	return (input - c->lowest - 1u) & 7;
}

/* The input of highest priority in @set, -1 if it is empty. */
static int first_of(const struct pic_chip *c, uint8_t set)
{
	unsigned int from = c->lowest + 1u;
	uint32_t turned =
		((uint32_t)set | (uint32_t)set << 8) >> from & 0xff; /* that input is bit 0 */

	return turned ? (int)((bit_lowest(turned) + from) & 7) : -1;
}

/* Those in service that hold others up. In special mask mode what is masked does not, nor is it ended by EOI. */
static uint8_t in_service(const struct pic_chip *c)
{
	return c->mask_mode ? (uint8_t)(c->isr & ~c->imr) : c->isr;
}

/* The input that the chip would have acknowledged now, -1 if none. */
static int request_of(const struct pic_chip *c)
{
	int input = first_of(c, (uint8_t)(c->irr & ~c->imr)), busy;
	unsigned int bound;

	if (input < 0)
		return -1;
	busy = first_of(c, in_service(c));
	if (busy < 0)
		return input;
	bound = rank_of(c, (unsigned int)busy);
	/* Special fully nested mode: the second chip's higher inputs interrupt its lower ones. */
	if (c->nested && busy == CASCADE)
		bound++;
	return rank_of(c, (unsigned int)input) < bound ? input : -1;
}

/* An input that falls takes its request back, by data sheet in either trigger mode. */
static void set_input(struct pic_chip *c, unsigned int input, bool high)
{
	uint8_t bit = bit_of(input);

	if (!high) {
		c->irr &= (uint8_t)~bit;
		c->lines &= (uint8_t)~bit;
		return;
	}
	if (!(c->lines & bit) || (c->elcr & bit))
		c->irr |= bit;
	c->lines |= bit;
}

/* What one chip does after a change of its own shows at the other, and at the CPU. */
static void settle(struct pic *p)
{
	set_input(&p->chip[0], CASCADE, request_of(&p->chip[1]) >= 0);
	p->intr = request_of(&p->chip[0]) >= 0;
}

/* The chip's share in an acknowledge; -1: there was no request. */
static int acknowledge(struct pic_chip *c)
{
	int input = request_of(c);
	uint8_t bit;

	if (input < 0)
		return -1;
	bit = bit_of((unsigned int)input);
	if (!(c->elcr & bit))
		c->irr &= (uint8_t)~bit;
	if (!c->auto_end)
		c->isr |= bit;
	else if (c->rotate)
		c->lowest = (uint8_t)input;
	return input;
}

static uint8_t vector_of(const struct pic_chip *c, int input)
{
	return (uint8_t)(c->base + (input < 0 ? 7 : input));
}

uint8_t pic_ack(struct pic *p)
{
	int input = acknowledge(&p->chip[0]);
	uint8_t vector = vector_of(&p->chip[0], input);

	if (input == CASCADE) {
		vector = vector_of(&p->chip[1], acknowledge(&p->chip[1]));
		/* The second chip's output falls and, if it has more, rises again: an edge. */
		set_input(&p->chip[0], CASCADE, false);
	}
	settle(p);
	return vector;
}

static void begin_init(struct pic_chip *c, uint8_t icw1)
{
	*c = (struct pic_chip){
		.lines = c->lines,
		.irr = c->lines & c->elcr, /* an edge has to come anew */
		.elcr = c->elcr,
		.base = c->base,
		.lowest = 7,
		.expect = 2,
		.single = icw1 & ICW1_SINGLE,
		.wants_icw4 = icw1 & ICW1_IC4,
	};
}

/* ICW2 to ICW4, as far as ICW1 has announced them. */
static void write_init(struct pic_chip *c, uint8_t value)
{
	switch (c->expect) {
	case 2:
		c->base = value & 0xf8;
		c->expect = !c->single ? 3 : c->wants_icw4 ? 4 : 0;
		break;
	case 3:
		c->expect = c->wants_icw4 ? 4 : 0;
		break;
	default:
		c->auto_end = value & ICW4_AEOI;
		c->nested = value & ICW4_SFNM;
		c->expect = 0;
		break;
	}
}

static void end_of(struct pic_chip *c, int input, bool rotate)
{
	if (input < 0)
		return;
	c->isr &= (uint8_t)~bit_of((unsigned int)input);
	if (rotate)
		c->lowest = (uint8_t)input;
}

static void write_ocw2(struct pic_chip *c, uint8_t value)
{
	unsigned int command = value >> 5, input = value & 7;

	switch (command) {
	case OCW2_EOI:
	case OCW2_EOI_ROTATE:
		end_of(c, first_of(c, in_service(c)), command == OCW2_EOI_ROTATE);
		break;
	case OCW2_EOI_SPECIFIC:
	case OCW2_EOI_SPECIFIC_ROTATE:
		end_of(c, (int)input, command == OCW2_EOI_SPECIFIC_ROTATE);
		break;
	case OCW2_SET_PRIORITY:
		c->lowest = (uint8_t)input;
		break;
	case OCW2_ROTATE_AUTO_SET:
	case OCW2_ROTATE_AUTO_CLEAR:
		c->rotate = command == OCW2_ROTATE_AUTO_SET;
		break;
	default: /* OCW2_NOP */
		break;
	}
}

static void write_ocw3(struct pic_chip *c, uint8_t value)
{
	c->poll = value & OCW3_POLL;
	if (value & OCW3_RR)
		c->read_isr = value & OCW3_RIS;
	if (value & OCW3_ESMM)
		c->mask_mode = value & OCW3_SMM;
}

void pic_write(struct pic *p, unsigned int chip, bool odd, uint8_t value)
{
	struct pic_chip *c = &p->chip[chip];

	if (odd && c->expect)
		write_init(c, value);
	else if (odd)
		c->imr = value;
	else if (value & ICW1)
		begin_init(c, value);
	else if (value & OCW3)
		write_ocw3(c, value);
	else
		write_ocw2(c, value);
	settle(p);
}

uint8_t pic_read(struct pic *p, unsigned int chip, bool odd)
{
	struct pic_chip *c = &p->chip[chip];
	int input;

	if (c->poll) {
		c->poll = false;
		input = acknowledge(c);
		settle(p);
		return input < 0 ? 0 : (uint8_t)(POLL_FOUND | input);
	}
	if (odd)
		return c->imr;
	return c->read_isr ? c->isr : c->irr;
}

uint8_t pic_read_elcr(const struct pic *p, unsigned int chip)
{
	return p->chip[chip].elcr;
}

void pic_write_elcr(struct pic *p, unsigned int chip, uint8_t value)
{
	struct pic_chip *c = &p->chip[chip];

	c->elcr = value & elcr_mask[chip];
	c->irr |= c->lines & c->elcr;
	settle(p);
}

void pic_set(struct pic *p, unsigned int line, bool high)
{
	set_input(&p->chip[line >> 3 & 1], line & 7, high);
	settle(p);
}

void pic_pulse(struct pic *p, unsigned int line)
{
	set_input(&p->chip[line >> 3 & 1], line & 7, false);
	pic_set(p, line, true);
}

bool pic_wants(const struct pic *p, unsigned int line)
{
	const struct pic_chip *c = &p->chip[line >> 3 & 1];

	return !((c->irr | c->imr) & bit_of(line & 7));
}

void pic_init(struct pic *p)
{
	static const uint8_t base[2] = { 0x08, 0x70 };

	for (unsigned int i = 0; i < 2; i++)
		p->chip[i] = (struct pic_chip){ .imr = 0xff, .base = base[i], .lowest = 7 };
	p->intr = false;
}
