# SPDX-License-Identifier: MIT
# Test guests: one folder with a main.c under guest-tests/ makes build/guests/NAME.elf.
# Linked as ELF64, then turned into ELF32, which every Multiboot (version 1) loader takes.

GUESTS := $(sort $(patsubst guest-tests/%/main.c,%,$(wildcard guest-tests/*/main.c)))

GUEST_DIR := build/guests
GUEST_OBJ := $(GUEST_DIR)/obj
GUEST_CC ?= gcc
GUEST_OBJCOPY ?= objcopy

GUEST_FLAGS := -I. -m64 -O2 -ffreestanding -fno-builtin -fno-pic -fno-pie -mno-red-zone \
	-mgeneral-regs-only -fno-stack-protector -fno-asynchronous-unwind-tables \
	-fcf-protection=none -MMD -MP
GUEST_CFLAGS := -std=gnu11 -Wall -Wextra -Werror -Wmissing-prototypes -Wstrict-prototypes
GUEST_LDFLAGS := -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,max-page-size=4096 \
	-Wl,--no-warn-rwx-segments -T guest-tests/lib/guest.ld

guest_objects = $(patsubst guest-tests/%,$(GUEST_OBJ)/%.o,$(wildcard guest-tests/$1/*.[cS]))

# What starts other CPUs, with a stack for each of 64, is linked to guests named smp... only.
GUEST_LIB_ALL := $(call guest_objects,lib)
GUEST_LIB := $(filter-out $(GUEST_OBJ)/lib/smp%,$(GUEST_LIB_ALL))
guest_lib = $(if $(filter smp%,$1),$(GUEST_LIB_ALL),$(GUEST_LIB))
GUEST_ELFS := $(GUESTS:%=$(GUEST_DIR)/%.elf)

# Images that use neither our library nor our linker script, and the width of each.
FOREIGN := kludge high
FOREIGN_kludge := -m32
FOREIGN_high := -m64
FOREIGN_ELFS := $(FOREIGN:%=$(GUEST_DIR)/foreign-%.elf)

.PHONY: guests
guests: $(GUEST_ELFS) $(FOREIGN_ELFS)

$(GUEST_OBJ)/%.c.o: guest-tests/%.c guest-tests/guests.mk
	$(Q)mkdir -p $(@D)
	$(Q)$(GUEST_CC) $(GUEST_FLAGS) $(GUEST_CFLAGS) -c -o $@ $<

$(GUEST_OBJ)/%.S.o: guest-tests/%.S guest-tests/guests.mk
	$(Q)mkdir -p $(@D)
	$(Q)$(GUEST_CC) $(GUEST_FLAGS) -c -o $@ $<

$(FOREIGN_ELFS): $(GUEST_DIR)/foreign-%.elf: guest-tests/foreign/%.S guest-tests/foreign/%.ld guest-tests/guests.mk
	$(Q)mkdir -p $(@D)
	$(Q)$(GUEST_CC) $(FOREIGN_$*) -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,max-page-size=4096 \
		-Wl,--no-warn-rwx-segments -T $(word 2,$^) -o $@ $<

define guest_rules
$(GUEST_OBJ)/$1.elf64: $(call guest_objects,$1) $(call guest_lib,$1) guest-tests/lib/guest.ld
	$(Q)$(GUEST_CC) $(GUEST_LDFLAGS) -o $$@ $$(filter %.o,$$^)

$(GUEST_DIR)/$1.elf: $(GUEST_OBJ)/$1.elf64
	@echo "  GUEST   $$@"
	$(Q)$(GUEST_OBJCOPY) -I elf64-x86-64 -O elf32-i386 $$< $$@
endef
$(foreach guest,$(GUESTS),$(eval $(call guest_rules,$(guest))))

-include $(patsubst %.o,%.d,$(GUEST_LIB_ALL) $(foreach g,$(GUESTS),$(call guest_objects,$g)))
