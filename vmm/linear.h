/* SPDX-License-Identifier: MIT */
/*
 * Guest memory as instructions see it: segment and offset, then linear address. For what the
 * hypervisor executes in the guest's place. Where there is no RAM, reads give all ones
 * and writes vanish.
 */
#pragma once
#include "vmm/decode.h"
#include "vmm/vcpu.h"

/*
 * The linear address of @size bytes at @seg:@offset. False if the segment does not allow the
 * access; the guest then has its #GP or #SS.
 */
bool linear_of(struct vcpu *v, enum insn_seg seg, uint64_t offset, unsigned int size, bool write,
	       gva_t *out);

/* At most a page. False if the guest's paging does not allow it; the guest then has its #PF. */
bool linear_read(struct vcpu *v, gva_t gva, void *buf, size_t len);
bool linear_write(struct vcpu *v, gva_t gva, const void *buf, size_t len);

/* The instruction bytes at RIP, as many of @len as can be fetched. Injects nothing. */
size_t linear_fetch(struct vcpu *v, uint8_t *buf, size_t len);

/* What CS says about the bytes at RIP. */
enum decode_mode linear_code_size(const struct vcpu *v);

/* Adds @delta to a register used as an address or count of @addr_size bytes. */
void linear_step(struct vcpu *v, unsigned int reg, uint64_t delta, unsigned int addr_size);
/* The register as an address or count of @addr_size bytes. */
uint64_t linear_reg(const struct vcpu *v, unsigned int reg, unsigned int addr_size);
