/* SPDX-License-Identifier: MIT */
/*
 * modules: a Multiboot module, as an operating system finds its initial RAM disk.
 *
 * Why: the loader places modules by itself; one that lies in the image's bss, in another module
 * or behind the RAM is found only when the guest clears or uses that memory.
 * Expected: pass, with initrd=LICENSE of this tree.
 */
#include "guest-tests/lib/guest.h"

#define HEAD "MIT License\n"

static bool in_ram(const struct region *m)
{
	for (unsigned int i = 0; i < boot.nr_map; i++) {
		const struct region *r = &boot.map[i];

		if (r->type == 1 && r->start <= m->start && m->end <= r->end)
			return true;
	}
	return false;
}

/* Printable lines to the very end: neither cut off nor followed by anything else. */
static bool is_text(const struct region *m)
{
	for (const char *c = (const char *)m->start; c < (const char *)m->end; c++)
		if (*c != '\n' && (*c < ' ' || *c > '~'))
			return false;
	return *(const char *)(m->end - 1) == '\n';
}

/* What lies in the module's memory besides itself. */
static unsigned int others_inside(const struct region *m)
{
	unsigned int n = m->start < (u64)image_end && m->end > (u64)image_start;

	for (unsigned int i = 0; i < boot.nr_used; i++) {
		const struct region *u = &boot.used[i];

		n += u->start < m->end && u->end > m->start && u->start != m->start;
	}
	return n;
}

void guest_main(void)
{
	const struct region *m = &boot.mods[0];

	report_eq("flag of the module list", boot.flags >> 3 & 1, 1);
	report_eq("number of modules", boot.nr_mods, 1);
	if (boot.nr_mods != 1)
		return;
	print("module at 0x%lx-0x%lx: %s\n", m->start, m->end, boot.mod_args[0]);
	report(!memcmp(boot.mod_args[0], "initrd", sizeof("initrd")), "string", "\"%s\"",
	       boot.mod_args[0]);
	report_eq("starts on a page", m->start % PAGE_SIZE, 0);
	report(in_ram(m), "lies in RAM", "no region holds it");
	report_eq("nothing else lies there", others_inside(m), 0);
	if (m->end - m->start < sizeof(HEAD) || m->end - m->start > 0x10000) {
		report(false, "length", "%lu bytes", m->end - m->start);
		return;
	}
	report(!memcmp((void *)m->start, HEAD, sizeof(HEAD) - 1), "begins with the licence's name",
	       "it does not");
	report(is_text(m), "complete text", "other bytes in it, or no line end at its end");
}
