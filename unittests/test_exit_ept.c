/* SPDX-License-Identifier: MIT */
/* vmm/exit_ept.c: RAM is mapped, wild accesses stop the VM, accesses to nothing are executed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "arch/regs.h"
#include "arch/vmx.h"
#include "lib/errno.h"
#include "unittests/fake/vmx.h"
#include "vmm/decode.h"
#include "vmm/ept.h"
#include "vmm/exit.h"
#include "vmm/guestmem.h"
#include "vmm/lapic.h"
#include "vmm/report.h"

#define V	 (&fake_vcpu)
#define CODE	 0x1000 /* the guest's instruction */
#define RAM_SIZE 0x3000
#define NOTHING	 0xfee00000 /* no RAM */
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static uint8_t ram[RAM_SIZE];
static unsigned int nr_skipped;
static int map_result;

void report_bytes(struct vcpu *v, const uint8_t *bytes, unsigned int len)
{
	(void)v, (void)bytes, (void)len;
}

int ept_map_ram(struct vm *vm, gpa_t gpa)
{
	(void)vm, (void)gpa;
	return map_result;
}

struct pt_walk ptable_walk(const struct ptable *pt, uint64_t va)
{
	(void)pt, (void)va;
	return (struct pt_walk){ .level = 1, .entry = 0x123 };
}

int guestmem_translate(struct vcpu *v, gva_t gva, uint32_t access, gpa_t *gpa, uint32_t *error)
{
	(void)v, (void)access;
	*gpa = GPA(gva.v);
	*error = 0;
	return 0;
}

int guestmem_read(const struct vm *vm, gpa_t gpa, void *buf, size_t len)
{
	(void)vm;
	if (gpa.v + len > RAM_SIZE)
		return -EFAULT;
	memcpy(buf, ram + gpa.v, len);
	return 0;
}

int guestmem_write(const struct vm *vm, gpa_t gpa, const void *buf, size_t len)
{
	(void)vm;
	if (gpa.v + len > RAM_SIZE)
		return -EFAULT;
	memcpy(ram + gpa.v, buf, len);
	return 0;
}

void vcpu_skip_bytes(struct vcpu *v, unsigned int len)
{
	(void)v;
	nr_skipped = len;
}

static int reset(void **state)
{
	(void)state;
	fake_vcpu_reset();
	memset(ram, 0, sizeof(ram));
	nr_skipped = 0;
	map_result = -EFAULT;
	vmcs_write(VMCS_GUEST_RIP, CODE);
	vmcs_write(VMCS_GUEST_PHYS_ADDR, NOTHING);
	vmcs_write(VMCS_EXIT_QUAL, EPT_QUAL_READ | EPT_QUAL_LINEAR | EPT_QUAL_TRANSLATED);
	return 0;
}

static void test_ram(void **state)
{
	(void)state;
	map_result = 0;
	assert_int_equal(exit_ept_violation(V), RESUME);
	assert_int_equal(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY), 0);
	vmcs_write(VMCS_EXIT_QUAL, EPT_QUAL_NMI_UNBLOCK);
	V->events.reinject_info = INTR_INFO_VALID;
	assert_int_equal(exit_ept_violation(V), RESUME);
	assert_int_equal(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY), 0);
	V->events.reinject_info = 0;
	assert_int_equal(exit_ept_violation(V), RESUME);
	assert_int_equal(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY), BLOCKED_BY_NMI);
	assert_int_equal(fake_nr_unserved, 0);
}

static void test_stops(void **state)
{
	static const struct {
		uint64_t qual;
		uint32_t vectoring;
		int map;
		const char *reason;
	} cases[] = {
		{ 0x181, 0, -ENOMEM, "no-memory" },
		{ 0x184, 0, -EFAULT, "wild-fetch" },
		{ 0x081, 0, -EFAULT, "wild-page-table" },
		{ 0x084, 0, -EFAULT, "wild-page-table" },
		{ 0x001, 0, -EFAULT, "wild-page-table" }, /* PDPTEs: no linear address */
		{ 0x182, 0x80000030, -EFAULT, "wild-delivery" },
		{ 0x181, 0, -EFAULT, "no-decode" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		reset(state);
		memcpy(ram + CODE, "\x0f\x0b", 2); /* UD2 */
		map_result = cases[i].map;
		V->events.reinject_info = cases[i].vectoring;
		vmcs_write(VMCS_EXIT_QUAL, cases[i].qual);
		assert_int_equal(exit_ept_violation(V), STOP_VM);
		assert_int_equal(fake_vm.verdict, VERDICT_STOPPED);
		assert_string_equal(fake_vm.reason, cases[i].reason);
	}
}

/* One instruction on [rdi]; RAX and RCX before it, RAX and the flags after it. */
static void test_operands(void **state)
{
	static const uint64_t rax = 0x1122334455667788, flags = 0x8d5; /* CF PF AF ZF SF OF */
	static const struct {
		const char *bytes;
		unsigned int len;
		uint64_t rax, flags; /* flags 0: none changes */
	} cases[] = {
		{ "\x8b\x07", 2, 0xffffffff, 0 },	      /* mov eax, [rdi] */
		{ "\x48\x8b\x07", 3, ~0UL, 0 },		      /* mov rax, [rdi] */
		{ "\x66\x8b\x07", 3, 0x112233445566ffff, 0 }, /* mov ax, [rdi] */
		{ "\x8a\x07", 2, 0x11223344556677ff, 0 },     /* mov al, [rdi] */
		{ "\x8a\x27", 2, 0x112233445566ff88, 0 },     /* mov ah, [rdi] */
		{ "\x89\x07", 2, 0x1122334455667788, 0 },     /* mov [rdi], eax */
		{ "\xc7\x07\x01\x02\x03\x04", 6, 0x1122334455667788, 0 },
		{ "\x0f\xb6\x07", 3, 0xff, 0 },		     /* movzx eax, byte [rdi] */
		{ "\x48\x0f\xb7\x07", 4, 0xffff, 0 },	     /* movzx rax, word [rdi] */
		{ "\x0f\xbe\x07", 3, 0xffffffff, 0 },	     /* movsx eax, byte [rdi] */
		{ "\x48\x63\x07", 3, ~0UL, 0 },		     /* movsxd rax, [rdi] */
		{ "\x87\x07", 2, 0xffffffff, 0 },	     /* xchg [rdi], eax */
		{ "\x23\x07", 2, 0x55667788, 0x4 },	     /* and eax, [rdi] */
		{ "\x0b\x07", 2, 0xffffffff, 0x84 },	     /* or eax, [rdi] */
		{ "\x03\x07", 2, 0x55667787, 0x15 },	     /* add eax, [rdi]: CF PF AF */
		{ "\x3b\x07", 2, 0x1122334455667788, 0x11 }, /* cmp eax, [rdi]: CF AF */
		{ "\x85\x07", 2, 0x1122334455667788, 0x4 },  /* test [rdi], eax: PF */
		{ "\xf7\x07\x00\x00\x00\x00", 6, 0x1122334455667788, 0x44 }, /* test: ZF PF */
		{ "\x83\x0f\x00", 3, 0x1122334455667788, 0x84 }, /* or dword [rdi], 0: SF PF */
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		reset(state);
		memcpy(ram + CODE, cases[i].bytes, cases[i].len);
		V->regs[RAX] = rax;
		V->regs[RDI] = NOTHING;
		vmcs_write(VMCS_GUEST_RFLAGS, 0x202 | 0x800);
		assert_int_equal(exit_ept_violation(V), RESUME);
		assert_int_equal(V->regs[RAX], cases[i].rax);
		assert_int_equal(nr_skipped, cases[i].len);
		if (cases[i].flags) {
			/* AF is undefined behind AND, OR and TEST. */
			uint64_t care =
				strchr("\x03\x3b", cases[i].bytes[0]) ? flags : flags & ~0x10UL;

			assert_int_equal(vmcs_read(VMCS_GUEST_RFLAGS) & care, cases[i].flags);
		} else {
			assert_int_equal(vmcs_read(VMCS_GUEST_RFLAGS), 0xa02);
		}
		assert_int_equal(fake_nr_unserved, 1);
	}
}

/* RSP as operand is in the VMCS. */
static void test_rsp(void **state)
{
	(void)state;
	memcpy(ram + CODE, "\x48\x8b\x27", 3); /* mov rsp, [rdi] */
	assert_int_equal(exit_ept_violation(V), RESUME);
	assert_int_equal(vmcs_read(VMCS_GUEST_RSP), ~0UL);
}

/* One step an exit; the last one moves RIP. */
static void test_rep_stos(void **state)
{
	(void)state;
	memcpy(ram + CODE, "\xf3\xab", 2);
	V->regs[RDI] = NOTHING;
	V->regs[RCX] = 3;
	for (uint64_t left = 2; left; left--) {
		assert_int_equal(exit_ept_violation(V), RESUME);
		assert_int_equal(V->regs[RCX], left);
		assert_int_equal(nr_skipped, 0);
	}
	assert_int_equal(exit_ept_violation(V), RESUME);
	assert_int_equal(nr_skipped, 2);
	assert_int_equal(V->regs[RDI], NOTHING + 12);
}

static void test_movs_and_lods(void **state)
{
	(void)state;
	memcpy(ram + CODE, "\xa5", 1);
	V->regs[RSI] = NOTHING;
	V->regs[RDI] = 0x100;
	V->regs[RCX] = 9;
	assert_int_equal(exit_ept_violation(V), RESUME);
	assert_memory_equal(ram + 0xff, "\x00\xff\xff\xff\xff\x00", 6);
	assert_int_equal(V->regs[RSI], NOTHING + 4);
	assert_int_equal(V->regs[RDI], 0x104);
	assert_int_equal(V->regs[RCX], 9);
	assert_int_equal(nr_skipped, 1);

	memcpy(ram + CODE, "\xac", 1);
	vmcs_write(VMCS_GUEST_RFLAGS, RFLAGS_DF);
	assert_int_equal(exit_ept_violation(V), RESUME);
	assert_int_equal(V->regs[RAX], 0xff);
	assert_int_equal(V->regs[RSI], NOTHING + 3);
}

/* 32-bit code with a segment base; the instruction ends at the end of RAM. */
static void test_protected_mode(void **state)
{
	(void)state;
	vmcs_write(VMCS_GUEST_EFER, 0);
	vmcs_write(VMCS_GUEST_CS_AR, 0xc09b);
	vmcs_write(VMCS_GUEST_CS_BASE, 0xffff0000);
	vmcs_write(VMCS_GUEST_RIP, 0x10000 + RAM_SIZE - 5);    /* wraps to the last bytes */
	memcpy(ram + RAM_SIZE - 5, "\xa1\x00\x00\xe0\xfe", 5); /* mov eax, [0xfee00000] */
	assert_int_equal(exit_ept_violation(V), RESUME);
	assert_int_equal(V->regs[RAX], 0xffffffff);
	assert_int_equal(nr_skipped, 5);
}

/* The instruction at CODE, executed on register @reg of the local APIC. */
static void execute(const char *bytes, size_t len, uint64_t reg, bool write)
{
	memcpy(ram + CODE, bytes, len);
	V->regs[RBX] = NOTHING + 16 * reg;
	vmcs_write(VMCS_GUEST_PHYS_ADDR, NOTHING + 16 * reg);
	vmcs_write(VMCS_EXIT_QUAL, EPT_QUAL_LINEAR | EPT_QUAL_TRANSLATED |
					   (write ? EPT_QUAL_WRITE : EPT_QUAL_READ));
	nr_skipped = 0;
	assert_int_equal(exit_ept_violation(V), RESUME);
	assert_int_equal(nr_skipped, len);
	assert_int_equal(fake_nr_unserved, 0);
}

/* Each kind of instruction reads and writes a device's register as it would RAM. */
static void test_lapic_page(void **state)
{
	static uint32_t regs[LAPIC_REGS_NR][4];
	static struct lapic lapic = { .regs = regs };
	const uint32_t *tpr = regs[LAPIC_TPR];

	(void)state;
	V->lapic = &lapic;
	lapic_init(V);
	V->regs[RAX] = 0x35;
	execute("\x89\x03", 2, LAPIC_TPR, true); /* mov [rbx], eax */
	assert_int_equal(*tpr, 0x35);
	execute("\xc7\x03\x41\0\0\0", 6, LAPIC_TPR, true); /* mov dword [rbx], 0x41 */
	assert_int_equal(*tpr, 0x41);
	execute("\x8b\x0b", 2, LAPIC_TPR, false); /* mov ecx, [rbx] */
	assert_int_equal(V->regs[RCX], 0x41);
	execute("\x0f\xb6\x0b", 3, LAPIC_VERSION, false); /* movzx ecx, byte [rbx] */
	assert_int_equal(V->regs[RCX], 0x14);
	execute("\x0f\xbe\x0b", 3, LAPIC_SVR, false); /* movsx ecx, byte [rbx] */
	assert_int_equal(V->regs[RCX], 0xffffffff);
	V->regs[RCX] = 0x11;
	execute("\x87\x0b", 2, LAPIC_TPR, true); /* xchg [rbx], ecx */
	assert_int_equal(V->regs[RCX], 0x41);
	assert_int_equal(*tpr, 0x11);
	execute("\x09\x03", 2, LAPIC_TPR, true); /* or [rbx], eax */
	assert_int_equal(*tpr, 0x35);
	execute("\x39\x03", 2, LAPIC_TPR, false); /* cmp [rbx], eax */
	assert_true(vmcs_read(VMCS_GUEST_RFLAGS) & 0x40);
	assert_int_equal(*tpr, 0x35);
	V->regs[RAX] = 0x22;
	V->regs[RDI] = NOTHING + 16 * LAPIC_TPR;
	execute("\xab", 1, LAPIC_TPR, true); /* stosd */
	assert_int_equal(*tpr, 0x22);
	V->regs[RSI] = NOTHING + 16 * LAPIC_VERSION;
	execute("\xad", 1, LAPIC_VERSION, false); /* lodsd */
	assert_int_equal(V->regs[RAX], 0x50014);
	V->regs[RSI] = NOTHING + 16 * LAPIC_VERSION;
	V->regs[RDI] = 0x2000;
	execute("\xa5", 1, LAPIC_VERSION, false); /* movsd, from the APIC */
	assert_memory_equal(ram + 0x2000, "\x14\0\x05", 4);
	V->regs[RSI] = 0x2000;
	V->regs[RDI] = NOTHING + 16 * LAPIC_TPR;
	execute("\xa5", 1, LAPIC_TPR, true); /* and to it */
	assert_int_equal(*tpr, 0x14);
}

/* The same by an APIC access, which has no address but an offset in the page; and what a later write replaces is noted. */
static void test_apic_access(void **state)
{
	static const struct {
		uint64_t qual;
		const char *reason; /* NULL: it is served */
	} cases[] = {
		{ 0x0080, NULL },
		{ 0x1080, NULL },
		{ 0x2080, "wild-fetch" },
		{ 0x3080, "wild-delivery" },
		{ 0xa080, "wild-delivery" },
		{ 0xf080, "wild-page-table" },
		{ 0x4080, "wild-page-table" },
	};
	static uint32_t regs[LAPIC_REGS_NR][4];
	static struct lapic lapic = { .regs = regs };

	for (size_t i = 0; i < COUNT(cases); i++) {
		reset(state);
		V->lapic = &lapic;
		lapic_init(V);
		lapic.service = i % 2 ? LAPIC_XAPIC : LAPIC_TRAPPED;
		memcpy(ram + CODE, "\x87\x0b", 2); /* xchg [rbx], ecx */
		V->regs[RCX] = 0x11;
		V->regs[RBX] = NOTHING + 0x80;
		vmcs_write(VMCS_GUEST_PHYS_ADDR, 0x2000); /* none of this exit's */
		vmcs_write(VMCS_EXIT_QUAL, cases[i].qual);
		assert_int_equal(exit_apic_access(V), cases[i].reason ? STOP_VM : RESUME);
		lapic.service = LAPIC_SOFTWARE;
		assert_int_equal(nr_skipped, cases[i].reason ? 0 : 2);
		assert_int_equal(regs[LAPIC_TPR][0], cases[i].reason ? 0 : 0x11);
		if (cases[i].reason)
			assert_string_equal(fake_vm.reason, cases[i].reason);
		else
			assert_int_equal(lapic.kept[LAPIC_TPR], i % 2 ? 0x11 : 0);
		assert_int_equal(fake_nr_unserved, 0);
	}
}

/* The I/O APIC's page, by the same instructions; and RAM is not asked for. */
static void test_ioapic_page(void **state)
{
	(void)state;
	fake_vm.platform.apic = true;
	ioapic_init(&fake_vm.platform.ioapic);
	map_result = 0;
	V->regs[RAX] = 1;
	memcpy(ram + CODE, "\x89\x03", 2); /* mov [rbx], eax */
	vmcs_write(VMCS_GUEST_PHYS_ADDR, IOAPIC_PAGE);
	vmcs_write(VMCS_EXIT_QUAL, EPT_QUAL_LINEAR | EPT_QUAL_TRANSLATED | EPT_QUAL_WRITE);
	assert_int_equal(exit_ept_violation(V), RESUME);
	assert_int_equal(nr_skipped, 2);
	memcpy(ram + CODE, "\x8b\x4b\x10", 3); /* mov ecx, [rbx + 0x10] */
	vmcs_write(VMCS_GUEST_PHYS_ADDR, IOAPIC_PAGE + 0x10);
	vmcs_write(VMCS_EXIT_QUAL, EPT_QUAL_LINEAR | EPT_QUAL_TRANSLATED | EPT_QUAL_READ);
	assert_int_equal(exit_ept_violation(V), RESUME);
	assert_int_equal(nr_skipped, 3);
	assert_int_equal(V->regs[RCX], 0x170011);
	assert_int_equal(fake_nr_unserved, 0);
	fake_vm.platform.apic = false;
	map_result = -EFAULT;
	assert_int_equal(exit_ept_violation(V), RESUME);
	assert_int_equal(V->regs[RCX], 0xffffffff);
	assert_int_equal(fake_nr_unserved, 1);
}

static void test_misconfig_panics(void **state)
{
	(void)state;
	expect_assert_failure((void)exit_ept_misconfig(V));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_ram, reset),
		cmocka_unit_test(test_stops),
		cmocka_unit_test(test_operands),
		cmocka_unit_test_setup(test_rsp, reset),
		cmocka_unit_test_setup(test_rep_stos, reset),
		cmocka_unit_test_setup(test_movs_and_lods, reset),
		cmocka_unit_test_setup(test_protected_mode, reset),
		cmocka_unit_test_setup(test_lapic_page, reset),
		cmocka_unit_test_setup(test_apic_access, reset),
		cmocka_unit_test_setup(test_ioapic_page, reset),
		cmocka_unit_test_setup(test_misconfig_panics, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
