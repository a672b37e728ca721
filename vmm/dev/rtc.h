/* SPDX-License-Identifier: MIT */
/*
 * The clock and CMOS memory of a PC. Motorola MC146818A data sheet; the bytes of memory that firmware fills in as in
 * Ralf Brown's "CMOS Memory Map". LOCAL memory of a VM; calls do not overlap.
 *
 * The clock starts at RTC_START when the VM is made and cannot be set: no guest learns the machine's date. It is never
 * seen in the middle of an update. No interrupts: the enable bits of register B read 0.
 */
#pragma once
#include <stdint.h>

#define RTC_START 1735689600UL /* 2025-01-01 00:00:00 UTC, in seconds since 1970 */
#define RTC_SIZE  128

struct rtc {
	uint8_t index;
	uint8_t cmos[RTC_SIZE]; /* registers and memory as written */
};

/* @ram_bytes: what the guest has, for the bytes that tell its size. */
void rtc_init(struct rtc *r, uint64_t ram_bytes);

/* Port 0x70; bit 7 masks NMIs on real ones, and nothing here. */
void rtc_select(struct rtc *r, uint8_t value);
/* Port 0x71, @seconds after the VM was made. */
uint8_t rtc_read(const struct rtc *r, uint64_t seconds);
void rtc_write(struct rtc *r, uint8_t value);
