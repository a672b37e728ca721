/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer on a PC's devices: bytes become accesses to ports and to the registers of local and I/O APIC of every width, time
 * that passes, interrupts that are taken or not, bytes that are typed, for COM1 or for the virtio console, and rings of virtio devices. After each step what
 * the exit path relies on must hold.
 *
 * A step is eight bytes: what, size, port (2), value (4).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "arch/insn.h"
#include "arch/regs.h"
#include "arch/tsc.h"
#include "arch/vmx.h"
#include "lib/bitops.h"
#include "lib/log.h"
#include "unittests/fake/vmx.h"
#include "unittests/virtio_driver.h"
#include "vmm/acpi.h"
#include "vmm/lapic.h"
#include "vmm/ports.h"
#include "vmm/post.h"

#define V	   (&fake_vcpu)
#define VM	   (&fake_vm)
#define PC	   (&fake_vm.platform)
#define STEP_BYTES 8
#define SECTORS	   40

#define CHECK(x)                                                                \
	do {                                                                    \
		if (!(x)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x); \
			abort();                                                \
		}                                                               \
	} while (0)

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Bytes that one access may copy: a request's data and what is around it. */
#define COPIED_MAX ((QUEUE_SIZE - 2) * 4096 + QUEUE_SIZE * 16 + 64)

/* And what is typed may: a chain and its bytes. */
#define RECEIVED_MAX (CONSOLE_BYTES_MAX + QUEUE_SIZE * 16 + 64)

static uint64_t nr_typed; /* pieces that have come in */
static uint64_t nr_accesses, nr_interrupts, nr_resets, nr_served;
static uint32_t lapic_regs[LAPIC_REGS_NR][4];
static struct lapic lapic = { .regs = lapic_regs };
static enum vm_input input; /* what takes the bytes that are typed */
static char cmdline[] = "a command line";
static char disk[SECTORS * 512];

/* A failed assertion of the sources under test is a find; this is what fake/cpu.c calls. */
void mock_assert(const int result, const char *const expression, const char *const file,
		 const int line)
{
	if (result)
		return;
	fprintf(stderr, "%s:%d: %s\n", file, line, expression);
	abort();
}

void console_write(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		CHECK(text[i] == '\n' || text[i] == '\t' || (text[i] >= ' ' && text[i] <= '~') ||
		      (VM->com1.attached && (text[i] == '\r' || text[i] == '\b')));
}

static struct mem_owner owner = { .id = 1 };

static void power_on(void)
{
	fake_vcpu_reset();
	strcpy(fake_vm.options.name, "f");
	fake_vm.owner = &owner;
	fake_vm.options.cpus = 1;
	fake_vm.ram_bytes = MiB(64);
	fake_vm.options.platform = VM_PLATFORM_APIC;
	fake_vm.typed.to = input;
	V->lapic = &lapic;
	lapic_init(V);
	lapic_mmio_write(V, LAPIC_PAGE + 16 * LAPIC_SVR, 4, 0x1ff);
	platform_start(VM);
	PC->fwcfg.cmdline = cmdline;
	PC->fwcfg.cmdline_len = sizeof(cmdline) - 1;
	platform_plug_disk(VM, disk, SECTORS);
	memset(guest_ram, 0, 0x2000);
	start_driver();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fake_tsc = 1000;
	return 0;
}

/* What was typed, if a vCPU has to look after it: then that ends, or something has been taken. */
static void receive(void)
{
	uint64_t before = guest_ram_copied;
	uint16_t waited = VM->typed.count;

	if (!VM->typed.due)
		return;
	virtio_receive(VM);
	CHECK(guest_ram_copied - before <= RECEIVED_MAX);
	CHECK(!VM->typed.due || VM->typed.count < waited);
	nr_typed += VM->typed.count < waited;
}

/* What run.c does before an entry. */
static void enter(void)
{
	uint32_t info;

	receive();
	post_collect(V);
	vcpu_check_timer(V, fake_tsc);
	CHECK(!V->timer_deadline ||
	      V->timer_deadline > fake_tsc); /* or the guest would never get on */
	vmcs_write(VMCS_ENTRY_INTR_INFO, 0);
	vcpu_deliver_events(V);
	V->events.due = V->events.windows ? 0 : ~0UL;
	info = vmcs_read32(VMCS_ENTRY_INTR_INFO);
	if (info & INTR_INFO_VALID) {
		CHECK((info & INTR_TYPE_MASK) == INTR_TYPE_NMI ||
		      (vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_IF));
		nr_interrupts++;
	}
}

static void check_state(void)
{
	const struct com1 *c = &VM->com1;

	CHECK(c->len + 5 <= sizeof(c->line));
	CHECK(c->rx_count <= COM1_FIFO && c->rx_first < COM1_FIFO);
	CHECK(VM->typed.count <= TYPED_MAX && VM->typed.first < TYPED_MAX);
	CHECK(!VM->typed.due ||
	      (input == VM_INPUT_VIRTIO && VM->typed.count && VM->typed.may_wake));
	CHECK(PC->fwcfg.at <= sizeof(cmdline));
	CHECK(PC->rtc.index < RTC_SIZE && PC->crtc.index < CRTC_REGS);
	for (unsigned int i = 0; i < 2; i++)
		CHECK(PC->pic.chip[i].lowest < 8 && PC->pic.chip[i].expect <= 4);
	for (unsigned int i = 0; i < PIT_CHANNELS; i++)
		CHECK(PC->pit.channel[i].count >= 1 && PC->pit.channel[i].count <= 65536);
	/* Somebody who may interrupt is seen at the end of the exit, and an edge that matters has its deadline. */
	CHECK(!PC->pic.intr || !lapic_takes_extint(&lapic) || V->events.due == 0);
	CHECK(!(pic_wants(&PC->pic, IRQ_TIMER) || ioapic_wants(&PC->ioapic, ACPI_TIMER_PIN)) ||
	      !PC->edge || PC->deadline == PC->edge);
	/* All messages have been sent. */
	CHECK(!PC->ioapic.due);
}

static void access_port(uint8_t how, uint16_t port, uint32_t value)
{
	unsigned int size = 1u << how % 3;
	uint64_t before = guest_ram_copied;
	uint32_t mask = (uint32_t)BITS(8 * size - 1, 0);

	nr_accesses++;
	if (how & 0x80) {
		CHECK(!(port_in(VM, port, size) & ~mask));
	} else if (!port_out(VM, port, size, value & mask)) {
		CHECK(VM->verdict != VERDICT_NONE);
		nr_resets++;
		power_on();
	}
	CHECK(guest_ram_copied - before <= COPIED_MAX);
	nr_served += guest_ram_copied != before;
}

/* A descriptor of one of the queues, most likely one that makes sense; or the next chain; or any two bytes. */
static void write_rings(uint8_t how, uint16_t at, uint32_t value)
{
	uint32_t rings = RINGS + (how & 3) % 3 * 0x2000;

	switch (how >> 2 & 3) {
	case 0:
	case 1:
		*desc_at(rings, at % QUEUE_SIZE) = (struct desc){
			.gpa = value >> 14,
			.len = (value >> 8 & 0x3f) << (how >> 4),
			.flags = value & 7,
			.next = at >> 6 & 0x7f,
		};
		break;
	case 2:
		make_available(rings, at % (QUEUE_SIZE + 1));
		break;
	default:
		memcpy(guest_ram + value % (GUEST_RAM_SIZE - 1), &at, sizeof(at));
		break;
	}
}

/* By a driver that keeps to the rules, for what is typed; it begins anew if the device has stopped. */
static void give_buffer(uint16_t at, uint32_t len)
{
	if (PC->console.virtio.status != 7 || PC->console.virtio.queue[0].pfn != RX_RINGS >> 12)
		start_driver();
	*desc_at(RX_RINGS, at % QUEUE_SIZE) = (struct desc){ at, len, WRITE, 0 };
	make_available(RX_RINGS, at % QUEUE_SIZE);
}

/* Local APIC or I/O APIC; the registers that there are most of the time. */
static void access_memory(uint8_t how, uint16_t raw, uint32_t value)
{
	static const uint16_t registers[] = { 0, 0x10, 0xb0, 0xf0, 0x300, 0x310, 0x320, 0x350 };
	unsigned int size = 1u << how % 4, at = raw & 0x8000 ? registers[raw & 7] : raw & 0xfff;

	nr_accesses++;
	if (how & 0x40) {
		CHECK(platform_has_page(VM, IOAPIC_PAGE + at));
		if (how & 0x80)
			platform_mmio_read(VM, IOAPIC_PAGE + at, size);
		else
			platform_mmio_write(VM, IOAPIC_PAGE + at, size, value);
	} else if (how & 0x80) {
		lapic_mmio_read(V, LAPIC_PAGE + at, size);
	} else {
		lapic_mmio_write(V, LAPIC_PAGE + at, size, value);
	}
}

/* Ports that have something, so that few accesses are wasted. */
static uint16_t port_of(uint16_t raw)
{
	static const uint16_t ports[] = {
		0x20,	0x21,	0xa0,	0xa1,	0x4d0,	0x4d1,	0x40,	0x41,	0x42,	0x43,
		0x61,	0x70,	0x71,	0x64,	0x92,	0xe9,	0x3d4,	0x3d5,	0x510,	0x511,
		0xcf8,	0xcf9,	0x600,	0x602,	0x604,	0x608,	0xf5,	0xcfc,	0x3f8,	0x3f9,
		0xcfd,	0xcfe,	0xc040, 0xc044, 0xc048, 0xc04e, 0xc050, 0xc050, 0xc052, 0xc053,
		0xc080, 0xc084, 0xc088, 0xc08c, 0xc08e, 0xc090, 0xc090, 0xc092, 0xc093, 0xc094,
		0xc098, 0x3fa,	0x3fb,	0x3fc,	0x3fd,	0x3fe,	0x3ff,	0xf4,
	};

	return raw & 0xc000 ? ports[raw % (sizeof(ports) / sizeof(ports[0]))] : raw;
}

static void step(const uint8_t *b)
{
	uint16_t port = (uint16_t)(b[2] | b[3] << 8);
	uint32_t value = b[4] | b[5] << 8 | b[6] << 16 | (uint32_t)b[7] << 24;

	switch (b[0] % 16) {
	case 0:
		fake_tsc += value >> (b[1] & 31);
		break;
	case 1:
		if (!b[5])
			com1_attach(VM, b[4] & 1);
		if (b[7] & 1)
			give_buffer(port, b[5] + 1);
		for (unsigned int i = 0; i <= b[6]; i++)
			if (!typed_receive(VM, b[4]))
				CHECK(VM->typed.count == TYPED_MAX);
		break;
	case 2:
		vmcs_write(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | (b[1] & 1 ? RFLAGS_IF : 0));
		break;
	case 3:
		post_collect(V);
		platform_halted(V);
		CHECK(lapic_timer_deadline(&lapic) || V->timer_deadline == PC->deadline);
		return; /* the deadline is exact now, and may be none */
	case 4:
	case 5:
		enter();
		break;
	case 6:
	case 7:
	case 8:
		access_memory(b[1], port, value);
		break;
	case 9:
	case 10:
		write_rings(b[1], port, value);
		break;
	case 11: /* 16 bits to a device's register of notifications */
		access_port(1, (b[1] & 1 ? DISK : CONSOLE) + 16, b[1] & 2 ? 0 : 1);
		break;
	default:
		access_port(b[1], port_of(port), value);
		break;
	}
	check_state();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input = size / STEP_BYTES % 2 ? VM_INPUT_VIRTIO : VM_INPUT_COM1;
	power_on();
	for (; size >= STEP_BYTES; data += STEP_BYTES, size -= STEP_BYTES)
		step(data);
	return 0;
}
