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
enum { NEXT = 1, WRITE = 2, QUEUE_SIZE = 64, SECTOR = 512, TRANSMIT = 1, REQUESTS = 5 };

struct desc {
	u64 gpa;
	u32 len;
	u16 flags, next;
};

/* Three pages: the descriptors and the available ring, the used ring, and a request. */
struct rings {
	struct desc desc[QUEUE_SIZE];
	u16 avail_flags, avail_index, avail[QUEUE_SIZE];
	u8 room[PAGE_SIZE - 16 * QUEUE_SIZE - 4 - 2 * QUEUE_SIZE];
	u16 used_flags, used_index;
	u8 used[PAGE_SIZE - 4];
	struct {
		u32 type, priority;
		u64 sector;
		u8 status, data[2 * SECTOR];
	} request;
};

static u16 base[PCI_DEVICES]; /* first ports */

static volatile struct rings *rings_at(u64 at)
{
	asm("" : "+r"(at));
	return (volatile struct rings *)at;
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
static void build(volatile struct rings *r, u32 type)
{
	u64 at = (u64)&r->request, data = (u64)r->request.data;

	r->request.type = type;
	r->request.sector = below(8);
	r->desc[0] = (struct desc){ at, 16, NEXT, 1 };
	r->desc[1] = (struct desc){ data, (u32)(1 + below(2)) * SECTOR,
				    type == 1 ? NEXT : NEXT | WRITE, 2 };
	r->desc[2] = (struct desc){ at + 16, 1, WRITE, 0 };
	r->avail[r->avail_index % QUEUE_SIZE] = 0;
	r->avail_index++;
}

static void spoil(volatile struct rings *r)
{
	volatile struct desc *d = &r->desc[below(below(2) ? 4 : QUEUE_SIZE)];

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
		r->avail_index = (u16)(r->avail_index + below(below(2) ? 4 : 70));
		break;
	case 5:
		r->avail[below(QUEUE_SIZE)] = (u16)below(QUEUE_SIZE + 2);
		break;
	case 6:
		r->request.type = (u32)some_value();
		break;
	case 7:
		r->request.sector = some_value();
		break;
	default:
		/* A chain of all descriptors, which may end, or go on in a loop. */
		for (u16 i = 0; i < QUEUE_SIZE; i++)
			r->desc[i] = (struct desc){ some_gpa(), (u32)below(5000),
						    (u16)(NEXT | (i > below(8) ? WRITE : 0)),
						    (u16)(i + 1) };
		r->desc[QUEUE_SIZE - 1].next = (u16)below(QUEUE_SIZE);
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
	volatile struct rings *r = rings_at(at);

	memset((void *)r, 0, sizeof(*r));
	start(device, queue, (u32)(at / PAGE_SIZE));
	for (u64 i = below(REQUESTS); i; i--) {
		build(r, (u32)below(2));
		for (u64 k = below(3); k; k--)
			spoil(r);
		port_access(base[device] + REG_NOTIFY, 2, true, queue);
	}
	port_access(base[device] + REG_STATUS + (u32)below(2), 1, false, 0);
}

bool disk_works(void)
{
	volatile struct rings *r = rings_at(arena);

	pci_write(DISK, PCI_BAR, base[DISK]);
	pci_write(DISK, PCI_COMMAND, 1);
	memset((void *)r, 0, sizeof(*r));
	start(DISK, 0, (u32)(arena / PAGE_SIZE));
	r->request.status = 0xee;
	build(r, 0);
	outw(base[DISK] + REG_NOTIFY, 0);
	return r->request.status == 0 && r->used_index == 1 && inb(base[DISK] + REG_STATUS) == 7;
}
