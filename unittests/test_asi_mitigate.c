/* SPDX-License-Identifier: MIT */
/*
 * asi/mitigate.c with asi/switch.c. Without NMIs, random sequences do exactly what a model says that knows
 * nothing of taints: each flush of the table, in its place beside the write of CR3, and none twice. With
 * NMIs, a model of the hardware says what is in caches and predictors, and nobody meets what is not his.
 */
#include "unittests/asi_switch.h"
#include "unittests/seed.h"
#include "asi/mitigate.c"

#define ALL    (FLUSH_L1D | FLUSH_VERW | FLUSH_IBPB | FLUSH_RSB)
#define GUESTS 3
#define U      GUESTS /* in place of a domain's number */

/* ---- the hardware ---- */

static struct {
	/* For each flush, whose state is there that it would clear: bit per guest, and U. */
	unsigned int l1d, buffers, targets, returns;
	bool outside; /* at the last look */
} hw;

static bool outside(void)
{
	return loaded_root() == hostmap_cr3();
}

/* What the space that is loaded may bring in, at any instruction. */
static void hw_sample(void)
{
	if (outside()) {
		if (!hw.outside) { /* what has just become reachable can be steered to */
			assert_int_equal(hw.targets, 0);
			assert_int_equal(hw.returns, 0);
		}
		hw.l1d |= 1u << U;
		hw.buffers |= 1u << U;
		assert_true(asi_taints & BIT(TAINT_SENSITIVE_DATA));
	}
	if (hw.targets | hw.returns)
		assert_true(asi_taints & BIT(TAINT_GUEST_CONTROL));
	hw.outside = outside();
}

static void hw_flush(unsigned int flush)
{
	if (flush == FLUSH_L1D)
		hw.l1d = 0;
	if (flush == FLUSH_VERW)
		hw.buffers = 0;
	if (flush == FLUSH_IBPB)
		hw.targets = 0;
	if (flush == FLUSH_RSB)
		hw.returns = 0;
	hw_sample();
}

/* The guest runs: it may meet only what is its own, and leaves everything that it can. */
static void hw_run(unsigned int guest)
{
	unsigned int own = 1u << guest;

	asi_check_entry(domains[guest], asi_host_cr3());
	assert_false(hw.l1d & ~own);
	assert_false(hw.buffers & ~own);
	assert_false(hw.targets & ~own);
	assert_false(hw.returns & ~own);
	hw.l1d |= own;
	hw.buffers |= own;
	hw.targets |= own;
	hw.returns |= own;
}

/* ---- the machine under test ---- */

static void start(enum mitigate_mode mode, unsigned int has, unsigned int needs)
{
	switch_reset(true, 0);
	asi_taints = 0;
	asi_taints_of = 0;
	asi_clean = NULL;
	fake_mitigation = (struct mitigation_cpu){ .has = has, .needs = needs, .l1d_msr = true };
	assert_int_equal(mitigate_init(mode), 0);
	mitigate_init_cpu();
	memset(&hw, 0, sizeof(hw));
}

static int stop(void **state)
{
	(void)state;
	fake_mmu_point = NULL;
	fake_mmu_on_flush = NULL;
	start(MITIGATE_NONE, 0, 0);
	return 0;
}

/* The log without fences and flushes of translations: CR3 writes as '>' (in) and '<' (out). */
static const char *summary(void)
{
	static char text[256];
	size_t n = 0;

	for (const char *p = fake_mmu_log; *p; p++) {
		if (strchr("LVBS", *p))
			text[n++] = *p;
		else if (strchr("WN", *p))
			text[n++] = p[1] == '0' ? '<' : '>';
	}
	text[n] = '\0';
	fake_mmu_log[0] = '\0';
	return text;
}

/* ---- without NMIs: exactly these ---- */

/* What the model knows: where the CPU is, and who has been there since what flush. */
static struct {
	int curr;     /* guest, or U */
	int last;     /* guest that was entered last, -1: none, or it is gone */
	bool dirty;   /* U since the last data flush */
	bool data;    /* a guest was entered since ever: its data may be there */
	bool control; /* a guest was entered since the last control flush */
} model;

static void expect(const char *want)
{
	assert_string_equal(summary(), want);
}

static void model_enter(int guest)
{
	bool other = model.last != guest;
	char want[8] = "";

	if (model.curr != guest) {
		strcat(want, ">");
		strcat(want, other && model.control ? "BS" : "");
		strcat(want, model.dirty || (other && model.data) ? "LV" : "");
		model.dirty = false;
		model.data = model.control = true;
		model.last = model.curr = guest;
	}
	asi_enter(domains[guest]);
	expect(want);
	hw_run((unsigned int)guest);
	asi_relax();
	assert_ptr_equal(asi_clean, domains[guest]);
}

static void model_leave(void)
{
	const char *want = model.curr == U ? "" : model.control ? "BS<" : "<";

	if (model.curr != U) {
		model.control = false;
		model.dirty = true;
	}
	model.curr = U;
	asi_exit();
	expect(want);
	assert_null(asi_clean);
}

/* A fault in a critical section, and the return of its handler. */
static void model_interrupted(int guest)
{
	model_enter(guest);
	asi_enter(domains[guest]);
	trap_depth = 1;
	switch_exit(ASI_BY_FAULT);
	trap_depth = 0;
	expect("BS<");
	asi_intr_exit();
	expect(">LV");
	hw_run((unsigned int)guest);
	asi_relax();
}

/* It ends on another CPU, and the next comes to its address: nobody tells this one. */
static void model_reborn(int guest)
{
	if (model.curr == guest)
		return;
	domain_publish(domains[guest]);
	if (model.last == guest)
		model.last = -1;
	expect("");
}

static void check_taints(void)
{
	unsigned int want = 0;

	want |= model.dirty ? BIT(TAINT_SENSITIVE_DATA) : 0;
	want |= model.data ? BIT(TAINT_GUEST_DATA) : 0;
	want |= model.control ? BIT(TAINT_GUEST_CONTROL) : 0;
	assert_int_equal(asi_taints, want);
	for (int i = 0; i < (int)DOMAINS; i++)
		assert_int_equal(asi_taints_of == domains[i]->serial, i == model.last);
}

static void test_model(void **state)
{
	(void)state;
	seed_start(7);
	start(MITIGATE_ASI, ALL, 0);
	fake_mmu_point = hw_sample;
	fake_mmu_on_flush = hw_flush;
	memset(&model, 0, sizeof(model));
	model.curr = U;
	model.last = -1;
	model.dirty = true;
	for (unsigned int i = 0; i < 20000; i++) {
		int guest = (int)seed_below(GUESTS);

		switch (seed_below(8)) {
		case 0:
		case 1:
			model_leave();
			break;
		case 2:
			model_interrupted(guest);
			break;
		case 3:
			model_reborn(guest);
			break;
		default:
			model_enter(guest);
			break;
		}
		check_taints();
	}
}

/* Two VMs take turns on a CPU: one IBPB for each change, and one L1D flush. */
static void test_vcpu_change_once(void **state)
{
	(void)state;
	start(MITIGATE_ASI, ALL, 0);
	for (unsigned int i = 0; i < 10; i++) {
		asi_enter(domains[i % 2]);
		asi_enter(domains[i % 2]);
		asi_relax();
		asi_exit();
	}
	assert_int_equal(asi_cpu_stats()->ibpb, 10);
	assert_int_equal(asi_cpu_stats()->rsb, 10);
	assert_int_equal(asi_cpu_stats()->l1d, 10);
	assert_int_equal(asi_cpu_stats()->verw, 10);
	for (unsigned int i = 0; i < 10; i++) /* the same directly; the first is from outside */
		asi_enter(domains[i % 2]);
	assert_int_equal(asi_cpu_stats()->ibpb, 19);
	assert_int_equal(asi_cpu_stats()->l1d, 20);
}

/* ---- with NMIs: nobody meets what is not his ---- */

/* One in twelve points has one; in it there may be more, up to three at a time. */
static void maybe_nmi(void)
{
	static unsigned int nested;

	hw_sample();
	if (nested == 3 || seed_below(12))
		return;
	nested++;
	trap_depth++;
	switch_point();
	if (seed_below(2)) {
		trap_depth++;
		switch_exit(seed_below(2) ? ASI_BY_FAULT : ASI_BY_CALL);
		switch_point();
		trap_depth--;
	}
	trap_depth--;
	switch_point();
	if (trap_depth == 0)
		asi_intr_exit();
	nested--;
}

static void test_nmis(void **state)
{
	(void)state;
	seed_start(11);
	start(MITIGATE_ASI, ALL, 0);
	fake_mmu_point = maybe_nmi;
	fake_mmu_on_flush = hw_flush;
	for (unsigned int i = 0; i < 50000; i++) {
		unsigned int guest = (unsigned int)seed_below(GUESTS);

		if (seed_below(3) == 0) {
			asi_exit();
		} else {
			asi_enter(domains[guest]);
			fake_mmu_point = hw_sample; /* as one instruction */
			hw_run(guest);
			fake_mmu_point = maybe_nmi;
			asi_relax();
		}
		fake_mmu_log[0] = '\0';
	}
	assert_true(asi_cpu_stats()->reenters > 1000);
}

/* ---- modes, and what the CPU has ---- */

static void round_trip(const char *in, const char *direct, const char *out)
{
	asi_enter(domains[0]);
	expect(in);
	asi_enter(domains[1]);
	expect(direct);
	asi_relax();
	asi_exit();
	expect(out);
}

/* By transition only in the two modes that are made so, and what the CPU lacks or does not need is not done. */
static void test_modes(void **state)
{
	(void)state;
	start(MITIGATE_ASI, ALL, 0);
	round_trip(">LV", ">BSLV", "BS<");
	start(MITIGATE_AUTO, ALL, ALL);
	round_trip(">LV", ">BSLV", "BS<");
	start(MITIGATE_AUTO, ALL, FLUSH_VERW | FLUSH_IBPB);
	round_trip(">V", ">BV", "B<");
	start(MITIGATE_AUTO, ALL, 0);
	round_trip(">", ">", "<");
	start(MITIGATE_ASI, FLUSH_L1D | FLUSH_RSB, ALL);
	round_trip(">L", ">SL", "S<");
	assert_int_equal(asi_cpu_stats()->ibpb, 0);
	assert_int_equal(asi_cpu_stats()->ibpb_missing, 2);
	for (enum mitigate_mode mode = MITIGATE_NONE; mode <= MITIGATE_EXIT; mode++) {
		start(mode, ALL, ALL);
		round_trip(">", ">", "<");
		assert_int_equal(asi_taints, 0); /* nothing would clear them */
		asi_enter(domains[0]);
		asi_check_entry(domains[0], asi_host_cr3());
		asi_relax();
		asi_exit();
	}
}

/* Of a VM with a domain and of one without: what each entry does, and whether HOST_RIP flushes. */
static void test_each(void **state)
{
	static const struct {
		enum mitigate_mode mode;
		bool domain, exit, entry;
		const char *flushes;
		unsigned int l1d, ibpb; /* counted */
	} rows[] = {
		{ MITIGATE_NONE, true, false, false, "", 0, 0 },
		{ MITIGATE_NONE, false, false, false, "", 0, 0 },
		{ MITIGATE_ENTRY, true, false, true, "LV", 1, 0 },
		{ MITIGATE_ENTRY, false, false, true, "LV", 1, 0 },
		{ MITIGATE_EXIT, true, true, true, "", 0, 1 },
		{ MITIGATE_EXIT, false, true, true, "", 0, 1 },
		{ MITIGATE_ASI, true, false, false, "", 0, 0 },
		{ MITIGATE_ASI, false, true, true, "LV", 1, 1 },
		{ MITIGATE_AUTO, true, false, false, "", 0, 0 },
		{ MITIGATE_AUTO, false, true, true, "LV", 1, 1 },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct asi *asi = rows[i].domain ? domains[0] : NULL;

		start(rows[i].mode, ALL, ALL);
		assert_int_equal(mitigate_each_exit(asi), rows[i].exit);
		assert_int_equal(mitigate_each_entry(asi), rows[i].entry);
		mitigate_entry(asi);
		expect(rows[i].flushes);
		assert_int_equal(asi_cpu_stats()->l1d, rows[i].l1d);
		assert_int_equal(asi_cpu_stats()->ibpb, rows[i].ibpb);
	}
}

static void report_is(const char *l1d, const char *verw, const char *ibpb, const char *rsb)
{
	struct mitigate_report r;

	mitigate_get_report(&r);
	assert_string_equal(r.l1d, l1d);
	assert_string_equal(r.verw, verw);
	assert_string_equal(r.ibpb, ibpb);
	assert_string_equal(r.rsb, rsb);
}

/* What @boot says of each flush. */
static void test_report(void **state)
{
	(void)state;
	start(MITIGATE_NONE, ALL, ALL);
	report_is("off", "off", "off", "off");
	start(MITIGATE_ENTRY, ALL, ALL);
	report_is("msr", "on", "off", "off");
	start(MITIGATE_EXIT, ALL, ALL);
	report_is("off", "off", "on", "on");
	start(MITIGATE_ASI, FLUSH_L1D | FLUSH_RSB, ALL);
	report_is("msr", "missing", "missing", "on");
	start(MITIGATE_AUTO, ALL & ~FLUSH_VERW, FLUSH_RSB);
	report_is("unneeded", "unneeded", "unneeded", "on");
}

/* The buffer for a flush in software: GLOBAL, twice the cache and never less than 64 KiB, or an error. */
static void test_buffer(void **state)
{
	static const struct {
		size_t l1d_bytes, pages;
	} rows[] = { { 0, 16 }, { 32768, 16 }, { 49152, 32 }, { 65536, 32 } };

	(void)state;
	start(MITIGATE_NONE, ALL, ALL);
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t before = memory_used();

		fake_mitigation.l1d_msr = false;
		fake_mitigation.l1d_bytes = rows[i].l1d_bytes;
		assert_int_equal(mitigate_init(MITIGATE_EXIT), 0); /* needs none */
		assert_int_equal(memory_used(), before);
		assert_int_equal(mitigate_init(MITIGATE_ASI), 0);
		assert_int_equal(memory_used(), before + rows[i].pages);
		report_is("software", "on", "on", "on");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_model, stop),
		cmocka_unit_test_teardown(test_vcpu_change_once, stop),
		cmocka_unit_test_teardown(test_nmis, stop),
		cmocka_unit_test_teardown(test_modes, stop),
		cmocka_unit_test_teardown(test_each, stop),
		cmocka_unit_test_teardown(test_report, stop),
		cmocka_unit_test_teardown(test_buffer, stop),
	};

	return cmocka_run_group_tests(tests, switch_setup, switch_teardown);
}
