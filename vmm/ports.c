/* SPDX-License-Identifier: MIT */
/*
 * The table of ports. Registers are bytes: wider accesses are those of the bytes in a row, each to whoever is there, but
 * for PCI's and what is behind it, fw_cfg's, ACPI's and the verdict.
 */
#include "vmm/ports.h"
#include "lib/bitops.h"
#include "lib/compiler.h"
#include "vmm/abi.h"
#include "vmm/report.h"
#include "vmm/vm.h"

enum port_device {
	PORT_NONE, /* reads give ones, writes vanish; the first are reported */
	PORT_COM1,
	PORT_VERDICT,
	PORT_MARKS,
	PORT_PC_FIRST, /* from here on with a platform only */
	PORT_PIC = PORT_PC_FIRST,
	PORT_ELCR,
	PORT_PIT,
	PORT_SPEAKER,
	PORT_RTC,
	PORT_KEYBOARD,
	PORT_SYSTEM, /* 0x92 */
	PORT_DEBUG,
	PORT_CRTC,
	PORT_FWCFG,
	PORT_PCI,
	PORT_VIRTIO,
	PORT_PM,     /* with ACPI only */
	PORT_ABSENT, /* as PORT_NONE, and not worth a line: where guests look for what a PC may lack */
};

#define PORTS_NR 0xd00 /* above there are PCI functions only, where the guest puts them */

#define PIT_BASE       0x40
#define RTC_INDEX      0x70
#define ELCR_BASE      0x4d0
#define CRTC_BASE      0x3d4
#define FWCFG_SELECTOR 0x510
#define PCI_BASE       0xcf8
#define KEYBOARD_RESET 0xfe /* pulses the line that resets the CPU */
#define SYSTEM_RESET   0x01
#define SYSTEM_WRITTEN 0x02
#define SYSTEM_A20     0x02

static const uint8_t devices[PORTS_NR] = {
	[0x20 ... 0x21] = PORT_PIC,
	[0x40 ... 0x43] = PORT_PIT,
	[0x60] = PORT_ABSENT, /* keyboard: no controller behind it */
	[0x61] = PORT_SPEAKER,
	[0x64] = PORT_KEYBOARD,
	[0x70 ... 0x71] = PORT_RTC,
	[0x80 ... 0x91] = PORT_ABSENT, /* power-on codes, pages of DMA */
	[0x92] = PORT_SYSTEM,
	[0x93 ... 0x9f] = PORT_ABSENT,
	[0xa0 ... 0xa1] = PORT_PIC,
	[0xe9] = PORT_DEBUG,
	[PORT_EXIT] = PORT_VERDICT,
	[PORT_MARK] = PORT_MARKS,
	[0x2e8 ... 0x2ef] = PORT_ABSENT, /* COM4 */
	[0x2f8 ... 0x2ff] = PORT_ABSENT, /* COM2 */
	[0x3c0 ... 0x3d3] = PORT_ABSENT, /* VGA */
	[CRTC_BASE... CRTC_BASE + 1] = PORT_CRTC,
	[0x3d6 ... 0x3df] = PORT_ABSENT,
	[0x3e8 ... 0x3ef] = PORT_ABSENT, /* COM3 */
	[COM1_BASE... COM1_BASE + COM1_NR - 1] = PORT_COM1,
	[ELCR_BASE... ELCR_BASE + 1] = PORT_ELCR,
	[FWCFG_SELECTOR... FWCFG_SELECTOR + 1] = PORT_FWCFG,
	[ACPI_PM_BASE... ACPI_PM_BASE + ACPI_PM_NR - 1] = PORT_PM,
	[PCI_BASE... PCI_BASE + 7] = PORT_PCI,
};

static enum port_device device_at(const struct vm *vm, uint32_t port)
{
	enum port_device device = PORT_NONE;

	if (likely(port < PORTS_NR))
		device = devices[port];
	else if (pci_slot_at(&vm->platform.pci, port) != PCI_SLOTS)
		device = PORT_VIRTIO;
	if (device >= PORT_PC_FIRST && !vm->platform.present)
		return PORT_NONE;
	return device == PORT_PM && !vm->platform.apic ? PORT_NONE : device;
}

static uint32_t ones(unsigned int size)
{
	return (uint32_t)BITS(8 * size - 1, 0);
}

static bool reset(struct vm *vm)
{
	vm_stop(vm, VERDICT_STOPPED, "reset", 0);
	return false;
}

/* Where a guest ends without a word, it has nothing to complain of. */
static void power_off(struct vm *vm)
{
	vm_stop(vm, VERDICT_PASS, "power-off", 0);
}

static uint8_t byte_in(struct vm *vm, enum port_device device, uint16_t port)
{
	struct platform *p = &vm->platform;

	switch (device) {
	case PORT_COM1:
		return com1_read(vm, port - COM1_BASE);
	case PORT_PIC:
		return platform_read_pic(vm, port >> 7 & 1, port & 1);
	case PORT_ELCR:
		return pic_read_elcr(&p->pic, port & 1);
	case PORT_PIT:
		return platform_read_pit(vm, port - PIT_BASE);
	case PORT_SPEAKER:
		return platform_read_speaker(vm);
	case PORT_RTC:
		return port == RTC_INDEX ? 0xff : platform_read_rtc(vm);
	case PORT_SYSTEM:
		return p->port92 | SYSTEM_A20;
	case PORT_DEBUG:
		return (uint8_t)port; /* as Bochs: somebody listens */
	case PORT_CRTC:
		return crtc_read(&p->crtc, port - CRTC_BASE);
	case PORT_FWCFG:
		return port == FWCFG_SELECTOR ? 0 : fwcfg_read(&p->fwcfg);
	default:
		return 0xff;
	}
}

static bool byte_out(struct vm *vm, enum port_device device, uint16_t port, uint8_t value)
{
	struct platform *p = &vm->platform;

	switch (device) {
	case PORT_COM1:
		com1_write(vm, port - COM1_BASE, value);
		break;
	case PORT_PIC:
		platform_write_pic(vm, port >> 7 & 1, port & 1, value);
		break;
	case PORT_ELCR:
		platform_write_elcr(vm, port & 1, value);
		break;
	case PORT_PIT:
		platform_write_pit(vm, port - PIT_BASE, value);
		break;
	case PORT_SPEAKER:
		platform_write_speaker(vm, value);
		break;
	case PORT_RTC:
		if (port == RTC_INDEX)
			rtc_select(&p->rtc, value);
		else
			rtc_write(&p->rtc, value);
		break;
	case PORT_KEYBOARD:
		return value == KEYBOARD_RESET ? reset(vm) : true;
	case PORT_SYSTEM:
		p->port92 = value & SYSTEM_WRITTEN;
		return value & SYSTEM_RESET ? reset(vm) : true;
	case PORT_DEBUG:
		com1_text(vm, value);
		break;
	case PORT_CRTC:
		crtc_write(&p->crtc, port - CRTC_BASE, value);
		break;
	default: /* PORT_FWCFG too: nothing of it can be written */
		break;
	}
	return true;
}

static uint32_t device_in(struct vm *vm, uint16_t port, unsigned int size)
{
	enum port_device device = device_at(vm, port);
	uint32_t value = 0;

	switch (device) {
	case PORT_NONE:
	case PORT_VERDICT:
	case PORT_MARKS:
		report_unserved(vm, "port", port, size, false);
		return ones(size);
	case PORT_ABSENT:
		return ones(size);
	case PORT_PCI:
		return pci_read(&vm->platform.pci, port - PCI_BASE, size) & ones(size);
	case PORT_VIRTIO:
		return virtio_read(vm, pci_slot_at(&vm->platform.pci, port), port % PCI_BAR_SIZE,
				   size);
	case PORT_PM:
		return platform_read_pm(vm, port - ACPI_PM_BASE, size);
	default:
		break;
	}
	for (unsigned int i = 0; i < size; i++)
		value |= (uint32_t)byte_in(vm, device_at(vm, port + i), (uint16_t)(port + i))
			 << 8 * i;
	return value;
}

static enum port_outcome device_out(struct vm *vm, uint16_t port, unsigned int size, uint32_t value)
{
	switch (device_at(vm, port)) {
	case PORT_VERDICT:
		vm_stop(vm, value ? VERDICT_FAIL : VERDICT_PASS, NULL, value);
		return PORT_ENDS;
	case PORT_MARKS:
		report_mark(vm, value);
		return PORT_SERVED;
	case PORT_NONE:
		report_unserved(vm, "port", port, size, true);
		return PORT_SERVED;
	case PORT_ABSENT:
		return PORT_SERVED;
	case PORT_PCI:
		return pci_write(&vm->platform.pci, port - PCI_BASE, size, value) && !reset(vm)
			       ? PORT_ENDS
			       : PORT_SERVED;
	case PORT_VIRTIO:
		return virtio_write(vm, pci_slot_at(&vm->platform.pci, port), port % PCI_BAR_SIZE,
				    size, value);
	case PORT_PM:
		if (platform_write_pm(vm, port - ACPI_PM_BASE, size, value))
			return PORT_SERVED;
		power_off(vm);
		return PORT_ENDS;
	case PORT_FWCFG:
		if (port == FWCFG_SELECTOR && size == 2) {
			fwcfg_select(&vm->platform.fwcfg, (uint16_t)value);
			return PORT_SERVED;
		}
		break;
	default:
		break;
	}
	for (unsigned int i = 0; i < size; i++)
		if (!byte_out(vm, device_at(vm, port + i), (uint16_t)(port + i),
			      (uint8_t)(value >> 8 * i)))
			return PORT_ENDS;
	return PORT_SERVED;
}

uint32_t port_in(struct vm *vm, uint16_t port, unsigned int size)
{
	uint64_t flags = spin_lock(&vm->lock);
	uint32_t value = device_in(vm, port, size);

	spin_unlock(&vm->lock, flags);
	return value;
}

enum port_outcome port_out(struct vm *vm, uint16_t port, unsigned int size, uint32_t value)
{
	uint64_t flags = spin_lock(&vm->lock);
	enum port_outcome outcome = device_out(vm, port, size, value);

	spin_unlock(&vm->lock, flags);
	return outcome;
}
