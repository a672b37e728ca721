/* SPDX-License-Identifier: MIT */
/*
 * What tests of guest memory share: vmm/guestram.c, vmm/ept.c and vmm/guestmem.c on the real buddy and real EPT
 * tables; the access window, vmalloc and the flushes are not real.
 */
#pragma once
#include "unittests/memory.h"
#include "arch/vmx.h"
#include "asi/window.h"
#include "lib/errno.h"
#include "mm/vmalloc.h"
#include "vmm/cpuid.h"
#include "vmm/ept.h"
#include "vmm/guestram.h"
#include "vmm/guestwalk.h"

/* The address of a window is none of the test's: it gets at the frame by the direct map. */
static unsigned int nr_open, nr_opened;

static struct window_page fake_window_open(const struct window *w, hpa_t hpa)
{
	assert_non_null(w->table);
	assert_int_equal(hpa.v % PAGE_SIZE, 0);
	assert_int_equal(pfn_to_pageblock(hpa_to_pfn(hpa))->class, SENSITIVE);
	assert_int_equal(nr_open++, 0);
	nr_opened++;
	return (struct window_page){ hpa_to_direct(hpa), NULL };
}

static void fake_window_close(const struct window *w, struct window_page page)
{
	assert_non_null(w->table);
	assert_true(hva_is_ram(page.hva) && !hva_is_local(page.hva));
	assert_int_equal(--nr_open, 0);
}

#define window_open  fake_window_open
#define window_close fake_window_close
#include "vmm/guestmem.c"

uint64_t fake_vmcs[0x8000];
static unsigned int nr_invept, nr_domain_flushes;
static uint64_t last_invept; /* EPTP */
static const struct mem_owner *last_domain_flush;
static bool has_1g = true;

/*
 * The world stands still once at a time, with nobody in the middle of anything (arch/world.h). Until it does, and as soon
 * as it goes on, another vCPU may do something, once.
 */
static bool world_stands;
static unsigned int nr_stops;
static void (*before_stop)(void), (*behind_stop)(void);

static void once(void (**hook)(void))
{
	void (*call)(void) = *hook;

	*hook = NULL;
	if (call)
		call();
}

void world_stop(void)
{
	once(&before_stop);
	assert_false(world_stands);
	assert_int_equal(fake_locks_held(), 0);
	assert_int_equal(nr_open, 0);
	world_stands = true;
	nr_stops++;
}

void world_resume(void)
{
	assert_true(world_stands);
	world_stands = false;
	once(&behind_stop);
}

int window_create(struct window *w, struct mem_owner *o)
{
	w->owner = o;
	w->table = page_alloc(0, LOCAL, o);
	return w->table ? 0 : -ENOMEM;
}

void window_destroy(struct window *w)
{
	if (w->table)
		page_free(w->table, 0);
	w->table = NULL;
}

void asi_flush_owner(const struct mem_owner *o, uint64_t va, uint64_t len)
{
	(void)va;
	assert_int_equal(len, ~0UL); /* the window's leaves are small: all of them */
	last_domain_flush = o;
	nr_domain_flushes++;
}

void *vmalloc(size_t len, enum mem_class class, struct mem_owner *o)
{
	assert_true(len <= PAGE_SIZE << 4);
	return page_zalloc(4, class, o);
}

void vfree(void *hva)
{
	if (hva)
		page_free(hva, 4);
}

/* Of what is unmapped: nobody may be about to enter the guest. */
void vmx_flush_ept(uint64_t eptp)
{
	assert_true(world_stands);
	last_invept = eptp;
	nr_invept++;
}

bool vmx_ept_has_1g(void)
{
	return has_1g;
}

void vmcs_fail(uint32_t field, const char *access)
{
	panic("%s of 0x%x", access, field);
}

const struct guest_cpu *guest_cpu(void)
{
	return NULL;
}

unsigned int vcpu_cpl(const struct vcpu *v)
{
	(void)v;
	return 0;
}

int guestwalk(const struct vm *of, const struct guest_paging *p, gva_t gva, uint32_t access,
	      gpa_t *gpa, uint32_t *error)
{
	(void)of, (void)p, (void)gva, (void)access, (void)gpa, (void)error;
	return -EFAULT;
}
