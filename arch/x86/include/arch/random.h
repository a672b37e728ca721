/* SPDX-License-Identifier: MIT */
/* Random numbers for secrets of the hypervisor. */
#pragma once
#include <stdint.h>

/* 64 bits from the CPU's generator, if it has one, mixed with the TSC. Unrestricted only. */
uint64_t random_word(void);
/* "RDSEED", "RDRAND", or NULL: the CPU has no generator, so that the TSC is all there is. */
const char *random_source(void);
