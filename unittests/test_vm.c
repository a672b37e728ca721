/* SPDX-License-Identifier: MIT */
/*
 * vm_create() where memory runs out, at each allocation in turn: one line says so, and nothing is
 * left. vmm/vm.c, vcpu.c, ept.c and loader.c are real, and the buddy; VMX, ASI and vmalloc are not.
 */
#include <stdlib.h>
#include <string.h>
#include "unittests/memory.h"
#include "arch/fpu.h"
#include "arch/tsc.h"
#include "arch/vmx.h"
#include "asi/asi.h"
#include "lib/assert.h"
#include "lib/errno.h"
#include "mm/ptable.h"
#include "mm/kmalloc.h"
#include "mm/vmalloc.h"
#include "vmm/cpuid.h"
#include "vmm/guestmem.h"
#include "vmm/report.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"
#include "vmm/vmcs.h"

#define MEM_MIB 8

/* ---- the machine ---- */

uint64_t fake_vmcs[0x8000];
uint64_t fake_tsc, fake_xcr0, fake_dr6;
unsigned int fake_nr_nmi;
static unsigned int nr_vmcs_active, nr_domains;

void report_unserved(struct vm *vm, const char *what, uint64_t address, unsigned int size,
		     bool write)
{
	(void)vm, (void)what, (void)address, (void)size, (void)write;
}

uint64_t tsc_khz(void)
{
	return 2000000;
}

bool vmclear(uint64_t hpa)
{
	/* The second word is 1 from VMPTRLD to VMCLEAR, as real ones keep their state there. */
	uint32_t *vmcs = hpa_to_direct(HPA(hpa));

	nr_vmcs_active -= vmcs[1];
	vmcs[1] = 0;
	return true;
}

bool vmptrld(uint64_t hpa)
{
	uint32_t *vmcs = hpa_to_direct(HPA(hpa));

	nr_vmcs_active += !vmcs[1];
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
}

void vmx_flush_ept(uint64_t eptp)
{
	(void)eptp;
}

bool vmx_ept_has_1g(void)
{
	return false;
}

void vmcs_fail(uint32_t field, const char *access)
{
	panic("%s of 0x%x", access, field);
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

uint32_t vmcs_switched_msr(unsigned int i)
{
	return i < 2 ? i + 1 : 0;
}

void exit_cpuid_init(void)
{
}

int idle_init(void)
{
	return 0;
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
	nr_domains++;
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
	nr_domains--;
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

/* ---- guest memory and the log ---- */

bool guestmem_is_ram(const struct vm *vm, gpa_t gpa, uint64_t len)
{
	return gpa.v + len <= vm->ram_bytes;
}

int guestmem_write(const struct vm *vm, gpa_t gpa, const void *buf, size_t len)
{
	assert_true(guestmem_is_ram(vm, gpa, len));
	memcpy((char *)hpa_to_local(vm->ram[gpa.v / PAGE_SIZE_2M]) + gpa.v % PAGE_SIZE_2M, buf,
	       len);
	return 0;
}

static char said[1024];
static unsigned int nr_lines;

void console_write(const char *text, size_t len)
{
	size_t at = strlen(said);

	assert_true(at + len < sizeof(said));
	memcpy(said + at, text, len);
	for (size_t i = 0; i < len; i++)
		nr_lines += text[i] == '\n';
}

/* ---- tests ---- */

/* A Multiboot image at 1 MiB by the addresses in its header. */
static const uint32_t image[16] = {
	0x1badb002, 0x10000,  -(0x1badb002 + 0x10000), 0x100000, 0x100000, 0x100040,
	0x102000,   0x100020,
};
static const struct vm_module module = { "text", 4, "initrd" };
static const struct vm_options options = {
	.name = "test", .mem_mib = MEM_MIB, .cpus = 1, .asi = VM_ASI_ON, .args = "a b"
};

static int setup(void **state)
{
	int err = memory_setup(state);

	ptable_use_buddy();
	kmalloc_init();
	/* Until its cache has all that it keeps for good. */
	for (int i = 0; i < 100; i++)
		kfree(kzalloc(sizeof(struct mem_owner), GLOBAL, NULL));
	return err;
}

static int create(const struct vm_options *o, size_t len, struct vm **vm)
{
	memset(said, 0, sizeof(said));
	nr_lines = 0;
	return vm_create(o, image, len, &module, 1, vm);
}

/* As if nothing had been asked for, but for a block that the pool of GLOBAL memory keeps. */
static void assert_nothing_left(uint64_t used)
{
	struct buddy_stats s;

	buddy_get_stats(&s);
	assert_int_equal(memory_used(), used);
	assert_int_equal(s.block_pages[LOCAL], 0);
	assert_true(s.block_pages[GLOBAL] <= 1u << PAGEBLOCK_ORDER);
	assert_int_equal(nr_vmcs_active, 0);
	assert_int_equal(nr_domains, 0);
	for (size_t i = 0; i < ARRAY_SIZE(areas); i++)
		assert_null(areas[i].hva);
}

static uint64_t failures(void)
{
	struct buddy_stats s;

	buddy_get_stats(&s);
	return s.failures;
}

/* Until one is made that never came to the n-th allocation. A large run of RAM has smaller ones to fall back on. */
static void test_each_allocation_fails(void **state)
{
	uint64_t used = memory_used();
	struct vm_options o = options;
	struct vm *vm = NULL;

	(void)state;
	for (unsigned int round = 0; round < 8; round++) {
		unsigned int refused = 0;
		uint64_t before;

		o.asi = round % 2 ? VM_ASI_OFF : VM_ASI_ON;
		o.domain = round / 2 == 1 ? VM_DOMAIN_VCPU : VM_DOMAIN_VM;
		o.guest_map = round / 2 == 2 ? GUEST_MAP_NONE : GUEST_MAP_ALL;
		o.apic = round / 2 == 3;
		for (unsigned int n = 1;; n++) {
			int err;

			before = failures();
			buddy_fail_after(n);
			err = create(&o, sizeof(image), &vm);
			buddy_fail_after(0);
			if (!err) {
				assert_int_equal(nr_lines, 0);
				assert_int_equal(vm->vcpu->regs[RAX], 0x2badb002);
				assert_int_equal(fake_vmcs[VMCS_GUEST_RIP], 0x100020);
				vm_destroy(vm);
				vm = NULL;
			} else {
				assert_int_equal(err, -ENOMEM);
				assert_null(vm);
				assert_int_equal(nr_lines, 1);
				assert_non_null(strstr(said, "guest test: "));
				refused++;
			}
			assert_nothing_left(used);
			if (failures() == before)
				break;
		}
		/*
		 * Owner, domain, VM, list of RAM, window, EPT root, vCPU, VMCS, bitmap, stack,
		 * statistics, XSAVE area, local APIC; loader, its modules, boot information. A vCPU of its own
		 * owner has a pool of its own too, which converts a block.
		 */
		assert_int_equal(refused, 13 + (o.asi == VM_ASI_ON) +
						  (o.guest_map == GUEST_MAP_NONE) + o.apic);
	}
}

static void test_wrong_image(void **state)
{
	uint64_t used = memory_used();
	struct vm *vm = NULL;

	(void)state;
	assert_true(create(&options, sizeof(image) - 4, &vm) < 0);
	assert_null(vm);
	assert_int_equal(nr_lines, 1);
	assert_non_null(strstr(said, "guest test: truncated image"));
	assert_nothing_left(used);
}

static void test_too_much_memory(void **state)
{
	const uint64_t sizes[] = { 64, 65, 99999, ~0UL };
	uint64_t used = memory_used();
	struct vm_options o = options;
	struct vm *vm = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		o.mem_mib = sizes[i];
		assert_int_equal(create(&o, sizeof(image), &vm), -ENOMEM);
		assert_null(vm);
		assert_int_equal(nr_lines, 1);
		assert_non_null(strstr(said, "is more than the machine has: "));
		assert_nothing_left(used);
	}
}

/* What one has, the other has not; both are given back in any order. */
static void test_two(void **state)
{
	uint64_t used = memory_used();
	struct vm *a = NULL, *b = NULL, *c = NULL;

	(void)state;
	assert_int_equal(create(&options, sizeof(image), &a), 0);
	assert_int_equal(create(&options, sizeof(image), &b), 0);
	assert_int_not_equal(a->vcpu->vpid, b->vcpu->vpid);
	for (uint64_t i = 0; i < a->nr_ram; i++)
		for (uint64_t k = 0; k < b->nr_ram; k++)
			assert_int_not_equal(a->ram[i].v, b->ram[k].v);
	vm_destroy(a);
	assert_int_equal(create(&options, sizeof(image), &c), 0);
	assert_int_not_equal(c->vcpu->vpid, b->vcpu->vpid);
	vm_destroy(b);
	vm_destroy(c);
	assert_nothing_left(used);
}

static void assert_local(const void *p, const struct vm *vm)
{
	const struct pageblock *b = pfn_to_pageblock(hpa_to_pfn(hva_to_hpa(p)));

	assert_int_equal(b->class, LOCAL);
	assert_ptr_equal(b->owner, vm->owner);
}

/* All that holds registers of a guest belongs to it, and so does the canary of the stack. */
static void test_registers_are_local(void **state)
{
	uint64_t used = memory_used();
	struct vm *vms[2];

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		const struct vcpu *v;

		assert_int_equal(create(&options, sizeof(image), &vms[i]), 0);
		v = vms[i]->vcpu;
		assert_local(v, vms[i]);
		assert_local(&v->stack, vms[i]);
		assert_local((char *)v->stack.top - 1, vms[i]);
		assert_local(v->xsave_area, vms[i]);
		assert_local(v->stats, vms[i]);
	}
	assert_int_not_equal(vms[0]->vcpu->stack.canary, vms[1]->vcpu->stack.canary);
	vm_destroy(vms[0]);
	vm_destroy(vms[1]);
	assert_nothing_left(used);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_allocation_fails), cmocka_unit_test(test_wrong_image),
		cmocka_unit_test(test_too_much_memory),	      cmocka_unit_test(test_two),
		cmocka_unit_test(test_registers_are_local),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
