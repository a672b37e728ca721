/* SPDX-License-Identifier: MIT */
/* Rings and requests of a driver that means harm: the device stops or fails, and is as good as new after a reset. */
#include "guest-tests/virtio/virtio.h"
#include "vmm/abi.h"

#define FAR  0x7fffffff000ull	     /* no RAM */
#define UNIT (6ull * HC_MEMORY_UNIT) /* RAM that is given back for a while */

static u64 random_state;

static u64 next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* What is done to a read of sector 1 that is about to be notified of. */
static void index_too_far(void)
{
	rings.avail.index += QUEUE_SIZE;
}
static void head_nowhere(void)
{
	rings.avail.head[0] = QUEUE_SIZE;
}
static void next_nowhere(void)
{
	rings.desc[1].next = 0xffff;
}
static void loop(void)
{
	rings.desc[1].next = 1;
}
static void indirect(void)
{
	rings.desc[1].flags |= INDIRECT;
}
static void read_behind_written(void)
{
	rings.desc[2].flags = 0;
}
static void no_header(void)
{
	rings.desc[0].gpa = FAR;
}
static void answer_to_nowhere(void)
{
	rings.desc[2].gpa = UNIT;
}
static void answer_at_the_end(void)
{
	rings.desc[2].gpa = ~0ull;
}
static void rings_nowhere(void)
{
	outl(disk + 8, (u32)(FAR / PAGE_SIZE));
}
static void rings_given_back(void)
{
	outl(disk + 8, (u32)(UNIT / PAGE_SIZE));
}
static void rings_half_given_back(void)
{
	memcpy((void *)(UNIT - PAGE_SIZE), (void *)&rings, PAGE_SIZE);
	outl(disk + 8, (u32)(UNIT / PAGE_SIZE - 1));
}

static const struct {
	const char *name;
	void (*act)(void);
} acts[] = {
	{ "harm: an index too far", index_too_far },
	{ "harm: a chain from nowhere", head_nowhere },
	{ "harm: a chain to nowhere", next_nowhere },
	{ "harm: a loop", loop },
	{ "harm: an indirect descriptor", indirect },
	{ "harm: read behind written", read_behind_written },
	{ "harm: no header", no_header },
	{ "harm: an answer to RAM given back", answer_to_nowhere },
	{ "harm: an answer to the last address", answer_at_the_end },
	{ "harm: rings nowhere", rings_nowhere },
	{ "harm: rings in RAM given back", rings_given_back },
	{ "harm: half of the rings there", rings_half_given_back },
};

static bool works(void)
{
	disk_start((u64)&rings);
	return disk_do(IN, 1, (u64)request.data, 1) == 0 && rings.used.index == 1 &&
	       disk_status() == 7;
}

static void check_acts(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(acts); i++) {
		bool stopped;

		disk_start((u64)&rings);
		disk_build(IN, 1, (u64)request.data, 1);
		acts[i].act();
		disk_notify();
		stopped = disk_status() == (NEEDS_RESET | 7);
		report(stopped && rings.used.index == 0 && works(), acts[i].name, "status 0x%x",
		       disk_status());
	}
}

/* Requests whose data is no RAM, or that wrap: answered as failed. */
static void check_failing(void)
{
	static const struct {
		u64 sector, data;
		u32 nr;
	} cases[] = {
		{ 1, FAR, 1 },
		{ 1, ~0ull, 1 },
		{ 1, UNIT, 8 },
		{ ~0ull, 0x100000, 8 },
		{ 1ull << 55, 0x100000, 1 },
		{ 0, 0x100000, 0x7fffff },
	};
	u32 failed = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++)
		for (u32 type = IN; type <= OUT; type++)
			failed += disk_do(type, cases[i].sector, cases[i].data, cases[i].nr) == 1;
	report_eq("requests of nothing fail", failed, 2 * ARRAY_SIZE(cases));
}

/* Random words in random places of the rings and of the request, and random addresses. */
static void check_random(u64 n)
{
	u64 stopped = 0, served = 0;

	for (u64 i = 0; i < n; i++) {
		disk_start((u64)&rings);
		for (u64 k = next_random() % 20; k; k--)
			disk_build(next_random() % 2 ? IN : FLUSH, next_random() % 8,
				   (u64)request.data, 1);
		for (u64 k = next_random() % 4; k; k--) {
			volatile u16 *word = (u16 *)&rings + next_random() % 8;

			switch (next_random() % 4) {
			case 0:
				word = &rings.desc[0].flags + next_random() % (4 * QUEUE_SIZE);
				break;
			case 1:
				word = &rings.avail.flags + next_random() % (QUEUE_SIZE + 2);
				break;
			case 2:
				word = (u16 *)&request + next_random() % 8;
				break;
			}
			*word = (u16)(next_random() >> next_random() % 60);
		}
		disk_notify();
		stopped += (disk_status() & NEEDS_RESET) != 0;
		served += rings.used.index;
	}
	report(stopped && served, "random rings", "%lu stopped, %lu requests served", stopped,
	       served);
}

void check_harm(void)
{
	random_state = arg_u64("seed", 1) * 0x9e3779b97f4a7c15ull | 1;
	report_eq("RAM is given back", hypercall(HC_MEMORY_RELEASE, UNIT, HC_MEMORY_UNIT, 0), 0);
	check_acts();
	works();
	check_failing();
	check_random(arg_u64("n", 2000));
	report_eq("RAM is claimed", hypercall(HC_MEMORY_CLAIM, UNIT, HC_MEMORY_UNIT, 0), 0);
	works();
	report_eq("a sector into it", disk_do(IN, 1, UNIT, 1), 0);
	report(works(), "the disk works", "status 0x%x", disk_status());
}
