/* SPDX-License-Identifier: MIT */
/* See vmm/turnlog.h. */
#include "vmm/turnlog.h"
#include "arch/cpus.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "mm/vmalloc.h"
#include "vmm/vm.h"

#define TURNS_MAX 4096 /* of each CPU */

struct turn {
	uint16_t vm; /* its owner's number */
	uint16_t vcpu;
	uint64_t begin, end;
};

static struct log {
	struct turn *turns; /* NULL: nothing is noted */
	uint64_t nr;	    /* noted and lost */
} logs[CPUS_MAX];

int turnlog_init(uint64_t cpus)
{
	int err = 0;

	for_each_cpu (cpu, cpus) {
		logs[cpu].turns = vmalloc(TURNS_MAX * sizeof(struct turn), SENSITIVE, NULL);
		if (!logs[cpu].turns)
			err = -ENOMEM;
	}
	return err;
}

void turnlog_note(uint32_t cpu, const struct vcpu *v, uint64_t begin, uint64_t end)
{
	struct log *l = &logs[cpu];

	if (!l->turns)
		return;
	if (l->nr < TURNS_MAX)
		l->turns[l->nr] = (struct turn){ v->vm->owner->id, (uint16_t)v->id, begin, end };
	l->nr++;
}

void turnlog_report(void)
{
	for (uint32_t cpu = 0; cpu < CPUS_MAX; cpu++) {
		const struct log *l = &logs[cpu];
		uint64_t noted = MIN(l->nr, TURNS_MAX);

		for (uint64_t i = 0; i < noted; i++)
			log_info("@turn "
				 "{\"cpu\":%u,\"owner\":%u,\"vcpu\":%u,\"begin\":%lu,\"end\":%lu}",
				 cpu, l->turns[i].vm, l->turns[i].vcpu, l->turns[i].begin,
				 l->turns[i].end);
		if (l->turns)
			log_info("@turns {\"cpu\":%u,\"turns\":%lu,\"lost\":%lu}", cpu, l->nr,
				 l->nr - noted);
	}
}
