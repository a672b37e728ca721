/* The DSDT of vmm/acpi.c as source. vmm/dsdt.h has what iasl makes of it; scripts/check_acpi compares the two. */
DefinitionBlock ("dsdt.aml", "DSDT", 2, "VESTIB", "VESTIBUL", 1)
{
	/* Soft off: ACPI_SLEEP_OFF of vmm/dev/acpipm.h. */
	Name (\_S5, Package () { 5, 0, 0, 0 })

	Scope (\_SB)
	{
		/* A system with ACPI looks for PCI devices here only. Ports, and memory from ACPI_PCI_BASE to the I/O APIC. */
		Device (PCI0)
		{
			Name (_HID, EisaId ("PNP0A03"))
			/* Pins of the I/O APIC: IRQ_CONSOLE and IRQ_DISK of vmm/platform.h, for the slots of vmm/dev/pci.h. */
			Name (_PRT, Package ()
			{
				Package () { 0x0001FFFF, 0, 0, 10 },
				Package () { 0x0002FFFF, 0, 0, 11 }
			})
			Name (_CRS, ResourceTemplate ()
			{
				WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0, 0, 0, 1)
				IO (Decode16, 0x0CF8, 0x0CF8, 1, 8)
				WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
					0, 0x0D00, 0xFFFF, 0, 0xF300)
				DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
					0, 0xF0000000, 0xFEBFFFFF, 0, 0x0EC00000)
			})
		}
	}
}
