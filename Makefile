# SPDX-License-Identifier: MIT
# Vestibule. "make help" lists the targets; the lists of sources are the table of contents.

B  := build
MACHINE ?= qemu-uefi
CC := gcc
LD := ld
HOSTCC := gcc
V ?= 0
Q := $(if $(filter 1,$(V)),,@)
DEBUG ?= 0

# Layers, left to right: each may include itself and what stands above it.
SRCS := \
	lib/string.c lib/fmt.c lib/parse.c lib/json.c lib/jsonlist.c lib/log.c lib/symbol.c lib/lineedit.c lib/panic.c \
	arch/x86/cpu.c arch/x86/cpusame.c arch/x86/topology.c arch/x86/cpus.c arch/x86/world.c arch/x86/trace.c arch/x86/random.c arch/x86/stack.c arch/x86/percpu.c arch/x86/gdt.c arch/x86/idt.c arch/x86/mcheck.c arch/x86/trap.c arch/x86/tlb.c \
	arch/x86/apic.c arch/x86/tsc.c arch/x86/tscsync.c arch/x86/fpu.c arch/x86/mitigation.c arch/x86/vmxctls.c arch/x86/vmx.c \
	mm/memmap.c mm/ptable.c mm/hostmap.c mm/metadata.c \
	mm/buddy.c mm/pageblock.c mm/pagecache.c mm/quarantine.c mm/pagealloc.c \
	mm/slab.c mm/slab_run.c mm/kmalloc.c mm/vmarea.c mm/vmalloc.c mm/percpu.c \
	asi/domain.c asi/map.c asi/switch.c asi/shootdown.c asi/stun.c asi/mitigate.c asi/fault.c asi/crossing.c asi/describe.c asi/window.c \
	asi/audit.c asi/audit_rules.c asi/surface.c asi/expose.c asi/secrets.c asi/secrets_search.c \
	drivers/uart16550.c drivers/console.c drivers/exitdev.c drivers/acpi.c drivers/ioapic.c \
	vmm/vmoptions.c vmm/multiboot.c vmm/image_place.c vmm/mbi.c vmm/bzimage.c vmm/loader.c vmm/loader_linux.c vmm/guestwalk.c vmm/guestmem.c vmm/guestram.c vmm/ept.c \
	vmm/vmcs.c vmm/owner.c vmm/vm.c vmm/vcpu.c vmm/vcpu_regs.c vmm/startup.c vmm/ready.c vmm/run.c vmm/strict.c vmm/audit.c vmm/audit_ept.c vmm/secrets.c vmm/idle.c vmm/runqueue.c vmm/schedule.c vmm/trace.c vmm/trace_switch.c \
	vmm/inject.c vmm/post.c vmm/timer.c vmm/decode.c vmm/lapic.c vmm/apicv.c vmm/lapic_ipi.c vmm/lapic_timer.c \
	vmm/dev/pic.c vmm/dev/pit.c vmm/dev/rtc.c vmm/dev/fwcfg.c vmm/dev/pci.c vmm/dev/ioapic.c vmm/dev/acpipm.c vmm/dev/virtqueue.c vmm/dev/virtio.c vmm/dev/virtio_blk.c vmm/dev/virtio_console.c vmm/acpi.c vmm/platform.c vmm/platform_create.c vmm/com1.c vmm/typed.c vmm/ports.c \
	vmm/linear.c vmm/exit_cpuid.c vmm/exit_msr.c vmm/exit_io.c vmm/exit_cr.c vmm/exit_insn.c \
	vmm/exit_hypercall.c vmm/exit_event.c vmm/exit_ept.c vmm/stats.c vmm/report.c vmm/report_mem.c vmm/report_crossing.c vmm/report_trace.c vmm/report_details.c \
	boot/bootinfo.c boot/options.c boot/teststack.c boot/crash.c boot/selftest_stack.c boot/selftest_audit.c boot/selftest_secrets.c boot/selftest_cpus.c boot/races.c boot/selftest.c \
	boot/torture.c boot/torture_scenarios.c boot/measure.c boot/ap.c boot/smp.c boot/guests.c boot/monitor.c boot/monitor_commands.c boot/monitor_vms.c boot/monitor_trace.c boot/monitor_map.c boot/main.c
ASMS := boot/start.S boot/ap.S arch/x86/stack.S arch/x86/entry.S arch/x86/vmx_run.S arch/x86/flush.S asi/secrets_stack.S boot/torture.S

# -mgeneral-regs-only: guests' FPU state stays in the registers while handlers run.
# -fno-jump-tables: no indirect jump in a program about speculation.
# -mstack-protector-guard: the canary is at %fs:0 (arch/stack.h).
CFLAGS := -std=gnu11 -O2 -g -ffreestanding -fno-omit-frame-pointer -mno-red-zone -mgeneral-regs-only \
	-mcmodel=kernel -fno-pic -fno-pie -fno-jump-tables -fno-common -fstack-protector-strong \
	-mstack-protector-guard=tls -mstack-protector-guard-reg=fs -mstack-protector-guard-offset=0 \
	-fno-strict-aliasing -fno-asynchronous-unwind-tables -fcf-protection=none -DDEBUG=$(DEBUG) \
	-Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror \
	-Iarch/x86/include -I. -MMD -MP
LDFLAGS := -static -nostdlib -z max-page-size=4096 --no-warn-rwx-segments --build-id=none

OBJS := $(SRCS:%=$B/obj/%.o) $(ASMS:%=$B/obj/%.o)
IMAGE := $B/vestibule.elf

.PHONY: all run test linux linux-all attack bench bench-kvm bench-linux check model unittests tsan fuzz mutants coverage bench-mm gdb clang format clean deps help
.DELETE_ON_ERROR:

all: $(IMAGE) $B/vestibule.iso guests ## the image, its ISO and the test guests

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile

deps: ## installs the Debian packages that are missing
	$Qscripts/deps

run: deps ## boots the demo guests and prints the table of exit rates
	$Q$(MAKE) --no-print-directory all
	$Qscripts/run --cmdline detail=on $(DEMO)
	@echo 'Pictures of it: scripts/report build/run.log'

DEMO := --guest build/guests/hello.elf,mem=32:world --guest build/guests/exits.elf,mem=32:n=2000 \
	--guest build/guests/ept-touch.elf,mem=32 --guest build/guests/xsave.elf,mem=32

test: deps ## unit tests, checks, the model, guests in Bochs, UEFI in QEMU
	$Q$(MAKE) --no-print-directory all unittests clang $B/peer/init
	$Q$(MAKE) --no-print-directory B=build/debug DEBUG=1 build/debug/vestibule.elf
	$Qscripts/test

bench: deps ## exit costs in every mode, side by side, with targets (BASE=DIR: compared with an earlier run)
	$Q$(MAKE) --no-print-directory all
	$Qscripts/bench $(DEMO) $(if $(BASE),--base $(BASE))

bench-kvm: deps ## KVM beside ours: the same guest on Debian's kernel, same machine (ARGS="--count N")
	$Q$(MAKE) --no-print-directory all $B/peer/init
	$Qscripts/bench-kvm $(ARGS)

# A program for Linux: with all that it needs in itself, since nothing else is there.
$B/peer/init: $(wildcard scripts/peer/*.[ch]) Makefile
	@mkdir -p $(@D)
	@echo "  PEER    $@"
	$Q$(HOSTCC) -std=gnu11 -O2 -static -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror -o $@ $(filter %.c,$^)

bench-linux: deps ## Linux from its entry to userspace: as a guest beside the bare machine, with a goal
	$Q$(MAKE) --no-print-directory all linux
	$Qscripts/bench-linux

check: $(IMAGE) ## layers, headers, sizes, format, image
	$Qscripts/test --only '^check'

linux: deps ## Debian's kernel, an initrd and a disk for it, in build/linux/ (guests to run by scripts/run)
	$Qscripts/linux

linux-all: deps ## Linux in every mode: without ASI, a domain for each vCPU, two vCPUs, two VMs, strict (an hour)
	$Q$(MAKE) --no-print-directory all linux
	$Qscripts/test --long --only '^linux'

attack: all ## four guests that cause ten million exits and as many accesses to devices at random, with audits (N=of each SEED=n)
	$Qscripts/attack --exits $(N) --seed $(SEED)
N := 10000000
SEED := 1

model: deps ## searches the Spin model of the ASI state machine, then plants its faults
	$Qscripts/model

gdb: deps all ## boots under QEMU (UEFI, no VMX) and starts gdb there (MACHINE=bochs: Bochs and its own debugger)
ifeq ($(MACHINE),bochs)
	$Qscripts/run --machine bochs --gdb $(DEMO)
else
	$Qscripts/gdb/run --machine $(MACHINE)
endif
# The image: linked twice, so that the symbol table of the first link stands behind everything else
# in the second and moves nothing.
$(IMAGE): $(OBJS) $B/linker.ld scripts/mksyms
	@echo "  LINK    $@"
	$Qscripts/mksyms - $B/symbols0.S && $(CC) -c -o $B/symbols0.o $B/symbols0.S
	$Q$(LD) $(LDFLAGS) -T $B/linker.ld -o $B/pass1.elf $(OBJS) $B/symbols0.o
	$Qscripts/mksyms $B/pass1.elf $B/symbols1.S && $(CC) -c -o $B/symbols1.o $B/symbols1.S
	$Q$(LD) $(LDFLAGS) -T $B/linker.ld -o $@ -Map $B/vestibule.map $(OBJS) $B/symbols1.o
	$Qscripts/check_elf $@ asi/nonsensitive.list && scripts/check_critical $@ || { mv $@ $@.refused; false; }

$B/linker.ld: linker.ld arch/x86/include/arch/layout.h
	@mkdir -p $(@D)
	$Q$(CC) -E -P -x c -D__ASSEMBLER__ -Iarch/x86/include $< -o $@

$B/vestibule.iso: $(IMAGE) scripts/mkiso
	@echo "  ISO     $@"
	$Qscripts/mkiso $< $@

$B/obj/%.c.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$Q$(CC) $(CFLAGS) -c -o $@ $<

$B/obj/%.S.o: %.S Makefile
	@mkdir -p $(@D)
	@echo "  AS      $<"
	$Q$(CC) -Iarch/x86/include -I. -MMD -MP -c -o $@ $<

# The same sources through clang: warnings only, nothing is linked.
clang: $(SRCS:%=$B/clang/%.o) ## compiles the image's sources with clang too

$B/clang/%.c.o: %.c Makefile
	@mkdir -p $(@D)
	$Qclang $(CFLAGS) -c -o $@ $<

include guest-tests/guests.mk
include unittests/tests.mk

HOST_CFLAGS := -std=gnu11 -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -Wall -Wextra \
	-Werror -Iunittests/fake -Iarch/x86/include -I.

# A program for the host: title, compiler and flags, sources, libraries. A compiler that is given several
# sources would write the dependencies of the last one only; and $^ has what these include besides.
define host_program
@mkdir -p $(@D)
@printf "  %-7s %s\n" $1 $@
$Q{ $2 -MM -MP -MT $@ $(sort $3) && echo "$(sort $3):"; } >$@.d
$Q$2 -o $@ $(sort $3) $4
endef

unittests: $(UNIT_TESTS:%=$B/unittests/test_%) $(THREAD_TESTS:%=$B/unittests/test_thread_%) $B/unittests/bench_mm ## the host unit tests (cmocka, ASan, UBSan)

define unit_test
$B/unittests/test_$1: unittests/test_$1.c $$(test_$1_SRCS) Makefile unittests/tests.mk
	$$(call host_program,HOSTCC,$$(HOSTCC) $$(HOST_CFLAGS) $$(test_$1_CFLAGS),unittests/test_$1.c $$(test_$1_SRCS),-lcmocka $$(test_$1_LIBS))
endef
$(foreach t,$(UNIT_TESTS),$(eval $(call unit_test,$t)))

# unittests/host: real locks, whose order is checked, and a thread for each CPU, for what unittests/fake has no answer to.
THREAD_CFLAGS := -std=gnu11 -g -O1 -Wall -Wextra -Werror -Iunittests/host -Iunittests/fake -Iarch/x86/include -I.

define thread_test
$B/unittests/test_thread_$1: unittests/thread_$1.c $$(thread_$1_SRCS) Makefile unittests/tests.mk
	$$(call host_program,HOSTCC,$$(HOSTCC) $$(THREAD_CFLAGS) -fsanitize=thread -DDEBUG=1 $$(thread_$1_CFLAGS),unittests/thread_$1.c $$(thread_$1_SRCS),-lpthread)
endef
$(foreach t,$(THREAD_TESTS),$(eval $(call thread_test,$t)))

tsan: $(THREAD_TESTS:%=$B/unittests/test_thread_%) ## allocators, ASI, scheduler, posts and the stopped world on several CPUs under ThreadSanitizer (SEED=n SECONDS=n COUNT=n)
	$Qfor t in $^; do echo "  TSAN    $$t"; $$t || exit 1; done

bench-mm: deps ## the allocators beside glibc, jemalloc and mimalloc, with targets
	$Q$(MAKE) --no-print-directory $B/unittests/bench_mm
	$Qscripts/bench-mm

# At a fixed address, as the image: so that a variable of this CPU's is one instruction in both.
$B/unittests/bench_mm: unittests/bench_mm.c $(bench_mm_SRCS) Makefile unittests/tests.mk
	$(call host_program,HOSTCC,$(HOSTCC) $(filter-out -O1,$(THREAD_CFLAGS)) -O2 -fno-pie -no-pie,unittests/bench_mm.c $(bench_mm_SRCS))

mutants: ## plants faults in copies of the sources, each to be seen by a unit test
	$Qscripts/mutants

coverage: ## lines and branches of mm/ that the unit tests take
	$Qscripts/coverage

# Finds stay in build/fuzz/; the corpora grow there too.
FUZZERS := fuzz_mm fuzz_devices
fuzz: deps ## libFuzzer on all allocators and restricted tables, and on guests' devices (FUZZ_SECONDS=n each)
	$Q$(MAKE) --no-print-directory $(FUZZERS:%=$B/unittests/%)
	$Qfor f in $(FUZZERS); do mkdir -p build/fuzz/$$f && $B/unittests/$$f -max_total_time=$(FUZZ_SECONDS) -max_len=512 -timeout=20 \
		-verbosity=0 -print_final_stats=1 -artifact_prefix=build/fuzz/ build/fuzz/$$f || exit 1; done

FUZZ_SECONDS ?= 30
FUZZ_CFLAGS := -std=gnu11 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -Wall -Wextra \
	-Werror -Iunittests/fake -Iarch/x86/include -I.

define fuzzer
$B/unittests/$1: unittests/$1.c $$($1_SRCS) Makefile unittests/tests.mk
	$$(call host_program,CLANG,clang $$(FUZZ_CFLAGS),unittests/$1.c $$($1_SRCS))
endef
$(foreach f,$(FUZZERS),$(eval $(call fuzzer,$f)))

format: ## clang-format over the tree
	$Qclang-format -i $$(git ls-files '*.c' '*.h')

clean: ## removes build/
	rm -rf $B

-include $(OBJS:.o=.d) $(wildcard $B/unittests/*.d)
