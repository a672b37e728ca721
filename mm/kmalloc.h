/* SPDX-License-Identifier: MIT */
/*
 * Memory by size, of a stated class. The slab caches behind it exist before the first call:
 * those of SENSITIVE and GLOBAL from boot on, those of LOCAL from kmalloc_create() on.
 */
#pragma once
#include <stddef.h>
#include "lib/compiler.h"
#include "mm/class.h"

/* More than this, and whole pages are handed out. */
#define KMALLOC_SLAB_MAX 32768

/* Once, when there is memory. */
void kmalloc_init(void);
/* With an owner's first use, and with its end: 0 or -ENOMEM. Ending what was not made is fine. */
__must_check int kmalloc_create(struct mem_owner *owner);
void kmalloc_destroy(struct mem_owner *owner);

/*
 * @size bytes (1 to 1 GiB, else an assertion), aligned to the largest power of two that
 * divides the size class, 64 at most, or to a page; kzalloc clears them. NULL if memory has
 * run out. Any context but NMI; restricted, the owner's own space is enough.
 */
void *kmalloc(size_t size, enum mem_class class, struct mem_owner *owner);
void *kzalloc(size_t size, enum mem_class class, struct mem_owner *owner);
/* What is not from kmalloc, or is free, is an assertion. NULL is ignored. No lock may be held. */
void kfree(void *hva);
