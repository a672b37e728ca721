/* SPDX-License-Identifier: MIT */
/* MSRs, control registers and VMX operation. Bodies: unittests/fake/vmxcpu.c, or a test's own. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

uint64_t rdmsr(uint32_t msr);
void wrmsr(uint32_t msr, uint64_t v);
uint64_t read_cr0(void);
void write_cr0(uint64_t v);
uint64_t read_cr4(void);
void write_cr4(uint64_t v);
bool vmxon(uint64_t hpa);
bool vmclear(uint64_t hpa);
bool vmptrld(uint64_t hpa);
void read_breakpoints(uint64_t v[4]);
void write_breakpoints(const uint64_t v[4]);
bool invept(uint64_t type, uint64_t eptp);
bool invvpid(uint64_t type, uint64_t vpid, uint64_t gva);
