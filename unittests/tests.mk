
UNIT_TESTS += image
test_image_SRCS := vmm/multiboot.c vmm/image_place.c vmm/mbi.c lib/fmt.c

UNIT_TESTS += image_place
test_image_place_SRCS := vmm/image_place.c vmm/mbi.c lib/fmt.c

UNIT_TESTS += decode
test_decode_SRCS := vmm/decode.c

UNIT_TESTS += decode_capstone
test_decode_capstone_SRCS := vmm/decode.c
test_decode_capstone_LIBS := -lcapstone

UNIT_TESTS += string
test_string_SRCS :=

UNIT_TESTS += fmt
test_fmt_SRCS := lib/fmt.c lib/log.c lib/json.c lib/jsonlist.c

UNIT_TESTS += parse
test_parse_SRCS := lib/parse.c

UNIT_TESTS += lineedit
test_lineedit_SRCS := lib/lineedit.c lib/fmt.c

UNIT_TESTS += console
test_console_SRCS := drivers/console.c lib/parse.c unittests/fake/cpu.c

UNIT_TESTS += monitor
test_monitor_SRCS := boot/monitor.c boot/monitor_commands.c lib/lineedit.c lib/parse.c lib/json.c lib/log.c lib/fmt.c unittests/fake/console.c unittests/fake/cpu.c

UNIT_TESTS += options
test_options_SRCS := boot/options.c vmm/vmoptions.c lib/parse.c lib/fmt.c

# lib/panic.c and lib/string.c are included by the tests of symbol and string themselves.
UNIT_TESTS += symbol
test_symbol_SRCS := lib/symbol.c lib/json.c lib/log.c lib/fmt.c

UNIT_TESTS += bootinfo
test_bootinfo_SRCS := boot/bootinfo.c

UNIT_TESTS += acpi
test_acpi_SRCS := drivers/acpi.c lib/log.c lib/fmt.c

# mm/memmap.c and mm/vmalloc.c are included by their tests.
UNIT_TESTS += memmap
test_memmap_SRCS := unittests/fake/cpu.c

UNIT_TESTS += buddy
# The page allocator: whoever allocates needs all of it.
BUDDY_SRCS := arch/x86/trace.c mm/buddy.c mm/pageblock.c mm/pagecache.c mm/quarantine.c mm/pagealloc.c

test_buddy_SRCS := $(BUDDY_SRCS) unittests/fake/cpu.c unittests/fake/ram.c unittests/fake/pageblock.c

UNIT_TESTS += buddy_pools
test_buddy_pools_SRCS := $(test_buddy_SRCS)

UNIT_TESTS += buddy_walk
test_buddy_walk_SRCS := $(test_buddy_SRCS)

UNIT_TESTS += buddy_large
test_buddy_large_SRCS := $(test_buddy_SRCS)
test_buddy_large_CFLAGS := -DFAKE_RAM_SIZE=0x80000000000

UNIT_TESTS += pcp
test_pcp_SRCS := $(test_buddy_SRCS)
test_pcp_LIBS := -pthread

UNIT_TESTS += pcp_owner
test_pcp_owner_SRCS := $(test_buddy_SRCS)
test_pcp_owner_LIBS := -pthread

UNIT_TESTS += quarantine
test_quarantine_SRCS := $(test_buddy_SRCS)

UNIT_TESTS += trace
test_trace_SRCS := arch/x86/trace.c unittests/fake/cpu.c

UNIT_TESTS += slab
test_slab_SRCS := mm/slab.c mm/slab_run.c mm/memmap.c $(test_buddy_SRCS)

UNIT_TESTS += vmalloc
test_vmalloc_SRCS := mm/vmarea.c unittests/fake/hostmap.c $(test_buddy_SRCS)

# Exit handlers, on the fake VMCS of unittests/fake/vmx.c.
DEVICE_SRCS := vmm/dev/pic.c vmm/dev/pit.c vmm/dev/rtc.c vmm/dev/fwcfg.c vmm/dev/pci.c vmm/dev/ioapic.c vmm/dev/acpipm.c
LAPIC_SRCS := vmm/lapic.c vmm/apicv.c vmm/lapic_ipi.c vmm/lapic_timer.c vmm/timer.c vmm/post.c vmm/startup.c vmm/platform.c $(DEVICE_SRCS)
VIRTIO_SRCS := vmm/dev/virtqueue.c vmm/dev/virtio.c vmm/dev/virtio_blk.c vmm/dev/virtio_console.c
PORT_SRCS := vmm/ports.c vmm/com1.c vmm/typed.c $(VIRTIO_SRCS) unittests/fake/console.c lib/log.c lib/fmt.c
FAKE_VCPU_SRCS := unittests/fake/vmx.c vmm/vcpu_regs.c unittests/fake/cpu.c vmm/inject.c vmm/exit_event.c $(LAPIC_SRCS)

UNIT_TESTS += inject
test_inject_SRCS := unittests/fake/vmx.c unittests/fake/cpu.c vmm/inject.c $(LAPIC_SRCS)

UNIT_TESTS += lapic
test_lapic_SRCS := unittests/fake/vmx.c unittests/fake/cpu.c vmm/inject.c $(LAPIC_SRCS)

UNIT_TESTS += apicv
test_apicv_SRCS := unittests/fake/vmx.c unittests/fake/cpu.c vmm/inject.c vmm/exit_event.c vmm/vmcs.c $(filter-out vmm/platform.c vmm/dev/%,$(LAPIC_SRCS))

UNIT_TESTS += lapic_timer
test_lapic_timer_SRCS := $(test_lapic_SRCS)

UNIT_TESTS += stats
test_stats_SRCS := vmm/stats.c

UNIT_TESTS += exit_msr
test_exit_msr_SRCS := $(FAKE_VCPU_SRCS) vmm/exit_msr.c

UNIT_TESTS += exit_cpuid
test_exit_cpuid_SRCS := $(FAKE_VCPU_SRCS) vmm/exit_cpuid.c lib/log.c lib/fmt.c

UNIT_TESTS += exit_cr
test_exit_cr_SRCS := $(FAKE_VCPU_SRCS) vmm/exit_cr.c

UNIT_TESTS += exit_io
test_exit_io_SRCS := $(FAKE_VCPU_SRCS) vmm/exit_io.c vmm/linear.c $(PORT_SRCS)

UNIT_TESTS += exit_ept
test_exit_ept_SRCS := $(FAKE_VCPU_SRCS) vmm/exit_ept.c vmm/linear.c vmm/decode.c

UNIT_TESTS += vmx_ctls
test_vmx_ctls_SRCS := arch/x86/vmxctls.c

UNIT_TESTS += guestwalk
test_guestwalk_SRCS := vmm/guestwalk.c

UNIT_TESTS += mcheck
test_mcheck_SRCS := arch/x86/mcheck.c lib/log.c lib/fmt.c

UNIT_TESTS += exit_event
test_exit_event_SRCS := $(FAKE_VCPU_SRCS)

UNIT_TESTS += ptable
test_ptable_SRCS := mm/ptable.c mm/memmap.c $(test_buddy_SRCS)

UNIT_TESTS += ptable_walk
test_ptable_walk_SRCS := $(test_ptable_SRCS)

# asi/switch.c, asi/shootdown.c and asi/stun.c are included by these six themselves, with a point for an NMI before each access.
UNIT_TESTS += asi_switch
test_asi_switch_SRCS := asi/crossing.c asi/domain.c asi/map.c asi/mitigate.c mm/ptable.c $(BUDDY_SRCS) mm/memmap.c mm/slab.c mm/slab_run.c \
	unittests/fake/cpu.c unittests/fake/ram.c unittests/fake/machine.c unittests/fake/mmu.c

UNIT_TESTS += asi_tlb
test_asi_tlb_SRCS := $(test_asi_switch_SRCS)

UNIT_TESTS += asi_shootdown
test_asi_shootdown_SRCS := $(test_asi_switch_SRCS)

UNIT_TESTS += asi_stun
test_asi_stun_SRCS := $(test_asi_switch_SRCS)

UNIT_TESTS += asi_stun_walk
test_asi_stun_walk_SRCS := $(test_asi_switch_SRCS)

UNIT_TESTS += asi_nmi
test_asi_nmi_SRCS := $(test_asi_switch_SRCS)

# asi/mitigate.c too.
UNIT_TESTS += asi_mitigate
test_asi_mitigate_SRCS := $(filter-out asi/mitigate.c,$(test_asi_switch_SRCS))

UNIT_TESTS += mitigation
test_mitigation_SRCS := arch/x86/mitigation.c

UNIT_TESTS += asi_fault
test_asi_fault_SRCS := asi/fault.c asi/switch.c asi/shootdown.c asi/stun.c lib/log.c lib/fmt.c $(test_asi_switch_SRCS)

UNIT_TESTS += asi_crossing
test_asi_crossing_SRCS := asi/crossing.c asi/describe.c lib/fmt.c mm/memmap.c $(test_buddy_SRCS)

UNIT_TESTS += asi_map
test_asi_map_SRCS := asi/audit.c asi/audit_rules.c asi/surface.c asi/expose.c asi/switch.c asi/shootdown.c asi/stun.c mm/vmarea.c mm/vmalloc.c \
	unittests/host/hostmap_tables.c lib/log.c lib/fmt.c $(test_asi_switch_SRCS)

UNIT_TESTS += asi_audit
test_asi_audit_SRCS := $(test_asi_map_SRCS)

UNIT_TESTS += asi_audit_books
test_asi_audit_books_SRCS := $(test_asi_map_SRCS)

UNIT_TESTS += audit_timer
test_audit_timer_SRCS := vmm/audit.c lib/log.c lib/fmt.c unittests/fake/cpu.c

UNIT_TESTS += secrets_search
test_secrets_search_SRCS := asi/secrets_search.c

UNIT_TESTS += slab_cpus
test_slab_cpus_SRCS := $(test_slab_SRCS)

UNIT_TESTS += slab_debug
test_slab_debug_SRCS := $(test_slab_SRCS)
test_slab_debug_CFLAGS := -DDEBUG=1

UNIT_TESTS += kmalloc
test_kmalloc_SRCS := mm/kmalloc.c $(test_slab_SRCS)

UNIT_TESTS += exit_hypercall
test_exit_hypercall_SRCS := $(FAKE_VCPU_SRCS) vmm/exit_hypercall.c

UNIT_TESTS += exit_insn
test_exit_insn_SRCS := $(FAKE_VCPU_SRCS) vmm/exit_insn.c

UNIT_TESTS += vmx
test_vmx_SRCS := arch/x86/vmx.c arch/x86/vmxctls.c unittests/fake/vmxcpu.c unittests/fake/cpu.c

UNIT_TESTS += vm
test_vm_SRCS := vmm/vm.c vmm/owner.c vmm/vcpu.c vmm/trace.c vmm/guestram.c vmm/ept.c vmm/inject.c $(LAPIC_SRCS) vmm/platform_create.c vmm/acpi.c vmm/loader.c \
	vmm/loader_linux.c vmm/bzimage.c vmm/multiboot.c vmm/image_place.c vmm/mbi.c mm/ptable.c lib/log.c lib/fmt.c $(test_kmalloc_SRCS) unittests/fake/vm.c

UNIT_TESTS += window
test_window_SRCS := asi/window.c $(test_asi_map_SRCS)

# vmm/guestmem.c is included by these two.
UNIT_TESTS += guestram
test_guestram_SRCS := lib/log.c lib/fmt.c vmm/guestram.c vmm/ept.c mm/ptable.c mm/memmap.c $(test_buddy_SRCS)

UNIT_TESTS += audit_ept
test_audit_ept_SRCS := vmm/audit_ept.c $(test_guestram_SRCS)

UNIT_TESTS += ptable_exact
test_ptable_exact_SRCS := $(test_ptable_SRCS)

# mm/vmalloc.c is included here too.
UNIT_TESTS += vmalloc_lazy
test_vmalloc_lazy_SRCS := $(test_vmalloc_SRCS)

UNIT_TESTS += vmarea
test_vmarea_SRCS := mm/vmarea.c unittests/fake/cpu.c

UNIT_TESTS += percpu
test_percpu_SRCS := mm/percpu.c $(test_buddy_SRCS)

# mm/ptable.c is included here.
UNIT_TESTS += ptable_race
test_ptable_race_SRCS := mm/memmap.c $(test_buddy_SRCS)

# mm/hostmap.c and mm/memmap.c are included here.
UNIT_TESTS += hostmap
test_hostmap_SRCS := mm/ptable.c mm/percpu.c unittests/fake/mmu.c $(test_buddy_SRCS)

# Threads with real locks for CPUs, under ThreadSanitizer (make tsan). All allocators together:
THREAD_TESTS += mm
thread_mm_CFLAGS := -DFAKE_RAM_SIZE=0x10000000
thread_mm_SRCS := $(BUDDY_SRCS) mm/slab.c mm/slab_run.c mm/vmarea.c mm/vmalloc.c mm/memmap.c unittests/host/cpu.c unittests/host/ram.c \
	unittests/host/pageblock.c unittests/host/hostmap.c

# Accesses that other CPUs see, and that are volatile, are not taken for races. asi/switch.c and asi/shootdown.c are
# included by this one.
THREAD_TESTS += asi
thread_asi_CFLAGS := --param=tsan-distinguish-volatile=1 -DFAKE_RAM_SIZE=0x10000000
thread_asi_SRCS := arch/x86/trace.c unittests/host/cpu.c unittests/host/ram.c

# The scheduler, with what it is told by posts, and guests that are small programs:
THREAD_TESTS += sched
thread_sched_CFLAGS := --param tsan-distinguish-volatile=1
thread_sched_SRCS := arch/x86/trace.c vmm/schedule.c vmm/runqueue.c vmm/post.c vmm/ready.c arch/x86/world.c arch/x86/cpus.c unittests/host/cpu.c \
	unittests/host/sched_machine.c

# The world that is stopped:
THREAD_TESTS += world
thread_world_SRCS := arch/x86/trace.c arch/x86/world.c arch/x86/cpus.c unittests/host/cpu.c

# One at a time, with the real restricted tables, under libFuzzer (make fuzz) and in test_walk_mm:
fuzz_mm_SRCS := $(test_asi_map_SRCS)

# What they cost, beside other allocators (make bench-mm):
bench_mm_SRCS := $(BUDDY_SRCS) mm/slab.c mm/slab_run.c mm/vmarea.c mm/vmalloc.c mm/memmap.c mm/ptable.c asi/crossing.c asi/domain.c asi/map.c asi/switch.c asi/shootdown.c asi/stun.c asi/mitigate.c \
	unittests/host/cpu.c unittests/host/ram.c unittests/host/hostmap_tables.c unittests/fake/machine.c \
	unittests/fake/mmu.c

# mm/metadata.c and mm/memmap.c are included here.
UNIT_TESTS += metadata
test_metadata_SRCS := mm/ptable.c $(test_buddy_SRCS)

UNIT_TESTS += report_mem
test_report_mem_SRCS := vmm/report_mem.c lib/log.c lib/fmt.c

# unittests/fuzz_mm.c is included here.
UNIT_TESTS += walk_mm
test_walk_mm_SRCS := $(fuzz_mm_SRCS)

UNIT_TESTS += topology
test_topology_SRCS := arch/x86/topology.c

UNIT_TESTS += cpusame
test_cpusame_SRCS := arch/x86/cpusame.c

UNIT_TESTS += runqueue
test_runqueue_SRCS := vmm/runqueue.c unittests/fake/cpu.c

UNIT_TESTS += runqueue_walk
test_runqueue_walk_SRCS := $(test_runqueue_SRCS)

# vmm/ready.c is included here.
UNIT_TESTS += post
test_post_SRCS := vmm/post.c unittests/fake/cpu.c

UNIT_TESTS += lapic_ipi
test_lapic_ipi_SRCS := $(test_lapic_SRCS)

UNIT_TESTS += startup
test_startup_SRCS := vmm/vmcs.c $(test_lapic_SRCS)

# boot/smp.c and arch/x86/tscsync.c are included here.
UNIT_TESTS += smp
test_smp_SRCS := unittests/fake/cpu.c lib/log.c lib/fmt.c

UNIT_TESTS += bzimage
test_bzimage_SRCS := vmm/bzimage.c lib/fmt.c

UNIT_TESTS += pic
test_pic_SRCS := vmm/dev/pic.c

UNIT_TESTS += pit
test_pit_SRCS := vmm/dev/pit.c

UNIT_TESTS += devices
test_devices_SRCS := vmm/dev/rtc.c vmm/dev/fwcfg.c vmm/dev/pci.c

UNIT_TESTS += ioapic
test_ioapic_SRCS := vmm/dev/ioapic.c

UNIT_TESTS += guest_acpi
test_guest_acpi_SRCS := vmm/acpi.c vmm/dev/acpipm.c drivers/acpi.c lib/log.c lib/fmt.c

UNIT_TESTS += platform
test_platform_SRCS := unittests/fake/vmx.c unittests/fake/cpu.c vmm/inject.c $(LAPIC_SRCS) $(PORT_SRCS)

UNIT_TESTS += platform_apic
test_platform_apic_SRCS := $(test_platform_SRCS)

UNIT_TESTS += com1
test_com1_SRCS := $(test_platform_SRCS)

UNIT_TESTS += virtio
test_virtio_SRCS := $(test_platform_SRCS)

UNIT_TESTS += virtio_console
test_virtio_console_SRCS := $(test_platform_SRCS)

UNIT_TESTS += virtio_input
test_virtio_input_SRCS := $(test_platform_SRCS)

UNIT_TESTS += virtio_walk
test_virtio_walk_SRCS := $(test_platform_SRCS)

# Ports at random, under libFuzzer (make fuzz) and in test_walk_devices:
fuzz_devices_SRCS := $(test_platform_SRCS)

# unittests/fuzz_devices.c is included here.
UNIT_TESTS += walk_devices
test_walk_devices_SRCS := $(fuzz_devices_SRCS)

UNIT_TESTS += spinlock
test_spinlock_SRCS :=
test_spinlock_CFLAGS := -DDEBUG=1
