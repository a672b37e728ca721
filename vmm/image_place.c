/* SPDX-License-Identifier: MIT */
/*
 * Where a guest's image, modules and boot information go: below 4 GiB, in its
 * RAM, none upon another.
 */
#include "vmm/multiboot.h"
#include "lib/bitops.h"
#include "lib/errno.h"
#include "lib/fmt.h"

#define LIMIT_4G GiB(4)

/*
 * The boot information goes to the first free page from here on. QEMU's loader
 * has it here too, so guests' own use of low memory (the pages where they start
 * other CPUs) leaves it alone.
 */
#define INFO_FROM 0x9000UL

/* The RAM range that holds @gpa, or NULL. */
static const struct guest_ram *ram_find(const struct guest_boot *boot, uint64_t gpa)
{
	for (uint32_t i = 0; i < boot->nr_ram; i++)
		if (gpa >= boot->ram[i].start.v && gpa - boot->ram[i].start.v < boot->ram[i].len)
			return &boot->ram[i];
	return NULL;
}

static uint64_t ram_end(const struct guest_ram *r)
{
	return r->start.v + r->len;
}

/* Something in the way of [gpa, gpa + len): its end, or 0. @placed modules have a place. */
static uint64_t obstacle_end(const struct image_plan *plan, const struct guest_boot *boot,
			     uint32_t placed, uint64_t gpa, uint64_t len)
{
	for (uint32_t i = 0; i < plan->nr_segs; i++) {
		const struct image_segment *s = &plan->seg[i];

		if (ranges_overlap(gpa, len, s->gpa.v, s->memsz))
			return s->gpa.v + s->memsz;
	}
	for (uint32_t i = 0; i < placed; i++) {
		const struct guest_module *m = &boot->modules[i];

		if (ranges_overlap(gpa, len, m->start.v, m->len))
			return m->start.v + m->len;
	}
	return 0;
}

/* The lowest free page-aligned @len bytes of RAM from @from on, below 4 GiB; LIMIT_4G if none. */
static uint64_t find_room(const struct image_plan *plan, const struct guest_boot *boot,
			  uint32_t placed, uint64_t from, uint64_t len)
{
	for (uint32_t i = 0; i < boot->nr_ram; i++) {
		uint64_t end = MIN(ram_end(&boot->ram[i]), LIMIT_4G);
		uint64_t gpa = ALIGN_UP(MAX(from, boot->ram[i].start.v), PAGE_SIZE), next;

		/* Each round passes one obstacle for good. */
		while (gpa < end && len <= end - gpa) {
			next = obstacle_end(plan, boot, placed, gpa, len);
			if (next == 0)
				return gpa;
			gpa = ALIGN_UP(next, PAGE_SIZE);
		}
	}
	return LIMIT_4G;
}

static uint64_t image_end(const struct image_plan *plan)
{
	uint64_t end = 0;

	for (uint32_t i = 0; i < plan->nr_segs; i++)
		end = MAX(end, plan->seg[i].gpa.v + plan->seg[i].memsz);
	return end;
}

/* MiB that hold image, modules and boot information one behind the other. */
static uint64_t needed_mib(const struct image_plan *plan, const struct guest_boot *boot)
{
	uint64_t end = MAX(image_end(plan), MiB(1));

	for (uint32_t i = 0; i < boot->nr_modules; i++)
		end = ALIGN_UP(end, PAGE_SIZE) + boot->modules[i].len;
	return DIV_ROUND_UP(ALIGN_UP(end, PAGE_SIZE) + mbi_size(boot), MiB(1));
}

static int check_segment(const struct image_plan *plan, uint32_t n, const struct guest_boot *boot,
			 char *why, size_t why_size)
{
	const struct image_segment *s = &plan->seg[n];
	const struct guest_ram *r = ram_find(boot, s->gpa.v);
	uint64_t end = s->gpa.v + s->memsz;

	if (r && end <= ram_end(r))
		return 0;
	if (boot->nr_ram && end > ram_end(&boot->ram[boot->nr_ram - 1]))
		fmt_print(why, why_size,
			  "segment %u, 0x%lx-0x%lx, is behind the guest's memory: it needs %lu MiB",
			  n, s->gpa.v, end - 1, needed_mib(plan, boot));
	else
		fmt_print(why, why_size, "segment %u, 0x%lx-0x%lx, lies where the guest has no RAM",
			  n, s->gpa.v, end - 1);
	return -ERANGE;
}

int image_place(const struct image_plan *plan, struct guest_boot *boot, gpa_t *info, char *why,
		size_t why_size)
{
	uint64_t above = MAX(image_end(plan), MiB(1));
	int err;

	for (uint32_t i = 0; i < plan->nr_segs; i++) {
		err = check_segment(plan, i, boot, why, why_size);
		if (err)
			return err;
	}
	for (uint32_t i = 0; i < boot->nr_modules; i++) {
		struct guest_module *m = &boot->modules[i];

		m->start = GPA(find_room(plan, boot, i, above, m->len));
		if (m->start.v == LIMIT_4G) {
			fmt_print(why, why_size,
				  "no room for module %u of %lu KiB: the guest needs %lu MiB", i,
				  m->len >> 10, needed_mib(plan, boot));
			return -ERANGE;
		}
	}
	*info = GPA(find_room(plan, boot, boot->nr_modules, INFO_FROM, mbi_size(boot)));
	if (info->v == LIMIT_4G) {
		fmt_print(why, why_size,
			  "no room for the boot information: the guest needs %lu MiB",
			  needed_mib(plan, boot));
		return -ERANGE;
	}
	return 0;
}
