/* SPDX-License-Identifier: MIT */
/*
 * QEMU's firmware configuration device, by which small kernels learn how many CPUs and how much RAM there are.
 * QEMU's documentation, "QEMU Firmware Configuration (fw_cfg) Device"; no DMA and no files. LOCAL memory of a VM; calls
 * do not overlap.
 */
#pragma once
#include <stdint.h>

struct fwcfg {
	uint16_t key;
	uint32_t at; /* of the item's bytes, the next to be read */
	uint64_t ram_bytes;
	uint16_t cpus;
	char *cmdline; /* LOCAL as well */
	uint32_t cmdline_len;
};

/* Port 0x510. */
void fwcfg_select(struct fwcfg *f, uint16_t key);
/* Port 0x511: the next byte; 0 behind the end and of what is not there. */
uint8_t fwcfg_read(struct fwcfg *f);
