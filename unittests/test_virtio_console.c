/* SPDX-License-Identifier: MIT */
/* A virtio console by its ports: what it sends, in pieces, and what it does not have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "unittests/virtio_machine.h"

#define DATA 0x2000

static void set_text(const char *text)
{
	memset(console, 0, sizeof(console));
	memset(guest_ram + DATA, 0, 4096);
	strcpy((char *)guest_ram + DATA, text);
}

static unsigned int send(const struct desc *segs, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		*desc_at(TX_RINGS, i) = segs[i];
		if (i + 1 == nr)
			continue;
		desc_at(TX_RINGS, i)->flags |= NEXT;
		desc_at(TX_RINGS, i)->next = (uint16_t)(i + 1);
	}
	make_available(TX_RINGS, 0);
	return notify(CONSOLE, 1);
}

static void test_console(void **state)
{
	const struct desc seg[] = { { DATA, 3, 0, 0 },
				    { DATA + 3, 0, 0, 0 },
				    { DATA + 3, 4, 0, 0 } };

	(void)state;
	set_text("one\ntwo");
	assert_int_equal(send(seg, 3), 1);
	assert_string_equal(console, "[t] one\n");
	assert_true(line_is_high(10));
	assert_int_equal(port_in(VM, CONSOLE + 19, 1), 1);
	assert_false(line_is_high(10));
	set_text("\n");
	assert_int_equal(send(&(struct desc){ DATA, 1, 0, 0 }, 1), 1);
	assert_string_equal(console, "[t] two\n");
	assert_int_equal(used_of(TX_RINGS)[1], 2);
	assert_int_equal(used_entry(TX_RINGS, 1)[1], 0);
}

/* Much text takes several exits; none of it is lost or doubled. */
static void test_long_text(void **state)
{
	const struct desc seg[] = { { DATA, 100, 0, 0 },
				    { DATA + 100, 500, 0, 0 },
				    { DATA + 600, 424, 0, 0 } };
	char text[1100] = "", want[1400] = "";

	(void)state;
	for (unsigned int i = 0; i < 64; i++) {
		sprintf(text + 16 * i, "%014u!\n", i);
		sprintf(want + 20 * i, "[t] %014u!\n", i);
	}
	set_text(text);
	most_copied = 0;
	assert_int_equal(send(seg, 3), 4);
	assert_true(most_copied < 256 + 100);
	assert_string_equal(console, want);
	assert_int_equal(used_of(TX_RINGS)[1], 1);
}

/* What it does not have, it does not send; and what is given to it to fill stays. */
static void test_console_harm(void **state)
{
	const struct desc bad[] = { { DATA, 2, 0, 0 }, { GUEST_RAM_GONE - 1, 2, 0, 0 } };

	(void)state;
	set_text("a\n");
	make_available(RX_RINGS, 0xffff);
	assert_int_equal(notify(CONSOLE, 0), 1);
	assert_int_equal(port_in(VM, CONSOLE + 18, 1), 7);
	assert_int_equal(send(&(struct desc){ DATA, 2, WRITE, 0 }, 1), 1);
	assert_string_equal(console, "");
	assert_int_equal(used_of(TX_RINGS)[1], 1);
	assert_int_equal(send(bad, 2), 1);
	assert_string_equal(console, "[t] a\n");
	assert_int_equal(port_in(VM, CONSOLE + 18, 1), 0x47);
	assert_int_equal(used_of(TX_RINGS)[1], 1);
	start_driver();
	set_text("b\n");
	assert_int_equal(send(bad, 1), 1);
	assert_string_equal(console, "[t] b\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_console, start, stop),
		cmocka_unit_test_setup_teardown(test_long_text, start, stop),
		cmocka_unit_test_setup_teardown(test_console_harm, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
