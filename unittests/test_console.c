/* SPDX-License-Identifier: MIT */
/* drivers/console.c over a UART of the test's own: lines and rows, and what is typed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "arch/percpu.h"
#include "drivers/console.h"
#include "drivers/uart16550.h"
#include "lib/log.h"

#define COM1 0x3f8
#define COM2 0x2f8
#define FIFO 16

/* What has come out of each port. */
static char out1[4096], out2[4096];
static bool com2_is_there;

/* What is on its way in: while a byte goes out, another one comes, as on a line of one speed. */
static uint8_t typed[8192];
static unsigned int nr_typed, nr_arrived, nr_got;
static bool overrun, listens;

static void arrive(void)
{
	if (nr_arrived == nr_typed)
		return;
	if (nr_arrived - nr_got == FIFO) {
		/* It is lost: the rest moves up. */
		overrun = true;
		memmove(typed + nr_arrived, typed + nr_arrived + 1, --nr_typed - nr_arrived);
	} else {
		nr_arrived++;
	}
}

bool uart16550_init(uint16_t port)
{
	return port == COM1 || (port == COM2 && com2_is_there);
}

unsigned int uart16550_put(uint16_t port, uint8_t byte, bool may_wait)
{
	char *out = port == COM1 ? out1 : out2;
	bool told = overrun;

	assert_true(may_wait);
	out[strlen(out)] = (char)byte;
	arrive();
	overrun = told ? false : overrun; /* reading LSR ends it */
	return UART_SENT | (told ? UART_OVERRUN : 0);
}

unsigned int uart16550_get(uint16_t port, uint8_t *byte)
{
	unsigned int told = overrun ? UART_OVERRUN : 0;

	assert_int_equal(port, COM1);
	overrun = false;
	if (nr_got == nr_arrived)
		return told;
	*byte = typed[nr_got++];
	return told | UART_RECEIVED;
}

void uart16550_listen(uint16_t port)
{
	assert_int_equal(port, COM1);
	listens = true;
}

void uart16550_drain(uint16_t port)
{
	(void)port;
}

static void clear_output(void)
{
	memset(out1, 0, sizeof(out1));
	memset(out2, 0, sizeof(out2));
}

static int start(void **state)
{
	uint8_t byte;

	(void)state;
	com2_is_there = true;
	cpu_number = 0;
	console_init();
	console_listen_while(false);
	while (console_get(&byte) || console_lost())
		;
	nr_typed = nr_arrived = nr_got = 0;
	overrun = false;
	console_write("\n", 1);
	clear_output();
	return 0;
}

static void put(uint32_t owner, const char *prefix, const char *text)
{
	console_put(owner, prefix, text, strlen(text));
}

static void line(const char *text)
{
	console_write(text, strlen(text));
}

/* A line of anybody's ends the row; its owner begins another one, with the prefix. */
static void test_rows(void **state)
{
	(void)state;
	put(2, "[a] ", "x");
	put(2, "[a] ", "y");
	assert_true(console_row_is(2));
	line("whole\n");
	assert_true(console_row_is(0));
	put(2, "[a] ", "z\r\n");
	assert_true(console_row_is(0));
	put(2, "[a] ", "1");
	put(3, "[b] ", "2");
	assert_false(console_row_is(2));
	put(3, "[b] ", "3\r\n");
	line("end\n");
	assert_string_equal(out1, "[a] xy\r\nwhole\r\n[a] z\r\n[a] 1\r\n[b] 23\r\nend\r\n");
}

static void type(const char *text)
{
	memcpy(typed + nr_typed, text, strlen(text));
	nr_typed += (unsigned int)strlen(text);
}

/* In order, each once; more than its FIFO holds is taken in time while this CPU writes, and only while it may. */
static void test_input(void **state)
{
	static const char sixty[] = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWX";
	char got[80] = "";
	uint8_t byte;

	(void)state;
	assert_false(console_has_input());
	type(sixty);
	console_listen_while(true);
	line("a line of some length, which takes as long to send as what is typed meanwhile\n");
	console_listen_while(false);
	assert_true(console_has_input());
	while (console_get(&byte))
		got[strlen(got)] = (char)byte;
	assert_string_equal(got, sixty);
	assert_int_equal(console_lost(), 0);
}

/* Another CPU never takes input, and what the UART lost meanwhile is said. */
static void test_lost(void **state)
{
	unsigned int n = 0;
	uint8_t byte;

	(void)state;
	for (unsigned int i = 0; i < 4; i++)
		type("0123456789");
	console_listen_while(true);
	cpu_number = 1;
	line("a line of some length, which takes as long to send as what is typed meanwhile\n");
	cpu_number = 0;
	console_listen_while(false);
	while (console_get(&byte))
		n++;
	assert_int_equal(n, FIFO);
	assert_int_equal(console_lost(), 1);
	assert_int_equal(console_lost(), 0);
}

/* What nobody takes: as much as there is room for stays, and how much does not is known. */
static void test_full(void **state)
{
	unsigned int n = 0;
	uint8_t byte;

	(void)state;
	for (unsigned int i = 0; i < 300; i++)
		type("01234567");
	console_listen_while(true);
	for (unsigned int i = 0; i < 40; i++) {
		line("a line of some length, which takes as long to send as what is typed "
		     "meanwhile\n");
		clear_output();
	}
	console_listen_while(false);
	while (console_get(&byte)) {
		assert_int_equal(byte, '0' + n % 8);
		n++;
	}
	assert_int_equal(n + console_lost(), 2400);
	assert_int_equal(n, 1024);
}

/* Lines to another port, input from this one, and back. */
static void test_divert(void **state)
{
	uint8_t byte;

	(void)state;
	type("x");
	assert_false(console_divert("com1", 4));
	assert_false(console_divert("com3", 4));
	com2_is_there = false;
	assert_false(console_divert("com2", 4));
	com2_is_there = true;
	line("one\n");
	assert_true(console_divert("com2", 4));
	console_listen_while(true);
	line("two\n");
	console_listen_while(false);
	assert_true(console_divert(NULL, 0));
	line("three\n");
	assert_string_equal(out1, "one\r\nthree\r\n");
	assert_string_equal(out2, "two\r\n");
	assert_true(console_get(&byte));
	assert_int_equal(byte, 'x');
}

static void test_irq(void **state)
{
	(void)state;
	assert_int_equal(console_irq(), 4);
	assert_true(console_select("com2", 4));
	assert_int_equal(console_irq(), 3);
	assert_true(console_select("0x3f8", 5));
	assert_int_equal(console_irq(), 4);
	assert_true(listens);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_rows, start),
		cmocka_unit_test_setup(test_input, start),
		cmocka_unit_test_setup(test_lost, start),
		cmocka_unit_test_setup(test_full, start),
		cmocka_unit_test_setup(test_divert, start),
		cmocka_unit_test_setup(test_irq, start),
	};

	console_init();
	console_listen();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
