/* SPDX-License-Identifier: MIT */
/*
 * devices: accesses of every width to every register of every device, at random, as many as it is told; and virtio rings that
 * loop, lead nowhere, wrap, and change while they are looked at.
 *
 * Why: a device's registers are what a guest has most of to play with, behind them are tables and memory of the hypervisor's. None
 * of it may cost anybody else anything; the guest itself must find its registers and its memory as it left them, and the devices
 * as good as new when they are reset. Interrupts are never enabled: what devices ask for there is the test "pc".
 * Expected: pass, with platform=pic or apic and disk=. The seed is printed: the same one gives the same accesses.
 * Arguments: seed= (default 1), n= accesses (default 100000), audit= acts between two audits by hypercall (default 50000; 0: none).
 */
#include "guest-tests/devices/devices.h"
#include "guest-tests/lib/survive.h"
#include "vmm/abi.h"

enum { EXIT_IO = 30, EXIT_EPT_VIOLATION = 48 };
enum { PORT_COM1_DATA = 0x3f8, PORT_DEBUG = 0xe9, PORT_KEYBOARD = 0x64, PORT_SYSTEM = 0x92 };
enum {
	PORT_RESET = 0xcf9,
	PORT_PCI_ADDRESS = 0xcf8,
	PORT_PCI_DATA = 0xcfc,
	PORT_PM1_CONTROL = 0x604
};
#define LAPIC  0xfee00000ull
#define IOAPIC 0xfec00000ull
#define ICR    0x300

u64 arena;
static u64 state, accesses, nmis;

u64 below(u64 n)
{
	return random_below(&state, n);
}

bool one_in(u64 n)
{
	return !below(n);
}

u64 some_value(void)
{
	switch (below(5)) {
	case 0:
		return BIT(below(64));
	case 1:
		return ~BIT(below(64));
	case 2:
		return below(256);
	case 3:
		return random_next(&state) & random_next(&state);
	default:
		return random_next(&state);
	}
}

static void on_nmi(struct trap_frame *f)
{
	(void)f;
	nmis++;
}

/* ---- ports ---- */

static const struct {
	u16 first, nr;
} ports[] = {
	{ 0x20, 2 },   { 0xa0, 2 },  { 0x40, 4 },  { 0x60, 5 },	  { 0x70, 2 },	{ 0x92, 1 },
	{ 0x80, 32 },  { 0xe9, 1 },  { 0x3d4, 2 }, { 0x3f8, 8 },  { 0x4d0, 2 }, { 0x510, 2 },
	{ 0x600, 12 }, { 0xcf8, 8 }, { 0, 0x400 }, { 0, 0xc000 },
};

/* A byte that reset, power-off, the verdict and a mark are made of; that prints; that moves a device's ports. */
static bool is_spared(u32 port, u8 byte)
{
	switch (port) {
	case PORT_EXIT:
	case PORT_EXIT + 1:
	case PORT_COM1_DATA:
	case PORT_DEBUG:
	case PORT_PCI_DATA ... PORT_PCI_DATA + 3:
		return true;
	case PORT_KEYBOARD:
		return byte == 0xfe;
	case PORT_SYSTEM:
		return byte & 1;
	case PORT_RESET:
		return byte & 4;
	case PORT_PM1_CONTROL + 1:
		return byte & 0x20;
	default:
		return false;
	}
}

void port_access(u32 port, u32 size, bool write, u32 value)
{
	for (u32 i = 0; write && i < size; i++)
		if (is_spared(port + i, (u8)(value >> 8 * i)))
			return;
	accesses++;
	if (!write)
		size == 1 ? inb((u16)port) : size == 2 ? inw((u16)port) : inl((u16)port);
	else if (size == 1)
		outb((u16)port, (u8)value);
	else if (size == 2)
		outw((u16)port, (u16)value);
	else
		outl((u16)port, value);
}

static void act_port(void)
{
	u32 i = (u32)below(ARRAY_SIZE(ports));

	port_access(ports[i].first + (u32)below(ports[i].nr), 1u << below(3), below(2),
		    (u32)some_value());
}

/* ---- PCI's registers ---- */

u32 pci_read(u32 device, u32 reg)
{
	accesses += 2;
	return pci_config(device, reg);
}

void pci_write(u32 device, u32 reg, u32 value)
{
	accesses += 2;
	outl(PORT_PCI_ADDRESS, PCI_ADDRESS(device, reg));
	outl(PORT_PCI_DATA, value);
}

/* Any function's any register; ports that were moved or turned off are put back, but not at once. */
static void act_pci(void)
{
	u32 size = 1u << below(3), at = PORT_PCI_DATA + (u32)below(4), value = (u32)some_value();

	accesses += 2;
	outl(PORT_PCI_ADDRESS,
	     one_in(4) ? (u32)some_value() : PCI_ADDRESS((u32)below(4), (u32)below(256)));
	if (size == 1)
		below(2) ? outb((u16)at, (u8)value) : (void)inb((u16)at);
	else if (size == 2)
		below(2) ? outw((u16)at, (u16)value) : (void)inw((u16)at);
	else
		below(2) ? outl((u16)at, value) : (void)inl((u16)at);
	rings_restore();
}

/* ---- registers in memory ---- */

/*
 * All that a compiler makes of device registers. Bit 10 is left out: with it a message is INIT or a start-up IPI, which end a
 * guest of one CPU.
 */
static void mmio(u64 at, u64 value, u32 op)
{
	u64 v = value & ~0x0404040404040404ull;

	accesses++;
	switch (op) {
	case 0:
		asm volatile("movb %b0, (%1)" : : "r"(v), "r"(at) : "memory");
		break;
	case 1:
		asm volatile("movw %w0, (%1)" : : "r"(v), "r"(at) : "memory");
		break;
	case 2:
	case 3:
	case 4:
		asm volatile("movl %k0, (%1)" : : "r"(v), "r"(at) : "memory");
		break;
	case 5:
		asm volatile("movq %0, (%1)" : : "r"(v), "r"(at) : "memory");
		break;
	case 6:
		asm volatile("movb (%1), %b0" : "+r"(v) : "r"(at) : "memory");
		break;
	case 7:
		asm volatile("movzwl (%1), %k0" : "=r"(v) : "r"(at) : "memory");
		break;
	case 8:
	case 9:
		asm volatile("movl (%1), %k0" : "=r"(v) : "r"(at) : "memory");
		break;
	case 10:
		asm volatile("movq (%1), %0" : "=r"(v) : "r"(at) : "memory");
		break;
	case 11:
		asm volatile("movslq (%1), %0" : "=r"(v) : "r"(at) : "memory");
		break;
	case 12:
		asm volatile("andl %k0, (%1)" : : "r"(v), "r"(at) : "memory", "cc");
		break;
	case 13:
		asm volatile("xorl %k0, (%1)" : : "r"(v), "r"(at) : "memory", "cc");
		break;
	case 14:
		asm volatile("testl %k0, (%1)" : : "r"(v), "r"(at) : "memory", "cc");
		break;
	case 15:
		asm volatile("cmpw %w0, (%1)" : : "r"(v), "r"(at) : "memory", "cc");
		break;
	case 16:
		asm volatile("orb %b0, (%1)" : : "r"(v), "r"(at) : "memory", "cc");
		break;
	default: {
		u64 count = below(4);

		asm volatile("rep stosl" : "+D"(at), "+c"(count) : "a"(v) : "memory");
	}
	}
}

static void act_mmio(void)
{
	u64 page = below(2) ? LAPIC : IOAPIC;
	u64 at = below(2) ? below(64) * 16 : below(PAGE_SIZE);

	if (one_in(8))
		mmio(IOAPIC, below(64), 0); /* IOREGSEL */
	mmio(page + at, some_value(), (u32)below(18));
}

static void act_nmi(void)
{
	accesses++;
	*(volatile u32 *)(LAPIC + ICR) = 0x40400; /* to itself */
}

static void (*const all[])(void) = {
	act_port, act_port, act_port, act_port, act_pci,    act_mmio,	act_mmio,   act_mmio,
	act_mmio, act_mmio, act_mmio, act_nmi,	act_virtio, act_virtio, act_virtio, act_rings,
};

/* The end of the RAM below 4 GiB, where nothing of ours is. */
static bool find_arena(void)
{
	u64 end = 0;

	for (u32 i = 0; i < boot.nr_map; i++)
		if (boot.map[i].type == 1 && boot.map[i].end <= BIT(32) && boot.map[i].end > end)
			end = boot.map[i].end;
	end &= ~(PAGE_SIZE - 1);
	arena = end - ARENA_SIZE;
	return end > (u64)image_end + ARENA_SIZE && !info_used(arena, end);
}

static void check_restricted(const char *name, u64 reason)
{
	u64 count = (u64)hypercall(HC_EXIT_COUNT, reason, 0, 0);
	s64 restricted = hypercall(HC_RESTRICTED, reason, 0, 0);

	if (restricted >= 0)
		report_eq(name, (u64)restricted, count);
}

void guest_main(void)
{
	u64 n = arg_u64("n", 100000), seed = arg_u64("seed", 1),
	    audit_every = arg_u64("audit", 50000);
	u64 lost = 0, violations = 0;
	static u64 canary[4096];

	if (!need_hypervisor("devices"))
		finish();
	state = random_start(seed);
	trap_hook(VEC_NMI, on_nmi);
	if (!find_arena() || !rings_find()) {
		report(false, "a disk, a console, and RAM for them", "not there");
		finish();
	}
	print("devices: seed %lu, %lu accesses\n", seed, n);
	for (u64 i = 0; i < ARRAY_SIZE(canary); i++)
		canary[i] = i * RANDOM_MIX ^ seed;
	for (u64 acts = 1; accesses < n; acts++) {
		lost += !survives(all[below(ARRAY_SIZE(all))], &state);
		if (audit_every && acts % audit_every == 0)
			violations += (u64)hypercall(HC_AUDIT, 0, 0, 0);
	}
	console_init();
	for (u64 i = 0; i < ARRAY_SIZE(canary); i++)
		lost += canary[i] != (i * RANDOM_MIX ^ seed);
	print("\ndevices: %lu accesses, %lu NMIs\n", accesses, nmis);
	report_eq("registers and memory kept", lost, 0);
	report(disk_works(), "the disk works after a reset", "it does not");
	report_eq("audits", violations, 0);
	check_restricted("port exits that stayed restricted", EXIT_IO);
	check_restricted("memory exits that stayed restricted", EXIT_EPT_VIOLATION);
	finish();
}
