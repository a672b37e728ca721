/* SPDX-License-Identifier: MIT */
/* The search for secrets finds a copy that got into GLOBAL memory, at any byte, and nothing without it. */
#include "arch/insn.h"
#include "asi/secrets.h"
#include "boot/selftest_internal.h"
#include "lib/string.h"
#include "mm/buddy.h"
#include "mm/kmalloc.h"

static struct mem_owner *owner;
static struct asi *domain;

/* Whether @copy, @at bytes from the start of it, is seen in @page, and by whoever may not. */
static bool leaks(uint8_t *page, uint64_t at, const uint8_t *copy)
{
	bool found;

	memcpy(page + at, copy, SECRET_SIZE); /* rep movsb: it passes through no register */
	found = secrets_search_domain(domain, "selftest") == 1;
	memset(page + at, 0, SECRET_SIZE);
	return found;
}

/* With secrets in each kind of memory. */
static bool search(uint8_t *sensitive, uint8_t *global)
{
	secrets_plant(sensitive + 100, "the self-test's page", NULL);
	CHECK(!secrets_plant_machine());
	CHECK(!secrets_plant_class(SENSITIVE, NULL) && !secrets_plant_class(GLOBAL, NULL));
	CHECK(!secrets_plant_class(LOCAL, owner));
	CHECK(secrets_search_domain(domain, "selftest") == 0);

	log_info("selftest: secrets are copied into GLOBAL memory now, and found");
	CHECK(leaks(global, 3, sensitive + 100));
	CHECK(leaks(global, PAGE_SIZE - 5, sensitive + 100)); /* into the next page */
	CHECK(secrets_search_domain(domain, "selftest") == 0);
	return true;
}

bool selftest_secrets(struct mem_owner *o, struct asi *d)
{
	uint8_t *sensitive = page_zalloc(0, SENSITIVE, NULL),
		*global = page_zalloc(1, GLOBAL, NULL);
	bool ok;

	owner = o;
	domain = d;
	CHECK(sensitive && global && !kmalloc_create(owner) && !secrets_begin(rdtsc()));
	ok = search(sensitive, global);
	secrets_end();
	kmalloc_destroy(owner);
	page_free(sensitive, 0);
	page_free(global, 1);
	return ok;
}
