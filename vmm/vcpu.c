/* SPDX-License-Identifier: MIT */
/* Making and unmaking a vCPU, switching this CPU to it, and its registers. */
#include "vmm/vcpu.h"
#include "arch/desc.h"
#include "arch/fpu.h"
#include "arch/percpu.h"
#include "arch/regs.h"
#include "arch/trace.h"
#include "arch/tsc.h"
#include "arch/vmx.h"
#include "lib/assert.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "mm/buddy.h"
#include "mm/vmalloc.h"
#include "vmm/apicv.h"
#include "vmm/lapic.h"
#include "vmm/mbi.h"
#include "vmm/owner.h"
#include "vmm/stats.h"
#include "vmm/trace.h"
#include "vmm/vm.h"
#include "vmm/vmcs.h"

_Static_assert(offsetof(struct vcpu, regs) == VCPU_REG(0), "arch/vmx_run.h");
_Static_assert(offsetof(struct vcpu, cr2) == VCPU_CR2, "arch/vmx_run.h");
_Static_assert(offsetof(struct vcpu, host_rsp) == VCPU_HOST_RSP, "arch/vmx_run.h");
_Static_assert(RDI == 7 && R15 == 15 && GPR_NR == 16, "arch/x86/vmx_run.S has the numbers too");
_Static_assert(VMCS_HOST_RSP == 0x6c14, "arch/x86/vmx_run.S has the number too");

/* Whose VMCS is current and whose registers are in the CPU. Nonsensitive: each turn looks at it. */
__percpu struct vcpu *vcpu_loaded;

static void save_registers(struct vcpu *v)
{
	const uint32_t *msr = vmcs_switched_msrs();

	for (uint64_t *value = v->switched_msrs; *msr; msr++)
		*value++ = rdmsr(*msr);
	/* DR7 is in the VMCS, and 0x400 after each exit: these cause no exception here. */
	read_breakpoints(v->breakpoints);
	v->dr6 = read_dr6();
	fpu_save(v->xsave_area);
}

static void load_registers(const struct vcpu *v)
{
	const uint32_t *msr = vmcs_switched_msrs();

	for (const uint64_t *value = v->switched_msrs; *msr; msr++)
		wrmsr(*msr, *value++);
	write_breakpoints(v->breakpoints);
	write_dr6(v->dr6);
	fpu_load(v->xsave_area, v->xcr0);
}

static void make_current(const struct vcpu *v)
{
	if (!vmptrld(v->vmcs.v))
		panic("VMPTRLD of 0x%lx failed", v->vmcs.v);
}

/*
 * SDM, "Initializing a VMCS" and "Software Use of the VMCS": a VMCS is active on one processor at a time. VMCLEAR writes
 * what the CPU keeps of it to memory, for the next one, and makes its launch state clear.
 */
static void clear(struct vcpu *v)
{
	if (!vmclear(v->vmcs.v))
		panic("VMCLEAR of 0x%lx failed", v->vmcs.v);
	v->host_rsp = 0; /* to be launched */
	v->host_cr3 = 0; /* another CPU has other PCIDs */
}

void vcpu_put(void)
{
	struct vcpu *v = this_cpu(vcpu_loaded);

	if (!v)
		return;
	trace_load(NULL, NULL);
	save_registers(v);
	clear(v);
	this_cpu(vcpu_loaded) = NULL;
}

/*
 * What this CPU caches of the guest's translations may be from an earlier stay; since then it has invalidated some of
 * them elsewhere.
 */
static __noinline void arrive(struct vcpu *v)
{
	uint32_t cpu = this_cpu(cpu_number);

	if (v->last_cpu != cpu) {
		vmcs_setup_host_cpu();
		vmx_flush_vpid(v->vpid);
		v->last_cpu = cpu;
	}
	if (v->vm->apic_page.v)
		apicv_load(v);
	else
		v->ready_cpu = cpu;
}

void vcpu_load(struct vcpu *v)
{
	if (this_cpu(vcpu_loaded) == v)
		return;
	if (this_cpu(vcpu_loaded))
		vcpu_put();
	make_current(v);
	if (v->ready_cpu != this_cpu(cpu_number))
		arrive(v);
	load_registers(v);
	trace_load(v->trace, v->asi);
	this_cpu(vcpu_loaded) = v;
}

struct vcpu *vcpu_in_use(void)
{
	struct vcpu *v = this_cpu(vcpu_loaded);

	return v && stack_current() == &v->stack ? v : NULL;
}

static __noinline void flush_ept(struct vm *vm)
{
	uint64_t gen = READ_ONCE(vm->ept_gen);

	vmx_flush_ept(vm->eptp);
	vm->ept_seen[this_cpu(cpu_number)] = gen;
}

void vcpu_sync_ept(const struct vcpu *v)
{
	if (unlikely(v->vm->ept_seen[this_cpu(cpu_number)] != READ_ONCE(v->vm->ept_gen)))
		flush_ept(v->vm);
}

static unsigned int order_of(size_t len)
{
	unsigned int order = 0;

	while (PAGE_SIZE << order < len)
		order++;
	return order;
}

/* A page for the CPU's own use, which no address space but the unrestricted needs to map. */
static void *alloc_cpu_page(hpa_t *hpa)
{
	void *page = page_zalloc(0, SENSITIVE, NULL);

	*hpa = page ? hva_to_hpa(page) : HPA_NONE;
	return page;
}

/* Its registers are a page for the CPU, but the guest's own: handlers read and write them restricted. */
static int alloc_lapic(struct vcpu *v, struct mem_owner *owner)
{
	v->lapic = vmalloc(sizeof(*v->lapic), LOCAL, owner);
	if (!v->lapic)
		return -ENOMEM;
	v->lapic->regs = page_zalloc(0, LOCAL, owner);
	if (!v->lapic->regs)
		return -ENOMEM;
	if (apicv_is_wanted(&v->vm->options))
		v->x2apic_msr_bitmap = vmcs_x2apic_msr_bitmap();
	v->lapic->service = v->vm->apic_page.v ? LAPIC_TRAPPED : LAPIC_SOFTWARE; /* vmcs_setup() */
	lapic_init(v);
	return 0;
}

static int alloc_parts(struct vcpu *v, struct mem_owner *owner)
{
	uint32_t revision = vmx_revision();
	void *vmcs = alloc_cpu_page(&v->vmcs), *bitmap = alloc_cpu_page(&v->msr_bitmap);
	char *stack = vmalloc(VCPU_STACK_SIZE, LOCAL, owner);

	if (stack)
		stack_init(&v->stack, stack + VCPU_STACK_SIZE);
	v->stats = vmalloc(sizeof(*v->stats), LOCAL, owner);
	v->xsave_area = page_zalloc(order_of(fpu_area_size()), LOCAL, owner);
	if (v->vm->options.apic && alloc_lapic(v, owner))
		return -ENOMEM;
	if (!vmcs || !bitmap || !stack || !v->stats || !v->xsave_area)
		return -ENOMEM;
	if (trace_add_vcpu(v))
		return -ENOMEM;
	memcpy(vmcs, &revision, sizeof(revision));
	stats_init(v->stats, SAMPLE_MS * tsc_khz());
	vmcs_setup_msr_bitmap(bitmap);
	fpu_init_area(v->xsave_area);
	return 0;
}

/* Who owns the vCPU's memory, and the domain that it runs in. */
static int choose_owner(const struct vm *vm, struct mem_owner **owner, struct asi **asi)
{
	int err;

	*owner = vm->owner;
	*asi = NULL;
	if (vm->options.domain == VM_DOMAIN_VM) {
		*asi = asi_get(vm->asi);
		return 0;
	}
	err = owner_create(vm->owner, owner);
	if (err)
		return err;
	err = owner_domain(*owner, ASI_GUEST_VCPU, &vm->options, asi);
	if (err)
		owner_destroy(*owner, NULL);
	return err;
}

static void put_owner(const struct vm *vm, struct mem_owner *owner, struct asi *asi)
{
	if (owner == vm->owner)
		asi_put(asi);
	else
		owner_destroy(owner, asi);
}

/* What the way into the guest and out of it touches by pointer; static data: scripts/check_critical. */
static void check_critical(const struct vcpu *v)
{
	const struct {
		const char *what;
		const void *start;
		size_t len;
	} parts[] = {
		{ "the vCPU", v, sizeof(*v) },
		{ "its stack", (char *)v->stack.top - VCPU_STACK_SIZE, VCPU_STACK_SIZE },
		{ "its statistics", v->stats, sizeof(*v->stats) },
		{ "its domain", v->asi, sizeof(*v->asi) },
		{ "the IDT", (void *)idt_base(), IDT_SIZE },
		{ "the GDT", (void *)gdt_base(), GDT_SIZE },
		{ "the TSS", (void *)gdt_tss_base(), TSS_SIZE },
		{ "per-CPU data", this_cpu_ptr(vcpu_loaded), sizeof(vcpu_loaded) },
	};

	for (unsigned int i = 0; v->asi && i < ARRAY_SIZE(parts); i++)
		if (parts[i].len)
			asi_require_mapped(v->asi, parts[i].start, parts[i].len, parts[i].what);
}

/* Its VMCS as it is for all CPUs. */
static void setup_vmcs(struct vcpu *v)
{
	vcpu_put();
	clear(v);
	make_current(v);
	vmcs_setup(v);
	if (v->state == VCPU_WAITS_FOR_SIPI)
		vmcs_init_guest();
	clear(v);
}

int vcpu_create(struct vm *vm, uint32_t id, struct vcpu **out)
{
	struct mem_owner *owner;
	struct asi *asi;
	struct vcpu *v;
	int err = choose_owner(vm, &owner, &asi);

	if (err)
		return err;
	v = vmalloc(sizeof(*v), LOCAL, owner);
	if (!v) {
		put_owner(vm, owner, asi);
		return -ENOMEM;
	}
	v->vm = vm;
	v->id = id;
	v->asi = asi;
	v->owner = owner;
	v->post = &vm->post[id];
	v->vpid = (uint16_t)(vm->owner->id * VCPUS_MAX + id);
	v->last_cpu = v->ready_cpu = VCPU_NO_CPU;
	v->state = id ? VCPU_WAITS_FOR_SIPI : VCPU_RUNNABLE;
	v->dormant = id;
	v->xcr0 = XCR0_X87;
	v->dr6 = DR6_FIXED;
	err = alloc_parts(v, owner);
	if (err) {
		vcpu_destroy(v);
		return err;
	}
	check_critical(v);
	setup_vmcs(v);
	*out = v;
	return 0;
}

void vcpu_destroy(struct vcpu *v)
{
	const struct vm *vm = v->vm;
	struct mem_owner *owner = v->owner;
	struct asi *asi = v->asi;

	/* Its VMCS has been cleared: no CPU holds parts of it that it may write back. */
	ASSERT(this_cpu(vcpu_loaded) != v);
	if (v->vmcs.v != HPA_NONE.v)
		page_free(hpa_to_direct(v->vmcs), 0);
	if (v->msr_bitmap.v != HPA_NONE.v)
		page_free(hpa_to_direct(v->msr_bitmap), 0);
	if (v->stack.top)
		vfree((char *)v->stack.top - VCPU_STACK_SIZE);
	if (v->xsave_area)
		page_free(v->xsave_area, order_of(fpu_area_size()));
	if (v->lapic && v->lapic->regs)
		page_free(v->lapic->regs, 0);
	vfree(v->lapic);
	vfree(v->stats);
	vfree(v->trace_ring);
	vfree(v);
	put_owner(vm, owner, asi);
}

void vcpu_set_multiboot_entry(struct vcpu *v, uint32_t entry, uint32_t info)
{
	vcpu_load(v);
	memset(v->regs, 0, sizeof(v->regs));
	v->regs[RAX] = MBI_ENTRY_EAX;
	v->regs[RBX] = info;
	vmcs_write(VMCS_GUEST_RIP, entry);
}
