/* SPDX-License-Identifier: MIT */
/* fw_cfg: items by key. */
#include "vmm/dev/fwcfg.h"
#include <stdbool.h>

enum {
	KEY_SIGNATURE = 0x00,
	KEY_ID = 0x01,
	KEY_RAM_SIZE = 0x03,
	KEY_CPUS = 0x05,
	KEY_MAX_CPUS = 0x0f,
	KEY_CMDLINE_SIZE = 0x14,
	KEY_CMDLINE = 0x15,
};

#define SIGNATURE      0x554d4551 /* "QEMU" */
#define ID_TRADITIONAL 1	  /* selector and data port, no DMA */

struct number {
	uint64_t value;
	uint32_t size; /* bytes, the lowest first */
};

/* Items that are numbers; of size 0 what is not there. */
static struct number number_of(const struct fwcfg *f)
{
	switch (f->key) {
	case KEY_SIGNATURE:
		return (struct number){ SIGNATURE, 4 };
	case KEY_ID:
		return (struct number){ ID_TRADITIONAL, 4 };
	case KEY_RAM_SIZE:
		return (struct number){ f->ram_bytes, 8 };
	case KEY_CPUS:
	case KEY_MAX_CPUS:
		return (struct number){ f->cpus, 2 };
	case KEY_CMDLINE_SIZE: /* with its NUL */
		return (struct number){ f->cmdline_len + 1UL, 4 };
	default:
		return (struct number){ 0, 0 };
	}
}

void fwcfg_select(struct fwcfg *f, uint16_t key)
{
	f->key = key;
	f->at = 0;
}

uint8_t fwcfg_read(struct fwcfg *f)
{
	struct number n = number_of(f);
	bool is_cmdline = f->key == KEY_CMDLINE;
	uint32_t at = f->at;

	if (at >= (is_cmdline ? f->cmdline_len : n.size))
		return 0;
	f->at++;
	return is_cmdline ? (uint8_t)f->cmdline[at] : (uint8_t)(n.value >> 8 * at);
}
