/* SPDX-License-Identifier: MIT */
/* The vmalloc half of mm/hostmap.c as one table of mapped pages, in place of page tables. */
#pragma once
#include <stddef.h>
#include "mm/vmalloc.h"

extern size_t fake_hostmap_pages; /* mapped now */
extern bool fake_hostmap_fails;	  /* the next hostmap_vmap() returns -ENOMEM */
extern size_t fake_hostmap_stale; /* unmapped since the last flush: CPUs may still reach them */
extern unsigned int fake_hostmap_flushes;
/* If set, called once from inside the next unmap_flush(), before it is done: another CPU's turn. */
extern void (*fake_hostmap_hook)(void);
