/* SPDX-License-Identifier: MIT */
/*
 * echo: says what is typed to it, each byte at once and then each line with its length and sum, until a line reads "end".
 *
 * Why: what is typed at the monitor must arrive whole and in order, by a receiver of one byte and by one with a FIFO, polled
 * (rx=poll), or by interrupts while the guest halts with nothing else to wake it (rx=irq, with platform=pic or apic); by COM1
 * or, with input=virtio for it, by the virtio console (con=virtio) in many small buffers or few large ones.
 * Expected: pass, with each line that was typed; without anybody who types, stopped:halted with rx=irq.
 */
#include "guest-tests/echo/echo.h"
#include "guest-tests/lib/trap.h"

enum { COM1 = 0x3f8, IER = 1, IIR = 2, FCR = 2, MCR = 4, LSR = 5 };
enum { LSR_DATA = 1, LSR_OVERRUN = 2 };

#define RING 4096

static volatile u8 ring[RING];
static volatile u32 head, tail; /* the handler's, the reader's */
static volatile u32 overruns, wrong;
static bool by_hvc;

void came(u8 byte)
{
	ring[head % RING] = byte;
	head++;
}

static void take_com1(void)
{
	for (;;) {
		u8 lsr = inb(COM1 + LSR);

		overruns += (lsr & LSR_OVERRUN) != 0;
		if (!(lsr & LSR_DATA))
			return;
		came(inb(COM1));
	}
}

static void take(void)
{
	if (by_hvc)
		hvc_take();
	else
		take_com1();
}

/* IIR says "received" or, below the trigger level, "received, and no more comes". */
static void on_com1(struct trap_frame *f)
{
	u8 iir = inb(COM1 + IIR) & 0x0f;

	(void)f;
	wrong += iir != 0x04 && iir != 0x0c;
	take();
	outb(PIC0, 0x64);
}

static void on_hvc(struct trap_frame *f)
{
	(void)f;
	wrong += !hvc_interrupted();
	take();
	outb(PIC1, 0x62);
	outb(PIC0, 0x62);
}

static void start_pic(void)
{
	static const u8 icws[2][4] = { { 0x11, VECTOR_PIC0, 4, 1 }, { 0x11, VECTOR_PIC1, 2, 1 } };

	for (unsigned int i = 0; i < 4; i++) {
		outb(i ? PIC0 + 1 : PIC0, icws[0][i]);
		outb(i ? PIC1 + 1 : PIC1, icws[1][i]);
	}
	outb(PIC0 + 1, by_hvc ? (u8)~BIT(2) : (u8)~BIT(4));
	outb(PIC1 + 1, (u8)~BIT(2)); /* line 10 */
	trap_hook(VECTOR_PIC0 + 4, on_com1);
	trap_hook(VECTOR_PIC1 + 2, on_hvc);
}

static void start(bool irq)
{
	if (irq)
		start_pic();
	if (by_hvc) {
		hvc_start(irq);
		return;
	}
	outb(COM1 + FCR, arg_u64("fifo", 1) ? 0xc1 : 0);
	if (!irq)
		return;
	outb(COM1 + MCR, 0x0b);
	outb(COM1 + IER, 1);
}

static u8 next(bool irq)
{
	while (head == tail) {
		if (!irq) {
			take();
			continue;
		}
		asm volatile("cli");
		if (head == tail)
			asm volatile("sti; hlt");
		else
			asm volatile("sti");
	}
	return ring[tail++ % RING];
}

/* Its bytes, and what they add up to; false at its end. */
static bool read_line(bool irq, char *line, u32 size, u32 *len, u32 *sum)
{
	u8 byte;

	*len = *sum = 0;
	while ((byte = next(irq)) != '\r') {
		if (*len < size - 1)
			line[*len] = (char)byte;
		++*len;
		*sum += byte;
		print("%c", byte);
	}
	line[*len < size ? *len : size - 1] = 0;
	print("\n");
	return memcmp(line, "end", 4) != 0;
}

void guest_main(void)
{
	bool irq = arg_is("rx", "irq");
	u32 len, sum;
	char line[32];

	by_hvc = arg_is("con", "virtio");
	start(irq);
	print("echo: type\n");
	while (read_line(irq, line, sizeof(line), &len, &sum))
		print("echo: %u bytes, sum %u\n", len, sum);
	if (by_hvc)
		hvc_stop();
	else
		outb(COM1 + IER, 0);
	report_eq("bytes that the receiver lost", overruns, 0);
	report_eq("interrupts without a byte", wrong, 0);
}
