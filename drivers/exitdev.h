/* SPDX-License-Identifier: MIT */
/*
 * Ending the machine. Provides panic_stop() (lib/panic.h). An emulator is left
 * with the verdict; on bare metal the power goes off if ACPI tells how, else the
 * CPU halts.
 */
#pragma once
#include <stdint.h>
#include "lib/compiler.h"

/* Ends the machine; @code 0 = every guest passed, 1 = one failed, 2 = panic. */
__noreturn void exitdev_stop(uint8_t code);

/* How ACPI turns the power off: write @value to the PM1a control register at @port. */
void exitdev_set_poweroff(uint16_t port, uint16_t value);
