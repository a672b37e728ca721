/* SPDX-License-Identifier: MIT */
/* A driver of virtio's legacy interface, as small as can be: descriptors are used as the test says. */
#pragma once

#include "guest-tests/lib/virtio.h"

enum { IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8 };
enum { SECTOR = 512, VECTOR_DISK = 0x2b };

struct header {
	u32 type, priority;
	u64 sector;
};

/* One request's memory. */
struct request {
	struct header header;
	u8 status;
	u8 data[8 * SECTOR];
};

extern volatile struct rings rings;
extern struct request request;
extern u16 disk; /* its first port */
extern volatile u32 disk_irqs;

/* Resets the disk and sets it up with empty rings at @at. */
void disk_start(u64 at);
/* Header, @nr sectors in one segment at @data, status: descriptors 0 to 2, made available. */
void disk_build(u32 type, u64 sector, u64 data, u32 nr);
/* The same, done: the answer. */
u8 disk_do(u32 type, u64 sector, u64 data, u32 nr);
static inline void disk_notify(void)
{
	outw(disk + 16, 0);
}
static inline u8 disk_status(void)
{
	return inb(disk + 18);
}

void check_harm(void); /* harm.c */
