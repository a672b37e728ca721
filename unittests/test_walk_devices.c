/* SPDX-License-Identifier: MIT */
/* Ten million random accesses to a PC's devices: what unittests/fuzz_devices.c does with the bytes that libFuzzer finds. */
#include "unittests/fuzz_devices.c"
#include "unittests/seed.h"

#define ACCESSES 10000000
#define STEPS	 500

int main(void)
{
	uint8_t bytes[STEP_BYTES * STEPS];

	seed_start(0xde71ce);
	LLVMFuzzerInitialize(NULL, NULL);
	while (nr_accesses < ACCESSES) {
		for (size_t i = 0; i < sizeof(bytes); i += 4) {
			uint64_t word = seed_below(1UL << 32);

			memcpy(bytes + i, &word, 4);
		}
		/* The number of steps says where typed bytes go. */
		LLVMFuzzerTestOneInput(bytes, sizeof(bytes) - STEP_BYTES * seed_below(2));
	}
	printf("%lu accesses, %lu interrupts, %lu resets, %lu looks at rings, %lu pieces typed\n",
	       nr_accesses, nr_interrupts, nr_resets, nr_served, nr_typed);
	return nr_interrupts && nr_resets && nr_served && nr_typed ? 0 : 1;
}
