/* SPDX-License-Identifier: MIT */
/* asi/secrets_search.c: a secret is found at every byte, whole, by its owner's number, and nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "asi/secrets.h"
#include "asi/secrets_search.h"

#define LEN 4096

static const uint64_t mark = 0x1122334455667788, halves[] = { 0xa1, ~0UL, 0, 0x1122334455667700 };
#define NR (sizeof(halves) / sizeof(halves[0]))

static struct secrets_search s;
static uint8_t *memory; /* ends where it ends: AddressSanitizer sees a read beyond */

static int setup(void **state)
{
	(void)state;
	memory = malloc(LEN);
	memset(&s, 0, sizeof(s));
	s.key = 0x0123456789abcdef;
	s.mark = mark ^ s.key;
	s.nr = NR;
	for (unsigned int i = 0; i < NR; i++)
		s.own[i] = halves[i] ^ s.key;
	return memory ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	free(memory);
	return 0;
}

static void put(uint64_t at, uint64_t first, uint64_t second)
{
	memcpy(memory + at, &first, 8);
	memcpy(memory + at + 8, &second, 8);
}

static void search(void)
{
	memset(s.found, 0, sizeof(s.found));
	s.parts = 0;
	secrets_search_range(&s, memory, LEN);
}

static uint32_t found(void)
{
	uint32_t sum = 0;

	for (unsigned int i = 0; i < NR; i++)
		sum += s.found[i];
	return sum;
}

/* At every offset up to the last that holds it, in memory that is zero and that is not. */
static void test_every_byte(void **state)
{
	static const uint8_t fills[] = { 0, 1, 0x88, 0xff };

	(void)state;
	for (unsigned int f = 0; f < sizeof(fills); f++) {
		memset(memory, fills[f], LEN);
		search();
		assert_true(found() == 0 && s.parts == 0);
		for (uint64_t at = 0; at + SECRET_SIZE <= LEN; at++) {
			unsigned int i = at % NR;

			put(at, mark, halves[i]);
			search();
			assert_true(found() == 1 && s.found[i] == 1 && s.at[i] == memory + at);
			memset(memory + at, fills[f], SECRET_SIZE);
		}
	}
}

/* With one bit wrong it is none; in the second half it is a part of one, and said to be. */
static void test_one_bit(void **state)
{
	(void)state;
	memset(memory, 0, LEN);
	for (unsigned int bit = 0; bit < 128; bit++) {
		put(77, mark, halves[0]);
		memory[77 + bit / 8] ^= (uint8_t)(1 << bit % 8);
		search();
		assert_int_equal(found(), 0);
		assert_int_equal(s.parts, bit >= 64);
		if (s.parts)
			assert_int_equal(s.part_at, (uint64_t)memory + 77);
	}
}

/* Many at once, and a range that ends inside one. */
static void test_many(void **state)
{
	(void)state;
	memset(memory, 0, LEN);
	for (uint64_t at = 0; at + 32 <= LEN; at += 32)
		put(at + at / 32 % 16, mark, halves[1]);
	search();
	assert_int_equal(s.found[1], LEN / 32);
	assert_int_equal(found(), LEN / 32);

	memset(memory, 0, LEN);
	put(512 - 8, mark, halves[0]);
	memset(s.found, 0, sizeof(s.found));
	secrets_search_range(&s, memory, 512);
	assert_true(found() == 0 && s.parts == 0);
	secrets_search_range(&s, memory, 520);
	assert_int_equal(found(), 1);
	secrets_search_range(&s, memory, 8);
	assert_int_equal(found(), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_one_bit),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
