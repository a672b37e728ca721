/* SPDX-License-Identifier: MIT */
/* MC146818A: the date as registers, in BCD or binary, by 12 or 24 hours. */
#include "vmm/dev/rtc.h"
#include <stdbool.h>
#include "lib/bitops.h"
#include "lib/string.h"

enum {
	REG_SECONDS = 0,
	REG_MINUTES = 2,
	REG_HOURS = 4,
	REG_WEEKDAY = 6,
	REG_DAY = 7,
	REG_MONTH = 8,
	REG_YEAR = 9,
	REG_A = 10,
	REG_B = 11,
	REG_C = 12,
	REG_D = 13,
	CMOS_BASE_LOW = 0x15,	  /* KiB below 640 KiB */
	CMOS_EXTENDED_LOW = 0x17, /* KiB above 1 MiB, as set up and as found */
	CMOS_FOUND_LOW = 0x30,
	CMOS_CENTURY = 0x32,
	CMOS_HIGH_LOW = 0x34, /* units of 64 KiB above 16 MiB: QEMU's and Bochs' firmware */
};

#define A_VALUE	   0x26 /* 32.768 kHz, 1024 Hz; bit 7, update in progress, is never set */
#define A_WRITTEN  0x7f
#define B_24_HOURS 0x02
#define B_BINARY   0x04
#define B_WRITTEN  0x87 /* without the interrupts and the square wave */
#define D_VALID	   0x80 /* the battery is good */
#define HOURS_PM   0x80

#define DAY 86400UL

struct date {
	uint32_t year, month, day, weekday; /* month and day from 1; weekday: 1 is Sunday */
	uint32_t hour, minute, second;
};

static bool is_leap(uint32_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static uint32_t days_of(uint32_t month, uint32_t year)
{
	static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return days[month - 1] + (month == 2 && is_leap(year) ? 1u : 0u);
}

/* @t: seconds since 1970. One round a year and a month: VMs do not live long enough for it to matter. */
static struct date date_of(uint64_t t)
{
	uint64_t days = t / DAY, rest = t % DAY;
	struct date d = {
		.year = 1970,
		.month = 1,
		.weekday = (uint32_t)((days + 4) % 7) + 1, /* that was a Thursday */
		.hour = (uint32_t)(rest / 3600),
		.minute = (uint32_t)(rest / 60 % 60),
		.second = (uint32_t)(rest % 60),
	};

	for (; days >= (is_leap(d.year) ? 366 : 365); d.year++)
		days -= is_leap(d.year) ? 366 : 365;
	for (; days >= days_of(d.month, d.year); d.month++)
		days -= days_of(d.month, d.year);
	d.day = (uint32_t)days + 1;
	return d;
}

static uint8_t number(const struct rtc *r, uint32_t v)
{
	return (uint8_t)(r->cmos[REG_B] & B_BINARY ? v : v / 10 << 4 | v % 10);
}

/* From 12 AM to 11 PM, or from 0 to 23. */
static uint8_t hours(const struct rtc *r, uint32_t hour)
{
	if (r->cmos[REG_B] & B_24_HOURS)
		return number(r, hour);
	return (uint8_t)(number(r, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOURS_PM : 0));
}

uint8_t rtc_read(const struct rtc *r, uint64_t seconds)
{
	struct date d = date_of(RTC_START + seconds);

	switch (r->index) {
	case REG_SECONDS:
		return number(r, d.second);
	case REG_MINUTES:
		return number(r, d.minute);
	case REG_HOURS:
		return hours(r, d.hour);
	case REG_WEEKDAY:
		return number(r, d.weekday);
	case REG_DAY:
		return number(r, d.day);
	case REG_MONTH:
		return number(r, d.month);
	case REG_YEAR:
		return number(r, d.year % 100);
	case CMOS_CENTURY:
		return number(r, d.year / 100);
	default:
		return r->cmos[r->index];
	}
}

void rtc_select(struct rtc *r, uint8_t value)
{
	r->index = value & (RTC_SIZE - 1);
}

/* What is written to the date is kept, and never read. */
void rtc_write(struct rtc *r, uint8_t value)
{
	switch (r->index) {
	case REG_A:
		r->cmos[REG_A] = value & A_WRITTEN;
		break;
	case REG_B:
		r->cmos[REG_B] = value & B_WRITTEN;
		break;
	case REG_C: /* no interrupt is pending, and power has not failed */
	case REG_D:
		break;
	default:
		r->cmos[r->index] = value;
		break;
	}
}

static void put16(struct rtc *r, unsigned int at, uint64_t value)
{
	value = MIN(value, 0xffff);
	r->cmos[at] = (uint8_t)value;
	r->cmos[at + 1] = (uint8_t)(value >> 8);
}

static uint64_t above(uint64_t ram_bytes, uint64_t from)
{
	return ram_bytes > from ? ram_bytes - from : 0;
}

void rtc_init(struct rtc *r, uint64_t ram_bytes)
{
	memset(r, 0, sizeof(*r));
	r->cmos[REG_A] = A_VALUE;
	r->cmos[REG_B] = B_24_HOURS;
	r->cmos[REG_D] = D_VALID;
	put16(r, CMOS_BASE_LOW, MIN(ram_bytes >> 10, 640));
	put16(r, CMOS_EXTENDED_LOW, above(ram_bytes, MiB(1)) >> 10);
	put16(r, CMOS_FOUND_LOW, above(ram_bytes, MiB(1)) >> 10);
	put16(r, CMOS_HIGH_LOW, above(ram_bytes, MiB(16)) >> 16);
}
