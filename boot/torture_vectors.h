/* SPDX-License-Identifier: MIT */
/* Numbers that boot/torture.c and boot/torture.S share. */
#pragma once

#define TORTURE_IRQ 0x40 /* injected, from the local APIC */
#define TORTURE_OWN 0x41 /* raised by scenarios, by INT */
