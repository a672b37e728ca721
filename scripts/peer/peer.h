/* SPDX-License-Identifier: MIT */
/*
 * A small user of KVM, first process of a Linux that has nothing else, for scripts/bench-kvm: it runs one of our
 * test guests, so that another hypervisor's exits are measured by the same instructions as ours.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the guest reads here are the exits of its vCPU so far, by KVM's own count. */
#define PORT_COUNTER 0xf6

/* console.c: COM1, polled, so that no interrupt of the UART falls into what is measured. */
void console_open(void);
/* Lines of a guest get @prefix in brackets. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void guest_char(const char *prefix, char c);
/* Says why and ends the machine; die_errno() with errno's text. */
void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
void die_errno(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
/* Ends Bochs. */
void machine_off(void) __attribute__((noreturn));

/* module.c */
void module_load(const char *path, const char *parameters);
void module_unload(const char *name);
/* One line of a file in sysfs, "?" if there is none; valid until the next call. */
const char *line_of(const char *path);

/* The guest's RAM, from its address 0: first in pages of 4 KiB without memory behind them. */
struct ram {
	uint8_t *at;
	size_t size;
	size_t populated; /* from here on with memory behind them */
	size_t large;	  /* from here on in pages of 2 MiB */
};

/* ram.c */
void ram_create(struct ram *ram);
void ram_destroy(struct ram *ram);

/* image.c: a Multiboot (version 1) ELF32 into RAM, with its boot information. */
struct entry {
	uint32_t rip, info;
};
struct entry image_load(const struct ram *ram, const char *path, const char *arguments);

/* vm.c: runs @path in a VM of one vCPU and this RAM until it writes its verdict to port 0xf4; the verdict. */
int vm_run(const char *name, const char *path, const char *arguments, struct ram *ram);
