/* SPDX-License-Identifier: MIT */
/*
 * What every test guest has: a console, verdicts, traps that can be survived, the boot
 * information and hypercalls. A guest is one folder with a main.c that defines guest_main();
 * returning from it ends the guest with the verdict of its reports.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define PAGE_SIZE     4096ul
#define BIT(n)	      (1ull << (n))

void guest_main(void);

/* console.c */
void console_init(void);
void print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* string.c */
void *memset(void *dst, int value, size_t len);
void *memcpy(void *dst, const void *src, size_t len);
int memcmp(const void *a, const void *b, size_t len);

/* report.c: one line each, "PASS: name", "FAIL: name: detail", "SKIP: name: reason". */
void report(bool ok, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void report_eq(const char *name, u64 got, u64 want);
/* As report_eq, but without strict() a difference is skipped. */
void report_strict(const char *name, u64 got, u64 want);
void skip(const char *name, const char *reason);
/* So far, and something was checked. */
bool all_passed(void);
/* Ends the guest: pass if something was checked and nothing failed. */
void finish(void) __attribute__((noreturn));

/* hypercall.c: hypervisor() is false on a bare machine, which is for development only. */
bool hypervisor(void);
/* hypervisor(), and a SKIP line for `name` if it is not there. */
bool need_hypervisor(const char *name);
/*
 * Is this machine to be taken at its word? Always with the hypervisor; of bare ones, Bochs is
 * (say bare=strict), QEMU without KVM takes values that the SDM forbids and then breaks down.
 */
bool strict(void);
/* strict(), and a SKIP line for `name` if it is not. */
bool need_strict(const char *name);
s64 hypercall(u64 nr, u64 arg1, u64 arg2, u64 arg3);

/* info.c: copied at start-up, so that a test may overwrite all memory but the image. */
struct region {
	u64 start, end;
	u32 type; /* 1 = RAM */
};

struct boot_data {
	u32 flags, mem_lower, mem_upper;
	char cmdline[256];
	struct region map[32];
	unsigned int nr_map;
	struct region mods[8];
	char mod_args[8][64];
	unsigned int nr_mods;
	struct region used[24]; /* what the loader filled besides the image */
	unsigned int nr_used;
};

extern struct boot_data boot;
extern u8 image_start[], image_end[];

void info_init(u32 info);
/* The value of word "key=..." on the command line, or NULL; ends at a space or NUL. */
const char *arg_find(const char *key);
u64 arg_u64(const char *key, u64 otherwise);
/* Does the command line say key=value? */
bool arg_is(const char *key, const char *value);
/* Does anything that the loader put there lie in [start, end)? */
bool info_used(u64 start, u64 end);
