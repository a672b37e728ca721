/* SPDX-License-Identifier: MIT */
/* One VM by KVM's interface (Documentation/virt/kvm/api.rst), with KVM's interrupt controllers and what is most usual else. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "peer.h"

enum { COM1_DATA = 0x3f8, COM1_STATUS = 0x3fd, STATUS_EMPTY = 0x60, PORT_VERDICT = 0xf4 };
enum { MULTIBOOT_MAGIC = 0x2badb002, CR0_PE = 1, RFLAGS_FIXED = 2 };
#define HYPERVISOR_PRESENT (1u << 31) /* CPUID.1:ECX */
#define VMX_TSS		   0xfffbd000

enum { CPUID_LEAVES = 256 };

struct vm {
	const char *name;
	int kvm, vm, vcpu, stats;
	off_t exits_at; /* of the count of exits in @stats */
	const struct ram *ram;
	struct kvm_run *run;
	size_t run_size;
};

static int control(int fd, unsigned long request, const char *what, void *argument)
{
	int result = ioctl(fd, request, argument);

	if (result < 0)
		die_errno("%s", what);
	return result;
}

#define CONTROL(fd, request, argument) \
	control(fd, request, #request, (void *)(unsigned long)(argument))

static void set_cpuid(const struct vm *vm)
{
	struct kvm_cpuid2 *leaves =
		calloc(1, sizeof(*leaves) + CPUID_LEAVES * sizeof(leaves->entries[0]));

	if (!leaves)
		die("memory for CPUID");
	leaves->nent = CPUID_LEAVES;
	CONTROL(vm->kvm, KVM_GET_SUPPORTED_CPUID, leaves);
	for (unsigned int i = 0; i < leaves->nent; i++) {
		if (leaves->entries[i].function == 1)
			leaves->entries[i].ecx |= HYPERVISOR_PRESENT; /* left to KVM's user */
	}
	CONTROL(vm->vcpu, KVM_SET_CPUID2, leaves);
	free(leaves);
}

/* As a Multiboot loader leaves a CPU: flat 32-bit protected mode without paging. */
static void set_registers(const struct vm *vm, struct entry entry)
{
	struct kvm_segment flat = { .limit = 0xffffffff,
				    .selector = 0x10,
				    .type = 3,
				    .present = 1,
				    .db = 1,
				    .s = 1,
				    .g = 1 };
	struct kvm_regs regs = {
		.rax = MULTIBOOT_MAGIC, .rbx = entry.info, .rip = entry.rip, .rflags = RFLAGS_FIXED
	};
	struct kvm_sregs sregs;

	CONTROL(vm->vcpu, KVM_GET_SREGS, &sregs);
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = flat;
	flat.selector = 0x08;
	flat.type = 0xb;
	sregs.cs = flat;
	sregs.cr0 |= CR0_PE;
	CONTROL(vm->vcpu, KVM_SET_SREGS, &sregs);
	CONTROL(vm->vcpu, KVM_SET_REGS, &regs);
}

static void read_stats(const struct vm *vm, void *to, size_t length, off_t from)
{
	if (pread(vm->stats, to, length, from) != (ssize_t)length)
		die_errno("reading the vCPU's statistics");
}

/* "exits" of the vCPU: KVM_GET_STATS_FD. */
static void find_exits(struct vm *vm)
{
	struct kvm_stats_header head;

	vm->stats = CONTROL(vm->vcpu, KVM_GET_STATS_FD, 0);
	read_stats(vm, &head, sizeof(head), 0);
	for (unsigned int i = 0; i < head.num_desc; i++) {
		size_t size = sizeof(struct kvm_stats_desc) + head.name_size;
		struct kvm_stats_desc *desc = calloc(1, size + 1);

		if (!desc)
			die("memory for statistics");
		read_stats(vm, desc, size, (off_t)(head.desc_offset + i * size));
		if (!strcmp(desc->name, "exits"))
			vm->exits_at = head.data_offset + desc->offset;
		free(desc);
	}
	if (!vm->exits_at)
		die("KVM does not count exits");
}

static uint32_t exits(const struct vm *vm)
{
	uint64_t count;

	read_stats(vm, &count, sizeof(count), vm->exits_at);
	return (uint32_t)count;
}

static void create(struct vm *vm, const char *path, const char *arguments)
{
	struct kvm_userspace_memory_region memory;
	char words[200];

	vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm < 0)
		die_errno("/dev/kvm");
	if (CONTROL(vm->kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		die("KVM has another version of its interface");
	vm->vm = CONTROL(vm->kvm, KVM_CREATE_VM, 0);
	CONTROL(vm->vm, KVM_SET_TSS_ADDR, VMX_TSS);
	CONTROL(vm->vm, KVM_CREATE_IRQCHIP, 0);
	memory = (struct kvm_userspace_memory_region){ .memory_size = vm->ram->size,
						       .userspace_addr = (uintptr_t)vm->ram->at };
	CONTROL(vm->vm, KVM_SET_USER_MEMORY_REGION, &memory);
	vm->vcpu = CONTROL(vm->vm, KVM_CREATE_VCPU, 0);
	vm->run_size = (size_t)CONTROL(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	vm->run = mmap(NULL, vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu, 0);
	if (vm->run == MAP_FAILED)
		die_errno("mapping the vCPU");
	find_exits(vm);
	set_cpuid(vm);
	snprintf(words, sizeof(words), "%s counter=%d", arguments, PORT_COUNTER);
	set_registers(vm, image_load(vm->ram, path, words));
}

static void destroy(struct vm *vm)
{
	munmap(vm->run, vm->run_size);
	close(vm->stats);
	close(vm->vcpu);
	close(vm->vm);
	close(vm->kvm);
}

/* COM1 is always ready to send; nothing answers elsewhere. */
static uint32_t port_read(const struct vm *vm, unsigned int port)
{
	switch (port) {
	case COM1_STATUS:
		return STATUS_EMPTY;
	case PORT_COUNTER:
		return exits(vm);
	default:
		return ~0u;
	}
}

/* False once the guest has given its verdict. */
static bool serve_port(struct vm *vm, int *verdict)
{
	const struct kvm_run *run = vm->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	for (unsigned int i = 0; i < run->io.count; i++, data += run->io.size) {
		if (run->io.direction == KVM_EXIT_IO_IN) {
			uint32_t value = port_read(vm, run->io.port);

			memcpy(data, &value, run->io.size);
		} else if (run->io.port == COM1_DATA) {
			guest_char(vm->name, (char)*data);
		} else if (run->io.port == PORT_VERDICT) {
			*verdict = *data;
			return false;
		}
	}
	return true;
}

int vm_run(const char *name, const char *path, const char *arguments, struct ram *ram)
{
	struct vm vm = { .name = name, .ram = ram };
	int verdict = -1;
	bool more = true;

	ram_create(ram);
	create(&vm, path, arguments);
	while (more) {
		if (ioctl(vm.vcpu, KVM_RUN, 0) && errno != EINTR)
			die_errno("KVM_RUN");
		switch (vm.run->exit_reason) {
		case KVM_EXIT_IO:
			more = serve_port(&vm, &verdict);
			break;
		case KVM_EXIT_MMIO:
			memset(vm.run->mmio.data, 0xff, sizeof(vm.run->mmio.data));
			break;
		case KVM_EXIT_INTR:
			break;
		default:
			die("the guest ends by KVM's exit reason %u, hardware's %llu",
			    vm.run->exit_reason,
			    (unsigned long long)vm.run->hw.hardware_exit_reason);
		}
	}
	destroy(&vm);
	ram_destroy(ram);
	return verdict;
}
