/* SPDX-License-Identifier: MIT */
/*
 * A seeded random walk over all allocators and the restricted tables together: what unittests/fuzz_mm.c does
 * with the bytes that libFuzzer finds, and its checks after each step, with random ones.
 */
#include "unittests/fuzz_mm.c"
#include "unittests/seed.h"

#define WALKS 300
#define STEPS 150

int main(void)
{
	uint8_t bytes[3 * STEPS];

	seed_start(0x6d6d);
	LLVMFuzzerInitialize(NULL, NULL);
	for (unsigned int walk = 0; walk < WALKS; walk++) {
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)seed_below(256);
		/* Domains first: without them few steps do anything. */
		for (size_t i = 0; i < VMS; i++) {
			bytes[3 * i] = 0;
			bytes[3 * i + 1] = (uint8_t)i;
		}
		LLVMFuzzerTestOneInput(bytes, sizeof(bytes));
	}
	printf("%u walks of %u steps, %lu things made\n", WALKS, STEPS, next_mark);
	return 0;
}
