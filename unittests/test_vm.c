/* SPDX-License-Identifier: MIT */
/*
 * vm_create() where memory runs out, at each allocation in turn: one line says so, and nothing is
 * left. vmm/vm.c, vcpu.c, ept.c and loader.c are real, and the buddy; unittests/fake/vm.c is the rest.
 */
#include <string.h>
#include "unittests/memory.h"
#include "unittests/fake/vm.h"
#include "arch/vmx.h"
#include "arch/percpu.h"
#include "lib/errno.h"
#include "mm/kmalloc.h"
#include "mm/ptable.h"
#include "vmm/guestmem.h"
#include "vmm/lapic.h"
#include "vmm/loader.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define MEM_MIB 8

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
static const struct vm_options options = { .name = "test",
					   .mem_mib = MEM_MIB,
					   .cpus = 1,
					   .asi = VM_ASI_ON,
					   .apicv = VM_APICV_AUTO,
					   .args = "a b" };

static const char disk[1000] = "a disk";

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
	assert_int_equal(fake_nr_vmcs, 0);
	assert_int_equal(fake_nr_domains, 0);
	assert_true(fake_vmalloc_is_empty());
}

static uint64_t failures(void)
{
	struct buddy_stats s;

	buddy_get_stats(&s);
	return s.failures;
}

/* Its own copy, in LOCAL memory, in whole sectors. */
static void check_disk(const struct vm *vm)
{
	static const char zeros[24];
	const struct virtio_blk *b = &vm->platform.disk;

	if (!vm->options.disk) {
		assert_null(b->data);
		assert_false(vm->platform.pci.slot[PCI_DISK].present);
		return;
	}
	assert_true(vm->platform.pci.slot[PCI_DISK].present);
	assert_int_equal(b->sectors, 2);
	assert_true(hva_is_local(b->data));
	assert_memory_equal(b->data, disk, sizeof(disk));
	assert_memory_equal(b->data + sizeof(disk), zeros, sizeof(zeros));
}

/* Where COM1 is, and the KiB of RAM below the hole: of a PC only. */
static void check_bios_data(const struct vm *vm)
{
	const uint8_t *low = hpa_to_local(vm->ram[0]);
	uint8_t want[256] = { 0 };

	if (vm->options.platform == VM_PLATFORM_PIC) {
		want[0] = 0xf8;
		want[1] = 0x03;
		want[0x13] = 640 & 0xff;
		want[0x14] = 640 >> 8;
	}
	assert_memory_equal(low + 0x400, want, sizeof(want));
}

/* Until one is made that never came to the n-th allocation. A large run of RAM has smaller ones to fall back on. */
static void test_each_allocation_fails(void **state)
{
	uint64_t used = memory_used();
	struct vm_options o = options;
	struct vm *vm = NULL;

	(void)state;
	for (unsigned int round = 0; round < 12; round++) {
		unsigned int refused = 0;
		uint64_t before;

		o.asi = round % 2 ? VM_ASI_OFF : VM_ASI_ON;
		o.domain = round / 2 == 1 ? VM_DOMAIN_VCPU : VM_DOMAIN_VM;
		o.guest_map = round / 2 == 2 ? GUEST_MAP_NONE : GUEST_MAP_ALL;
		o.apic = round / 2 >= 3;
		o.cpus = round / 2 == 4 ? 3 : 1;
		o.platform = round / 2 == 5 ? VM_PLATFORM_PIC : VM_PLATFORM_NONE;
		o.disk = round / 2 == 5 ? disk : NULL;
		o.disk_len = round / 2 == 5 ? sizeof(disk) : 0;
		for (unsigned int n = 1;; n++) {
			int err;

			before = failures();
			buddy_fail_after(n);
			err = create(&o, sizeof(image), &vm);
			buddy_fail_after(0);
			if (!err) {
				assert_int_equal(nr_lines, 0);
				assert_int_equal(vm->vcpus[0]->regs[RAX], 0x2badb002);
				assert_int_equal(fake_vmcs[VMCS_GUEST_RIP], 0x100020);
				check_disk(vm);
				check_bios_data(vm);
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
		 * statistics, XSAVE area, local APIC, its registers, the APIC-access page and its three tables; command line and
		 * disk of a platform; loader, its modules, boot information. A vCPU of its own owner has a pool of its own too, which converts a block.
		 */
		assert_int_equal(refused, 13 + (o.asi == VM_ASI_ON) +
						  (o.guest_map == GUEST_MAP_NONE) + 6 * o.apic +
						  2 * !!o.disk + (o.cpus - 1) * (6 + 2 * o.apic));
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
	o.mem_mib = 1;
	o.disk_len = MiB(64);
	assert_int_equal(create(&o, sizeof(image), &vm), -ENOMEM);
	assert_non_null(strstr(said, "mem=1 with its disk is more than the machine has: "));
	assert_nothing_left(used);
}

/* What one has, the other has not; both are given back in any order. */
static void test_two(void **state)
{
	uint64_t used = memory_used();
	struct vm *a = NULL, *b = NULL, *c = NULL;

	(void)state;
	assert_int_equal(create(&options, sizeof(image), &a), 0);
	assert_int_equal(create(&options, sizeof(image), &b), 0);
	assert_int_not_equal(a->vcpus[0]->vpid, b->vcpus[0]->vpid);
	for (uint64_t i = 0; i < a->nr_ram; i++)
		for (uint64_t k = 0; k < b->nr_ram; k++)
			assert_int_not_equal(a->ram[i].v, b->ram[k].v);
	vm_destroy(a);
	assert_int_equal(create(&options, sizeof(image), &c), 0);
	assert_int_not_equal(c->vcpus[0]->vpid, b->vcpus[0]->vpid);
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
		v = vms[i]->vcpus[0];
		assert_local(v, vms[i]);
		assert_local(&v->stack, vms[i]);
		assert_local((char *)v->stack.top - 1, vms[i]);
		assert_local(v->xsave_area, vms[i]);
		assert_local(v->stats, vms[i]);
	}
	assert_int_not_equal(vms[0]->vcpus[0]->stack.canary, vms[1]->vcpus[0]->stack.canary);
	vm_destroy(vms[0]);
	vm_destroy(vms[1]);
	assert_nothing_left(used);
}

/* One APIC-access page for all vCPUs of a VM whose local APICs the CPU serves, in LOCAL memory; others find nothing there. */
static void test_apic_page(void **state)
{
	static const char zeros[PAGE_SIZE];
	struct vm_options o = options;
	uint64_t used = memory_used();
	struct pt_walk walk;
	struct vm *vm;

	(void)state;
	o.apic = true;
	o.cpus = 2;
	assert_int_equal(create(&o, sizeof(image), &vm), 0);
	walk = ptable_walk(&vm->ept, 0xfee00000);
	assert_true(walk.present);
	assert_int_equal(walk.hpa.v, vm->apic_page.v);
	assert_local(hpa_to_local(vm->apic_page), vm);
	assert_memory_equal(hpa_to_local(vm->apic_page), zeros, PAGE_SIZE);
	assert_false(ptable_walk(&vm->ept, 0xfee01000).present);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(vm->vcpus[i]->lapic->service, LAPIC_TRAPPED);
		assert_int_not_equal(vm->apic_page.v, hva_to_hpa(vm->vcpus[i]->lapic->regs).v);
	}
	/* A vCPU for which the page is memory has run here. */
	vm->apic_page_plain[cpu_number] = true;
	vm->ept_seen[cpu_number] = vm->ept_gen;
	vcpu_load(vm->vcpus[1]);
	fake_nr_invept = 0;
	vcpu_sync_ept(vm->vcpus[1]);
	vcpu_sync_ept(vm->vcpus[1]);
	assert_int_equal(fake_nr_invept, 1);
	vcpu_put();
	vm_destroy(vm);
	o.apicv = VM_APICV_OFF;
	assert_int_equal(create(&o, sizeof(image), &vm), 0);
	assert_int_equal(vm->apic_page.v, 0);
	assert_false(ptable_walk(&vm->ept, 0xfee00000).present);
	assert_int_equal(vm->vcpus[0]->lapic->service, LAPIC_SOFTWARE);
	vm_destroy(vm);
	assert_nothing_left(used);
}

/* The first is ready, the others wait for it; each has what it needs for itself, and a place to be reached at. */
static void test_several_vcpus(void **state)
{
	uint64_t used = memory_used();
	struct vm_options o = options;

	(void)state;
	o.apic = true;
	for (o.cpus = 2; o.cpus <= VCPUS_MAX; o.cpus += 3) {
		for (o.domain = VM_DOMAIN_VM; o.domain <= VM_DOMAIN_VCPU; o.domain++) {
			struct vm *vm;

			assert_int_equal(create(&o, sizeof(image), &vm), 0);
			assert_int_equal(vm->nr_vcpus, o.cpus);
			assert_int_equal(fake_nr_domains, o.domain == VM_DOMAIN_VM ? 1 : o.cpus);
			assert_int_equal(fake_nr_vmcs, 0); /* any CPU may load any of them */
			for (uint32_t id = 0; id < o.cpus; id++) {
				const struct vcpu *v = vm->vcpus[id];

				assert_true(v->id == id && v->vm == vm);
				assert_ptr_equal(v->post, &vm->post[id]);
				assert_int_equal(v->post->apic_id, id);
				assert_int_equal(v->state,
						 id ? VCPU_WAITS_FOR_SIPI : VCPU_RUNNABLE);
				assert_int_equal(v->dormant, id != 0);
				assert_int_equal(v->last_cpu, id ? VCPU_NO_CPU : 0);
				for (uint32_t k = 0; k < id; k++) {
					const struct vcpu *w = vm->vcpus[k];

					assert_int_not_equal(v->vpid, w->vpid);
					assert_int_not_equal(v->vmcs.v, w->vmcs.v);
					assert_true(v->lapic != w->lapic && v->stats != w->stats);
					assert_ptr_not_equal(v->stack.top, w->stack.top);
					assert_int_equal(v->owner == w->owner,
							 o.domain == VM_DOMAIN_VM);
				}
			}
			vm_destroy(vm);
			assert_nothing_left(used);
		}
	}
}

/*
 * A vCPU is in one CPU at a time; what another one may remember of it is dropped when it comes there, and what has been
 * unmapped since is dropped before it enters the guest.
 */
static void test_moves(void **state)
{
	static const struct {
		uint32_t cpu;
		bool drops;
	} moves[] = { { 1, true }, { 1, false }, { 2, true }, { 1, true }, { 1, false } };
	uint64_t used = memory_used();
	struct vm *vm;
	struct vcpu *v;

	(void)state;
	assert_int_equal(create(&options, sizeof(image), &vm), 0);
	v = vm->vcpus[0];
	fake_nr_invvpid = fake_nr_invept = fake_nr_host_setups = 0;
	for (size_t i = 0; i < ARRAY_SIZE(moves); i++) {
		unsigned int before = fake_nr_invvpid;

		cpu_number = moves[i].cpu;
		v->host_rsp = v->host_cr3 = 0;
		vcpu_load(v);
		assert_ptr_equal(vcpu_here(), v);
		assert_int_equal(fake_nr_vmcs, 1);
		assert_int_equal(fake_nr_invvpid - before, moves[i].drops);
		assert_int_equal(fake_nr_host_setups, fake_nr_invvpid);
		v->host_rsp = v->host_cr3 = 1; /* as behind an entry */
		vcpu_load(v);
		assert_int_equal(v->host_rsp, 1);
		vcpu_put();
		assert_null(vcpu_here());
		assert_int_equal(fake_nr_vmcs, 0);
		assert_int_equal(v->host_rsp | v->host_cr3, 0);
	}
	/* EPT: once on each CPU for each time. */
	for (unsigned int gen = 1; gen < 3; gen++) {
		for (cpu_number = 0; cpu_number < 3; cpu_number++) {
			fake_nr_invept = 0;
			vcpu_sync_ept(v);
			vcpu_sync_ept(v);
			assert_int_equal(fake_nr_invept, 1);
		}
		vm->ept_gen++;
	}
	cpu_number = 0;
	vm_destroy(vm);
	assert_nothing_left(used);
}

/* What an image gets of which nothing was said: as a file that Linux would be known by, and as any other. */
static void test_defaults(void **state)
{
	static const struct {
		struct vm_options given;
		bool is_linux;
		enum vm_platform platform;
		bool apic;
		unsigned int mem_mib;
	} cases[] = {
		{ { .cpus = 1 }, false, VM_PLATFORM_NONE, false, 64 },
		{ { .cpus = 1, .platform = VM_PLATFORM_PIC }, false, VM_PLATFORM_PIC, false, 64 },
		{ { .cpus = 1 }, true, VM_PLATFORM_APIC, true, 128 },
		{ { .cpus = 1, .mem_mib = 3840 }, true, VM_PLATFORM_APIC, true, 3840 },
		{ { .cpus = 1, .mem_mib = 3841 }, true, VM_PLATFORM_PIC, false, 3841 },
		{ { .cpus = 1, .apic_given = true }, true, VM_PLATFORM_PIC, false, 128 },
		{ { .cpus = 2, .apic = true }, true, VM_PLATFORM_APIC, true, 128 },
		{ { .cpus = 1, .platform = VM_PLATFORM_NONE }, true, VM_PLATFORM_NONE, false, 128 },
		{ { .cpus = 1, .platform = VM_PLATFORM_PIC }, true, VM_PLATFORM_PIC, false, 128 },
	};
	uint8_t image[0x300] = { [0x1fe] = 0x55, [0x1ff] = 0xaa };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vm_options o = cases[i].given;

		memcpy(image + 0x202, cases[i].is_linux ? "HdrS" : "none", 4);
		loader_defaults(&o, image, sizeof(image));
		assert_int_equal(o.platform, cases[i].platform);
		assert_int_equal(o.apic, cases[i].apic);
		assert_int_equal(o.mem_mib, cases[i].mem_mib);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),      cmocka_unit_test(test_each_allocation_fails),
		cmocka_unit_test(test_wrong_image),   cmocka_unit_test(test_too_much_memory),
		cmocka_unit_test(test_two),	      cmocka_unit_test(test_registers_are_local),
		cmocka_unit_test(test_several_vcpus), cmocka_unit_test(test_moves),
		cmocka_unit_test(test_apic_page),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
