/* SPDX-License-Identifier: MIT */
/*
 * The wires of a PC: timer and COM1 to the PIC and the I/O APIC, the PIC to the first vCPU, the I/O APIC to all; TSC to
 * clocks of the PIT. Any vCPU may touch a register; what that means for the first one it finds in its post. That one
 * acknowledges and keeps the time.
 */
#include "vmm/platform.h"
#include "arch/insn.h"
#include "arch/tsc.h"
#include "lib/bitops.h"
#include "vmm/acpi.h"
#include "vmm/post.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define TIMER_CHANNEL 0

/*
 * TSC ticks from one edge of a timer that goes by itself to the next at the least: a few exits, as for the local APIC's.
 * The PIC waits for its acknowledge; the I/O APIC does not, and the guest would do nothing but take interrupts.
 */
#define EDGE_MIN 5000

static uint64_t tsc_hz(void)
{
	return tsc_khz() * 1000;
}

/* Clocks of @of_hz. Seconds and the rest apart: no product overflows, and nothing drifts. */
static uint64_t scale(uint64_t tsc, uint64_t of_hz)
{
	uint64_t hz = tsc_hz();

	return tsc / hz * of_hz + tsc % hz * of_hz / hz;
}

static uint64_t clock_of(uint64_t tsc)
{
	return scale(tsc, PIT_HZ);
}

/* The first TSC of that clock. */
static uint64_t tsc_of(uint64_t clock)
{
	uint64_t hz = tsc_hz();

	return clock / PIT_HZ * hz + DIV_ROUND_UP(clock % PIT_HZ * hz, PIT_HZ);
}

static uint64_t clock_now(void)
{
	return clock_of(rdtsc());
}

static bool is_wired(const struct vcpu *v)
{
	return v->vm->platform.present && v->id == BOOT_VCPU;
}

/* Looks for the timer's next edge behind @clock. */
static void find_edge(struct platform *p, uint64_t clock)
{
	uint64_t rise = pit_next_rise(&p->pit, TIMER_CHANNEL, clock);

	p->edge = rise ? tsc_of(rise) : 0;
}

/* The messages that the I/O APIC has: at most one for each pin. */
static __noinline void send_due(struct vm *vm)
{
	struct ioapic *io = &vm->platform.ioapic;
	struct lapic_message m;
	int pin;

	while ((pin = ioapic_next(io, &m)) >= 0)
		ioapic_sent(io, (unsigned int)pin, lapic_deliver(vm, &m, NULL));
}

static void send_messages(struct vm *vm)
{
	if (unlikely(vm->platform.ioapic.due))
		send_due(vm);
}

static unsigned int pin_of(enum platform_irq irq)
{
	return irq == IRQ_TIMER ? ACPI_TIMER_PIN : irq;
}

static void set_line(struct platform *p, enum platform_irq irq, bool high)
{
	pic_set(&p->pic, irq, high);
	ioapic_set(&p->ioapic, pin_of(irq), high);
}

/*
 * The timer's edges up to @now; several are one. Between them its line stays high, which a real one's does not: a
 * guest that does not run for a while would lose the request when the line falls.
 */
static void pass_edges(struct vm *vm, uint64_t now)
{
	struct platform *p = &vm->platform;

	if (likely(!p->edge || now < p->edge))
		return;
	pic_pulse(&p->pic, IRQ_TIMER);
	ioapic_pulse(&p->ioapic, ACPI_TIMER_PIN);
	send_messages(vm);
	find_edge(p, clock_of(now));
	if (p->edge)
		p->edge = MAX(p->edge, now + EDGE_MIN);
}

static bool ioapic_wants_timer(const struct platform *p)
{
	return ioapic_wants(&p->ioapic, ACPI_TIMER_PIN);
}

/* The edge counts if it would make a request. */
static uint64_t exact_deadline(const struct platform *p)
{
	return pic_wants(&p->pic, IRQ_TIMER) || ioapic_wants_timer(p) ? p->edge : 0;
}

/* By the first vCPU itself, outside of its port accesses: what it does next needs the deadline. */
static void set_own_deadline(struct vcpu *v, uint64_t deadline)
{
	if (deadline == v->vm->platform.deadline)
		return;
	v->vm->platform.deadline = deadline;
	vcpu_timer_changed(v);
}

/*
 * After an access that may have changed what the PIC wants. A deadline that nothing wants any more stays: systems mask
 * the timer at each interrupt, and in a moment it will be wanted again.
 */
static void settle(struct vm *vm)
{
	struct platform *p = &vm->platform;
	uint64_t deadline = exact_deadline(p);
	bool moved = deadline && deadline != p->deadline;

	if (moved)
		WRITE_ONCE(p->deadline, deadline);
	if (moved || p->pic.intr)
		post_platform(vm, BOOT_VCPU);
	send_messages(vm);
}

void platform_set_irq(struct vm *vm, enum platform_irq irq, bool high)
{
	if (!vm->platform.present)
		return;
	set_line(&vm->platform, irq, high);
	settle(vm);
}

bool platform_interrupts(const struct vcpu *v)
{
	return READ_ONCE(v->vm->platform.pic.intr) && is_wired(v);
}

/*
 * Edges that came while the request was there are part of it; but on the way into the guest no message can be sent, so
 * one that the I/O APIC wants too waits for its deadline, which has passed.
 */
uint8_t platform_ack(struct vcpu *v)
{
	struct platform *p = &v->vm->platform;
	uint64_t flags = spin_lock(&v->vm->lock);
	uint8_t vector;

	if (!ioapic_wants_timer(p))
		pass_edges(v->vm, rdtsc());
	vector = pic_ack(&p->pic);
	if (exact_deadline(p))
		set_own_deadline(v, exact_deadline(p));
	spin_unlock(&v->vm->lock, flags);
	return vector;
}

uint64_t platform_deadline(const struct vcpu *v)
{
	return is_wired(v) ? READ_ONCE(v->vm->platform.deadline) : 0;
}

void platform_expire(struct vcpu *v, uint64_t now)
{
	struct platform *p = &v->vm->platform;
	uint64_t flags;

	if (!platform_deadline(v) || now < platform_deadline(v))
		return;
	flags = spin_lock(&v->vm->lock);
	pass_edges(v->vm, now);
	set_own_deadline(v, exact_deadline(p));
	spin_unlock(&v->vm->lock, flags);
}

void platform_halted(struct vcpu *v)
{
	uint64_t flags;

	if (!is_wired(v))
		return;
	flags = spin_lock(&v->vm->lock);
	set_own_deadline(v, exact_deadline(&v->vm->platform));
	spin_unlock(&v->vm->lock, flags);
}

/* ---- registers ---- */

uint8_t platform_read_pic(struct vm *vm, unsigned int chip, bool odd)
{
	uint8_t value;

	pass_edges(vm, rdtsc()); /* IRR shows them, masked or not */
	value = pic_read(&vm->platform.pic, chip, odd);
	settle(vm); /* it may have been a poll */
	return value;
}

void platform_write_pic(struct vm *vm, unsigned int chip, bool odd, uint8_t value)
{
	pass_edges(vm, rdtsc()); /* before a mask opens or a request goes */
	pic_write(&vm->platform.pic, chip, odd, value);
	settle(vm);
}

void platform_write_elcr(struct vm *vm, unsigned int chip, uint8_t value)
{
	pic_write_elcr(&vm->platform.pic, chip, value);
	settle(vm);
}

uint8_t platform_read_pit(struct vm *vm, unsigned int reg)
{
	return pit_read(&vm->platform.pit, reg, clock_now());
}

void platform_write_pit(struct vm *vm, unsigned int reg, uint8_t value)
{
	struct platform *p = &vm->platform;
	uint64_t now = rdtsc(), clock = clock_of(now);

	pass_edges(vm, now);
	pit_write(&p->pit, reg, value, clock);
	/* A control word sets the output at once, and a low one takes the request back. */
	if (reg == PIT_CONTROL || !pit_out(&p->pit, TIMER_CHANNEL, clock))
		set_line(p, IRQ_TIMER, pit_out(&p->pit, TIMER_CHANNEL, clock));
	find_edge(p, clock);
	settle(vm);
}

uint8_t platform_read_speaker(struct vm *vm)
{
	return pit_read_control(&vm->platform.pit, clock_now());
}

void platform_write_speaker(struct vm *vm, uint8_t value)
{
	pit_write_control(&vm->platform.pit, value, clock_now());
}

uint8_t platform_read_rtc(struct vm *vm)
{
	return rtc_read(&vm->platform.rtc, (rdtsc() - vm->platform.start) / tsc_hz());
}

static uint64_t pm_clock(const struct vm *vm)
{
	return scale(rdtsc() - vm->platform.start, ACPI_PM_HZ);
}

uint32_t platform_read_pm(struct vm *vm, unsigned int reg, unsigned int size)
{
	return acpipm_read(&vm->platform.pm, reg, size, pm_clock(vm));
}

bool platform_write_pm(struct vm *vm, unsigned int reg, unsigned int size, uint32_t value)
{
	return acpipm_write(&vm->platform.pm, reg, size, value, pm_clock(vm));
}

/* ---- I/O APIC ---- */

bool platform_has_page(const struct vm *vm, uint64_t gpa)
{
	return vm->platform.apic && gpa >> 12 == IOAPIC_PAGE >> 12;
}

uint32_t platform_mmio_read(struct vm *vm, uint64_t gpa, unsigned int size)
{
	uint64_t flags = spin_lock(&vm->lock);
	uint32_t value = ioapic_read(&vm->platform.ioapic, gpa & 0xfff, size);

	spin_unlock(&vm->lock, flags);
	return value;
}

void platform_mmio_write(struct vm *vm, uint64_t gpa, unsigned int size, uint32_t value)
{
	uint64_t flags = spin_lock(&vm->lock);

	pass_edges(vm, rdtsc()); /* before a mask opens: they were masked */
	ioapic_write(&vm->platform.ioapic, gpa & 0xfff, size, value);
	settle(vm);
	spin_unlock(&vm->lock, flags);
}

void platform_eoi(struct vm *vm, uint8_t vector)
{
	uint64_t flags = spin_lock(&vm->lock);

	ioapic_eoi(&vm->platform.ioapic, vector);
	send_messages(vm);
	spin_unlock(&vm->lock, flags);
}

void platform_start(struct vm *vm)
{
	struct platform *p = &vm->platform;

	p->present = vm->hole_is_ram = true;
	p->apic = vm->options.platform == VM_PLATFORM_APIC;
	p->start = rdtsc();
	pic_init(&p->pic);
	pit_init(&p->pit, clock_of(p->start));
	ioapic_init(&p->ioapic);
	p->ioapic.id = ACPI_IOAPIC_ID << 24;
	/* As its output is; the edge is past when somebody listens. */
	set_line(p, IRQ_TIMER, true);
	find_edge(p, clock_of(p->start));
	rtc_init(&p->rtc, vm->ram_bytes);
	p->fwcfg.ram_bytes = vm->ram_bytes;
	p->fwcfg.cpus = (uint16_t)vm->options.cpus;
	pic_write_elcr(&p->pic, 1, BIT(IRQ_CONSOLE - 8) | BIT(IRQ_DISK - 8)); /* as PCI's are */
	pci_plug(&p->pci, PCI_BRIDGE, 0);
	virtio_console_init(&p->console);
	pci_plug(&p->pci, PCI_CONSOLE, IRQ_CONSOLE);
}

void platform_plug_disk(struct vm *vm, char *data, uint64_t sectors)
{
	virtio_blk_init(&vm->platform.disk, data, sectors);
	pci_plug(&vm->platform.pci, PCI_DISK, IRQ_DISK);
}
