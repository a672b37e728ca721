/* SPDX-License-Identifier: MIT */
/*
 * virtio: the disk and the console that a guest with platform=pic finds on its PCI bus.
 *
 * Why: rings lie in guest RAM, so the hypervisor follows pointers that a guest wrote; requests copy between RAM and
 * memory of the hypervisor's. The whole way counts here: ports, copying in the restricted space, the interrupt. harm.c
 * does what a driver must not.
 * Expected: pass, with the same file as disk= and initrd=.
 */
#include "guest-tests/virtio/virtio.h"
#include "vmm/abi.h"

enum { EXIT_IO = 30 };

volatile struct rings rings;
static volatile struct rings console_rings;
struct request request;
static u8 whole[256 * SECTOR];
u16 disk;
volatile u32 disk_irqs;
static volatile u32 disk_isr;

static void on_disk(struct trap_frame *f)
{
	(void)f;
	disk_irqs++;
	disk_isr = inb(disk + 19);
	outb(0xa0, 0x63);
	outb(0x20, 0x62);
}

static void pic_start(void)
{
	static const u8 icws[2][4] = { { 0x11, 0x20, 4, 1 }, { 0x11, 0x28, 2, 1 } };

	for (unsigned int i = 0; i < 4; i++) {
		outb(i ? 0x21 : 0x20, icws[0][i]);
		outb(i ? 0xa1 : 0xa0, icws[1][i]);
	}
	outb(0x21, 0xfb);
	outb(0xa1, 0xf7);
	trap_hook(VECTOR_DISK, on_disk);
}

void disk_start(u64 at)
{
	memset((void *)&rings, 0, sizeof(rings));
	outb(disk + 18, 0);
	outb(disk + 18, 3);
	outl(disk + 4, inl(disk));
	outw(disk + 14, 0);
	outl(disk + 8, (u32)(at / PAGE_SIZE));
	outb(disk + 18, 7);
}

static void make_available(u16 head)
{
	rings.avail.head[rings.avail.index % QUEUE_SIZE] = head;
	rings.avail.index++;
}

void disk_build(u32 type, u64 sector, u64 data, u32 nr)
{
	u16 flags = type == OUT ? NEXT : NEXT | WRITE;

	request.header = (struct header){ type, 0, sector };
	request.status = 0xee;
	rings.desc[0].gpa = (u64)&request.header;
	rings.desc[0].len = sizeof(request.header);
	rings.desc[0].flags = NEXT;
	rings.desc[0].next = nr ? 1 : 2;
	rings.desc[1].gpa = data;
	rings.desc[1].len = nr * SECTOR;
	rings.desc[1].flags = flags;
	rings.desc[1].next = 2;
	rings.desc[2].gpa = (u64)&request.status;
	rings.desc[2].len = 1;
	rings.desc[2].flags = WRITE;
	make_available(0);
}

u8 disk_do(u32 type, u64 sector, u64 data, u32 nr)
{
	disk_build(type, sector, data, nr);
	disk_notify();
	return *(volatile u8 *)&request.status;
}

static void check_bus(void)
{
	report_eq("a host bridge", pci_config(0, 8), 0x06000000);
	report_eq("a console", pci_config(CONSOLE, 0), 0x10031af4);
	report_eq("a disk", pci_config(DISK, 0), 0x10011af4);
	report_eq("nobody behind", pci_config(3, 0), ~0u);
	report_eq("the disk's line", pci_config(DISK, 0x3c), 0x010b);
	disk = pci_config(DISK, 0x10) & 0xfffc;
	report_eq("the disk's ports are on", pci_config(DISK, 4) & 1, 1);
}

/* All sectors, 8 at most at once; what is behind the file is zero. */
static void check_contents(void)
{
	u32 sectors = inl(disk + 20);
	u64 len = boot.mods[0].end - boot.mods[0].start;
	u32 failed = 0;

	report_eq("sectors", sectors, (len + SECTOR - 1) / SECTOR);
	if (boot.nr_mods != 1 || sectors > sizeof(whole) / SECTOR) {
		report(false, "a file that fits", "%u sectors", sectors);
		finish();
	}
	for (u32 i = 0, nr; i < sectors; i += nr) {
		nr = sectors - i < 8 ? sectors - i : 8;
		failed += disk_do(IN, i, (u64)request.data, nr) != 0;
		memcpy(whole + i * SECTOR, request.data, nr * SECTOR);
	}
	report_eq("all can be read", failed, 0);
	report_eq("the disk is the file", memcmp(whole, (void *)boot.mods[0].start, len), 0);
	for (u64 i = len; i < sectors * SECTOR; i++)
		failed += whole[i];
	report_eq("and zeros", failed, 0);
	report_eq("nothing behind its end", disk_do(IN, sectors, (u64)request.data, 1), 1);
}

static void check_writing(void)
{
	for (u32 i = 0; i < 2 * SECTOR; i++)
		request.data[i] = (u8)(i * 7 + i / 256);
	memcpy(whole + SECTOR, request.data, 2 * SECTOR);
	report_eq("write", disk_do(OUT, 1, (u64)request.data, 2), 0);
	memset(request.data, 0, sizeof(request.data));
	report_eq("read it again", disk_do(IN, 0, (u64)request.data, 4), 0);
	report_eq("what was written, and its neighbours", memcmp(request.data, whole, 4 * SECTOR),
		  0);
	report_eq("the module is not the disk",
		  memcmp(whole, (void *)boot.mods[0].start, 4 * SECTOR) != 0, 1);
	report_eq("flush", disk_do(FLUSH, 0, 0, 0), 0);
	report_eq("name", disk_do(GET_ID, 0, (u64)request.data, 1), 0);
	report_eq("which is", memcmp(request.data, "vestibule-disk", 15), 0);
	report_eq("anything else is not supported", disk_do(77, 0, (u64)request.data, 1), 2);
}

static void check_interrupt(void)
{
	u32 before;

	inb(disk + 19);
	disk_irqs = 0;
	disk_do(FLUSH, 0, 0, 0);
	irq_window();
	irq_window();
	report_eq("one interrupt", disk_irqs, 1);
	report_eq("for a request", disk_isr, 1);
	rings.avail.flags = 1;
	disk_do(FLUSH, 0, 0, 0);
	irq_window();
	report_eq("none if it is not wanted", disk_irqs, 1);
	rings.avail.flags = 0;
	/* A notification of many is an exit for each, and ends. */
	for (unsigned int i = 0; i < QUEUE_SIZE - 1; i++)
		make_available(0);
	before = (u32)hypercall(HC_EXIT_COUNT, EXIT_IO, 0, 0);
	disk_do(FLUSH, 0, 0, 0);
	report_eq("requests in one notification, and exits",
		  (u32)hypercall(HC_EXIT_COUNT, EXIT_IO, 0, 0) - before, QUEUE_SIZE);
	report_eq("all are done", rings.used.index, rings.avail.index);
}

static void check_console(void)
{
	static const char text[] = "sent by virtio\n";
	u16 ports = pci_config(CONSOLE, 0x10) & 0xfffc;

	outb(ports + 18, 0);
	outw(ports + 14, 1);
	outl(ports + 8, (u32)((u64)&console_rings / PAGE_SIZE));
	outb(ports + 18, 7);
	console_rings.desc[0].gpa = (u64)text;
	console_rings.desc[0].len = sizeof(text) - 1;
	console_rings.avail.index = 1;
	outw(ports + 16, 1);
	report_eq("the console has sent", console_rings.used.index, 1);
	outb(ports + 18, 0);
}

void guest_main(void)
{
	pic_start();
	check_bus();
	disk_start((u64)&rings);
	check_contents();
	check_writing();
	check_interrupt();
	check_console();
	check_harm();
	if (hypercall(HC_RESTRICTED, EXIT_IO, 0, 0) != -1)
		report_eq("port exits that stayed restricted",
			  hypercall(HC_RESTRICTED, EXIT_IO, 0, 0),
			  hypercall(HC_EXIT_COUNT, EXIT_IO, 0, 0));
	report_eq("audit", hypercall(HC_AUDIT, 0, 0, 0), 0);
}
