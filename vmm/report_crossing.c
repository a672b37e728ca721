/* SPDX-License-Identifier: MIT */
/* The @crossing records: which places left the restricted space, the most frequent first; and what is exposed, and so does not count. */
#include "arch/tsc.h"
#include "asi/crossing.h"
#include "asi/expose.h"
#include "lib/fmt.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/symbol.h"
#include "vmm/report.h"

#define PLACE_MAX 80

static uint64_t begin; /* of the time that rates are of, in ticks */

static const char *const causes[ASI_CAUSE_NR] = {
	[ASI_BY_FAULT] = "fault",
	[ASI_BY_CALL] = "call",
};

/* "symbol+0x12"; @back is 1 for a return address, which may belong to the next function. */
static const char *place(char buf[PLACE_MAX], uint64_t rip, uint64_t back)
{
	uint64_t offset;
	const char *name = rip ? symbol_lookup(rip - back, &offset) : NULL;

	if (!name)
		return "";
	fmt_print(buf, PLACE_MAX, "%.64s+0x%lx", name, offset + back);
	return buf;
}

void report_guests_begin(void)
{
	begin = rdtsc();
}

void report_crossings(void)
{
	uint64_t ms = (rdtsc() - begin) / tsc_khz();
	char rip[PLACE_MAX], caller[PLACE_MAX], what[2 * CROSSING_WHAT_MAX];
	struct asi_crossing c;

	for (unsigned int i = 0; asi_crossing_get(i, &c); i++) {
		json_escape(what, sizeof(what), c.what);
		log_info("@crossing "
			 "{\"cause\":\"%s\",\"rip\":\"%s\",\"caller\":\"%s\",\"domain\":%u,"
			 "\"others\":%s,\"address\":\"0x%lx\",\"what\":\"%s\",\"bytes\":%lu,"
			 "\"count\":%lu,\"rate\":%lu}",
			 causes[c.cause], place(rip, c.rip, c.cause == ASI_BY_CALL),
			 place(caller, c.caller, 1), c.domain, c.others ? "true" : "false",
			 c.address, what, c.bytes, c.count, ms ? c.count * 1000 / ms : 0);
	}
	if (asi_crossings_lost())
		log_info("%lu crossings at further places are in no record", asi_crossings_lost());
}

void report_experiment(void)
{
	const struct exposed *e;

	for (unsigned int i = 0; (e = asi_exposed(i)); i++)
		log_info("@experiment {\"exposed\":\"%.64s\",\"address\":\"0x%lx\",\"bytes\":%lu}",
			 e->name, e->start, e->len);
}
