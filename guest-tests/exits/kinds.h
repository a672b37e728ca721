/* SPDX-License-Identifier: MIT */
/* The operations that exits measures: a table of them is all that there is to add one. */
#pragma once

#include "guest-tests/lib/guest.h"

struct kind {
	const char *name;
	u32 reason; /* SDM basic exit reason */
	void (*op)(void);
	void (*empty)(void); /* op without the instruction */
	void (*begin)(void); /* before a loop of either, end() after it */
	void (*end)(void);
	void (*prepare)(void);	     /* before each, outside the measured time */
	unsigned int (*limit)(void); /* how many can be had at most */
	bool (*usable)(void);
	bool hypervisor_only, may_fault;
	const char *note; /* the tail of the MEASURE line */
};

extern const struct kind kinds[]; /* ends with a name of NULL */
