/* SPDX-License-Identifier: MIT */
/* Virtio devices by their legacy interface: registers, and rings in the arena that no driver would make. */
#include "guest-tests/devices/devices.h"

enum {
	REG_OFFERS = 0,
	REG_FEATURES = 4,
	REG_PFN = 8,
	REG_SELECT = 14,
	REG_NOTIFY = 16,
	REG_STATUS = 18,
	REGS = 64
};
enum { SECTOR = 512, TRANSMIT = 1, REQUESTS = 5 };

/* In three pages of the arena: rings, and a request. */
struct job {
	struct rings rings;
	struct {
		u32 type, priority;
		u64 sector;
		u8 status, data[2 * SECTOR];
	} request;
};

static u16 base[DISK + 1]; /* first ports */

static volatile struct job *job_at(u64 at)
{
	asm("" : "+r"(at));
	return (volatile struct job *)at;
}

bool rings_find(void)
{
	for (u32 device = CONSOLE; device <= DISK; device++) {
		u32 id = pci_read(device, 0);

		if (id != (device == DISK ? 0x10011af4 : 0x10031af4))
			return false;
		base[device] = pci_read(device, PCI_BAR) & 0xfffc;
	}
	return true;
}

void rings_restore(void)
{
	for (u32 device = CONSOLE; device <= DISK; device++) {
		pci_write(device, PCI_BAR, base[device]);
		pci_write(device, PCI_COMMAND, !one_in(16));
	}
}

/* A page that a device may be told of: of the arena, or where no RAM is. */
static u32 some_pfn(void)
{
	static const u32 nowhere[] = { 0, 0xfee00, 0xe0000, 0x7fffffff, 0xffffffff };

	return below(4) ? (u32)(arena / PAGE_SIZE + below(ARENA_SIZE / PAGE_SIZE))
			: nowhere[below(ARRAY_SIZE(nowhere))];
}

static u64 some_gpa(void)
{
	static const u64 nowhere[] = { 0xfee00000, 0xfffff000, BIT(40),	    BIT(52) - 1,
				       BIT(63),	   ~0ull,      ~0ull - 4095 };

	switch (below(4)) {
	case 0:
		return nowhere[below(ARRAY_SIZE(nowhere))];
	case 1:
		return arena + ARENA_SIZE - below(600); /* to the end of RAM, and over it */
	default:
		return arena + below(ARENA_SIZE);
	}
}

void act_virtio(void)
{
	u32 device = CONSOLE + (u32)below(2), reg = (u32)below(below(2) ? 24 : REGS),
	    size = 1u << below(3);
	u32 value = (u32)(below(2) ? below(8) : some_value());
	bool write = below(2);

	if (write && reg == REG_PFN)
		value = some_pfn();
	/* It prints: seldom. */
	if (write && reg == REG_NOTIFY && device == CONSOLE && !one_in(64))
		return;
	port_access(base[device] + reg, size, write, value);
}

/* A read or write of a sector that is as it should be. */
static void build(volatile struct job *j, u32 type)
{
	u64 at = (u64)&j->request, data = (u64)j->request.data;

	j->request.type = type;
	j->request.sector = below(8);
	j->rings.desc[0] = (struct desc){ at, 16, NEXT, 1 };
	j->rings.desc[1] = (struct desc){ data, (u32)(1 + below(2)) * SECTOR,
					  type == 1 ? NEXT : NEXT | WRITE, 2 };
	j->rings.desc[2] = (struct desc){ at + 16, 1, WRITE, 0 };
	j->rings.avail.head[j->rings.avail.index % QUEUE_SIZE] = 0;
	j->rings.avail.index++;
}

static void spoil(volatile struct job *j)
{
	volatile struct desc *d = &j->rings.desc[below(below(2) ? 4 : QUEUE_SIZE)];

	switch (below(9)) {
	case 0:
		d->gpa = some_gpa();
		break;
	case 1:
		d->len = (u32)some_value();
		break;
	case 2:
		d->flags = (u16)below(8);
		break;
	case 3:
		d->next = (u16)below(QUEUE_SIZE + 2);
		break;
	case 4:
		j->rings.avail.index = (u16)(j->rings.avail.index + below(below(2) ? 4 : 70));
		break;
	case 5:
		j->rings.avail.head[below(QUEUE_SIZE)] = (u16)below(QUEUE_SIZE + 2);
		break;
	case 6:
		j->request.type = (u32)some_value();
		break;
	case 7:
		j->request.sector = some_value();
		break;
	default:
		/* A chain of all descriptors, which may end, or go on in a loop. */
		for (u16 i = 0; i < QUEUE_SIZE; i++)
			j->rings.desc[i] = (struct desc){ some_gpa(), (u32)below(5000),
							  (u16)(NEXT | (i > below(8) ? WRITE : 0)),
							  (u16)(i + 1) };
		j->rings.desc[QUEUE_SIZE - 1].next = (u16)below(QUEUE_SIZE);
	}
}

static void start(u32 device, u32 queue, u32 pfn)
{
	port_access(base[device] + REG_STATUS, 1, true, 0);
	port_access(base[device] + REG_SELECT, 2, true, queue);
	port_access(base[device] + REG_PFN, 4, true, pfn);
	port_access(base[device] + REG_STATUS, 1, true, 7);
}

void act_rings(void)
{
	u32 device = one_in(16) ? CONSOLE : DISK, queue = device == CONSOLE ? one_in(64) : 0;
	u64 at = arena + below(ARENA_SIZE / PAGE_SIZE - 3) * PAGE_SIZE;
	volatile struct job *j = job_at(at);

	memset((void *)j, 0, sizeof(*j));
	start(device, queue, (u32)(at / PAGE_SIZE));
	for (u64 i = below(REQUESTS); i; i--) {
		build(j, (u32)below(2));
		for (u64 k = below(3); k; k--)
			spoil(j);
		port_access(base[device] + REG_NOTIFY, 2, true, queue);
	}
	port_access(base[device] + REG_STATUS + (u32)below(2), 1, false, 0);
}

bool disk_works(void)
{
	volatile struct job *j = job_at(arena);

	pci_write(DISK, PCI_BAR, base[DISK]);
	pci_write(DISK, PCI_COMMAND, 1);
	memset((void *)j, 0, sizeof(*j));
	start(DISK, 0, (u32)(arena / PAGE_SIZE));
	j->request.status = 0xee;
	build(j, 0);
	outw(base[DISK] + REG_NOTIFY, 0);
	return j->request.status == 0 && j->rings.used.index == 1 &&
	       inb(base[DISK] + REG_STATUS) == 7;
}
