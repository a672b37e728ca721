/* SPDX-License-Identifier: MIT */
/* Which instructions cross, and how often. See asi/crossing.h. */
#include "asi/crossing.h"
#include "arch/trace.h"
#include "lib/bitops.h"

#define ROWS 64

static struct asi_crossing rows[ROWS + 1]; /* behind those given out rip is 0 */
static uint32_t nr_reserved;		   /* rows given out, and more when the table is full */
static uint64_t lost;

unsigned int crossing_rows(void)
{
	return MIN(READ_ONCE(nr_reserved), ROWS);
}

void crossing_forget(unsigned int nr)
{
	unsigned int used = crossing_rows();

	for (unsigned int i = nr; i < used; i++)
		rows[i].rip = 0;
	if (nr < used)
		WRITE_ONCE(nr_reserved, nr);
}

/*
 * One instruction may meet several kinds of memory, by the region: each gets a row. To the first row that is not
 * given out, and not by their number: each switch between vCPUs comes here.
 */
static struct asi_crossing *row_of(enum asi_cause cause, uint64_t rip, uint64_t caller,
				   uint64_t address)
{
	for (struct asi_crossing *row = rows; row->rip; row++)
		if (row->rip == rip && row->caller == caller && row->cause == cause &&
		    PML4_SLOT(row->address) == PML4_SLOT(address))
			return row;
	return NULL;
}

/*
 * An NMI may note one of its own at any point: entries are reserved by an atomic, so that it gets
 * another. At worst a place has two rows.
 */
static void add_row(enum asi_cause cause, uint32_t domain, uint64_t rip, uint64_t caller,
		    uint64_t address)
{
	uint32_t nr =
		nr_reserved < ROWS ? __atomic_fetch_add(&nr_reserved, 1, __ATOMIC_RELAXED) : ROWS;

	if (nr >= ROWS) {
		lost++;
		return;
	}
	rows[nr] = (struct asi_crossing){ .cause = cause,
					  .domain = domain,
					  .rip = rip,
					  .caller = caller,
					  .address = address,
					  .count = 1 };
	if (cause == ASI_BY_FAULT)
		rows[nr].bytes = asi_describe(address, rows[nr].what, sizeof(rows[nr].what));
}

/* Not on the way of each switch between vCPUs. */
static __noinline void note_more(const struct asi_crossing *row, enum asi_cause cause,
				 const struct asi *asi, uint64_t rip, uint64_t caller,
				 uint64_t address, uint64_t error)
{
	if (!row)
		add_row(cause, asi->id, rip, caller, address);
	if (trace_is_used)
		trace_crossing(cause == ASI_BY_CALL, rip, address, (uint32_t)error);
}

void crossing_note(enum asi_cause cause, const struct asi *asi, uint64_t rip, uint64_t caller,
		   uint64_t address, uint64_t error)
{
	struct asi_crossing *row = row_of(cause, rip, caller, address);

	if (likely(row)) {
		row->count++;
		if (cause == ASI_BY_FAULT)
			row->others |= row->domain != asi->id;
	}
	if (unlikely(!row || trace_is_used))
		note_more(row, cause, asi, rip, caller, address, error);
}

static void sort_rows(void)
{
	for (unsigned int i = 1; i < crossing_rows(); i++) {
		struct asi_crossing row = rows[i];
		unsigned int at = i;

		for (; at && rows[at - 1].count < row.count; at--)
			rows[at] = rows[at - 1];
		rows[at] = row;
	}
}

bool asi_crossing_get(unsigned int i, struct asi_crossing *out)
{
	if (i == 0)
		sort_rows();
	if (i >= crossing_rows())
		return false;
	*out = rows[i];
	return true;
}

uint64_t asi_crossings_lost(void)
{
	return lost;
}
