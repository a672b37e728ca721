/* SPDX-License-Identifier: MIT */
/*
 * hello: the first guest to run on a hypervisor that does little yet.
 *
 * Why: boot, console, boot information, one hypercall and the exit port, and nothing else, so
 * that its failure means the machine and not a test. Its whole output is worth reading.
 * Expected: pass, with the greeting, the command line as given and a memory map with RAM at 1 MiB.
 */
#include "guest-tests/lib/guest.h"
#include "vmm/abi.h"

void guest_main(void)
{
	bool image_in_ram = false, hole_is_ram = false;

	print("Hello from a guest of Vestibule\n");
	print("command line: %s\n", boot.cmdline);
	print("memory: %u KiB low, %u KiB high\n", boot.mem_lower, boot.mem_upper);
	for (unsigned int i = 0; i < boot.nr_map; i++) {
		const struct region *r = &boot.map[i];

		print("map: 0x%09lx-0x%09lx type %u\n", r->start, r->end, r->type);
		if (r->type != 1)
			continue;
		if (r->start <= (u64)image_start && r->end >= (u64)image_end)
			image_in_ram = true;
		if (r->start < 0x100000 && r->end > 0xa0000)
			hole_is_ram = true;
	}
	for (unsigned int i = 0; i < boot.nr_mods; i++)
		print("module: 0x%lx-0x%lx %s\n", boot.mods[i].start, boot.mods[i].end,
		      boot.mod_args[i]);

	report(boot.cmdline[0], "command line is there", "empty, flags 0x%x", boot.flags);
	report(image_in_ram, "image lies in RAM", "no region holds it");
	report(!hole_is_ram, "0xa0000 to 1 MiB is no RAM", "a region covers it");
	if (need_hypervisor("hypercall version"))
		report_eq("hypercall version", (u64)hypercall(HC_VERSION, 0, 0, 0), HC_ABI_VERSION);
}
