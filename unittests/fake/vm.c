/* SPDX-License-Identifier: MIT */
/* See unittests/fake/vm.h. */
#include <stdlib.h>
#include <string.h>
#include "unittests/memory.h"
#include "unittests/fake/vm.h"
#include "arch/fpu.h"
#include "arch/tsc.h"
#include "arch/vmx.h"
#include "asi/window.h"
#include "lib/errno.h"
#include "mm/vmalloc.h"
#include "vmm/cpuid.h"
#include "vmm/vcpu.h"
#include "vmm/report.h"
#include "vmm/vmcs.h"

/* ---- the machine ---- */

uint64_t fake_vmcs[0x8000];
uint64_t fake_tsc, fake_xcr0, fake_dr6;
unsigned int fake_nr_nmi;
unsigned int fake_nr_vmcs, fake_nr_domains, fake_nr_invvpid, fake_nr_invept, fake_nr_host_setups;

bool vmclear(uint64_t hpa)
{
	/* The second word is 1 from VMPTRLD to VMCLEAR, as real ones keep their state there. */
	uint32_t *vmcs = hpa_to_direct(HPA(hpa));

	fake_nr_vmcs -= vmcs[1];
	vmcs[1] = 0;
	return true;
}

bool vmptrld(uint64_t hpa)
{
	uint32_t *vmcs = hpa_to_direct(HPA(hpa));

	fake_nr_vmcs += !vmcs[1];
	vmcs[1] = 1;
	return true;
}

void read_breakpoints(uint64_t v[4])
{
	memset(v, 0, 4 * sizeof(*v));
}

void write_breakpoints(const uint64_t v[4])
{
	(void)v;
}

static uint64_t next_canary;

void stack_init(struct stack *s, void *top)
{
	*s = (struct stack){ ++next_canary, top };
}

uint64_t rdmsr(uint32_t msr)
{
	return msr;
}

void wrmsr(uint32_t msr, uint64_t v)
{
	(void)msr;
	(void)v;
}

void fpu_init(void)
{
}

size_t fpu_area_size(void)
{
	return 2 * PAGE_SIZE + 1;
}

void fpu_init_area(void *area)
{
	memset(area, 1, fpu_area_size());
}

void fpu_save(void *area)
{
	memset(area, 2, fpu_area_size());
}

void fpu_load(const void *area, uint64_t xcr0)
{
	(void)area;
	(void)xcr0;
}

uint32_t vmx_revision(void)
{
	return 4;
}

int vmx_on(uint64_t hpa, void *region)
{
	(void)hpa;
	(void)region;
	return 0;
}

void vmx_flush_vpid(uint16_t vpid)
{
	(void)vpid;
	fake_nr_invvpid++;
}

void vmx_flush_ept(uint64_t eptp)
{
	(void)eptp;
	fake_nr_invept++;
}

bool vmx_ept_has_1g(void)
{
	return false;
}

void vmcs_fail(uint32_t field, const char *access)
{
	panic("%s of 0x%x", access, field);
}

bool vmx_has_apicv(void)
{
	return true;
}

bool vmx_has_apic_access(void)
{
	return true;
}

bool vmx_has_posted_interrupts(void)
{
	return true;
}

hpa_t vmcs_x2apic_msr_bitmap(void)
{
	return HPA(PAGE_SIZE);
}

int vmcs_init(void)
{
	return 0;
}

void vmcs_setup(struct vcpu *v)
{
	(void)v;
}

void vmcs_setup_msr_bitmap(uint8_t *page)
{
	memset(page, 0xff, PAGE_SIZE);
}

const uint32_t *vmcs_switched_msrs(void)
{
	static const uint32_t msrs[] = { 1, 2, 0 };

	return msrs;
}

void exit_cpuid_init(void)
{
}

void report_unserved(struct vm *vm, const char *what, uint64_t address, unsigned int size,
		     bool write)
{
	(void)vm, (void)what, (void)address, (void)size, (void)write;
}

uint64_t tsc_khz(void)
{
	return 2000000;
}

void vmcs_setup_host_cpu(void)
{
	fake_nr_host_setups++;
}

void vmcs_init_guest(void)
{
}

uint32_t guest_signature(void)
{
	return 0x506e3;
}

/* Nobody runs here, and nothing is given back. */
void world_stop(void)
{
	abort();
}

void world_resume(void)
{
}

void sched_ask(uint32_t cpu)
{
	(void)cpu;
}

void sched_look(void)
{
}

void cpu_kick(uint32_t cpu)
{
	(void)cpu;
	abort();
}

struct stack *stack_current(void)
{
	return NULL;
}

/* ---- ASI: a domain is a page ---- */

int asi_create(enum asi_class_id class, struct mem_owner *owner, struct asi **out)
{
	struct asi *asi = page_zalloc(0, GLOBAL, NULL);

	if (!asi)
		return -ENOMEM;
	assert_int_equal(class, owner->parent ? ASI_GUEST_VCPU : ASI_GUEST_VM);
	asi->owner = owner;
	asi->refs = 1;
	fake_nr_domains++;
	*out = asi;
	return 0;
}

struct asi *asi_get(struct asi *asi)
{
	if (asi)
		asi->refs++;
	return asi;
}

void asi_put(struct asi *asi)
{
	if (!asi || --asi->refs)
		return;
	fake_nr_domains--;
	page_free(asi, 0);
}

void asi_exit(void)
{
}

void asi_require_mapped(const struct asi *asi, const void *hva, size_t len, const char *what)
{
	(void)what;
	assert_true(asi && hva && len);
}

void asi_flush_owner(const struct mem_owner *owner, uint64_t va, uint64_t len)
{
	(void)owner;
	(void)va;
	(void)len;
}

/* A window is a page of the owner's. */
int window_create(struct window *w, struct mem_owner *owner)
{
	w->table = page_alloc(0, LOCAL, owner);
	return w->table ? 0 : -ENOMEM;
}

void window_destroy(struct window *w)
{
	if (w->table)
		page_free(w->table, 0);
	w->table = NULL;
}

uint64_t idt_base(void)
{
	return PAGE_SIZE;
}

uint64_t gdt_base(void)
{
	return PAGE_SIZE;
}

uint64_t gdt_tss_base(void)
{
	return PAGE_SIZE;
}

/* ---- vmalloc: pages of the buddy, with the order in a table ---- */

static struct {
	void *hva;
	unsigned int order;
} areas[64];

uint64_t vmalloc_flush(void)
{
	return 0;
}

void vmalloc_owner_end(struct mem_owner *owner)
{
	(void)owner;
}

void *vmalloc(size_t len, enum mem_class class, struct mem_owner *owner)
{
	unsigned int order = 0;

	while (PAGE_SIZE << order < len)
		order++;
	for (size_t i = 0; i < ARRAY_SIZE(areas); i++)
		if (!areas[i].hva) {
			areas[i].hva = page_zalloc(order, class, owner);
			areas[i].order = order;
			return areas[i].hva;
		}
	abort();
}

void vfree(void *hva)
{
	for (size_t i = 0; hva && i < ARRAY_SIZE(areas); i++)
		if (areas[i].hva == hva) {
			page_free(hva, areas[i].order);
			areas[i].hva = NULL;
			return;
		}
	assert_null(hva);
}

bool fake_vmalloc_is_empty(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(areas); i++)
		if (areas[i].hva)
			return false;
	return true;
}
