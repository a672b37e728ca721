/* SPDX-License-Identifier: MIT */
/*
 * What the allocators cost on the host, beside glibc's, jemalloc's and mimalloc's malloc. One thread. A
 * peer is loaded by itself (dlopen) and called through a pointer, as a program calls a shared library; ours
 * is called directly, as the hypervisor does. All loops are the same text, and each touches what it got.
 * Time is the thread's, so that what else runs on the machine is not counted.
 *
 * bench_mm peers ROUNDS    prints "KIND SIZE WHO ns" for each round
 * bench_mm classes ROUNDS  prints "pages KIND ns" and "objects KIND ns", each kind once in a round, and in the
 *                          end "large KIB", what of its RAM the host mapped by 2 MiB
 * bench_mm flat GIB        a round for each line read: prints "ns-of-a-pair ns-of-a-mix"
 * bench_mm domains CYCLES  after that many cycles one for each line read: prints "ns", and in the end
 *                          "lost PAGES", "scrubbed BYTES"
 *
 * scripts/bench-mm runs it and makes the table.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include "arch/insn.h"
#include "asi/asi.h"
#include "lib/bitops.h"
#include "mm/buddy.h"
#include "mm/memmap.h"
#include "mm/slab.h"
#include "mm/vmalloc.h"
#include "unittests/fake/machine.h"

#define PAIRS	100000
#define BATCH	1000
#define BATCHES 100
#define MIX	4096 /* runs live at a time in a mix */
#define STEPS	200000
#define TURN	25000 /* steps of a mix where several take turns */

static const size_t sizes[] = { 64, 128, 256, 512, 1024 };
static struct slab_cache caches[ARRAY_SIZE(sizes)];
static struct mem_owner owner;

/* malloc and friends of a library, NULL if it is not there. */
struct peer {
	const char *name, *library, *malloc_name, *free_name, *aligned_name;
	void *(*volatile malloc)(size_t size);
	void (*volatile free)(void *p);
	void *(*volatile aligned)(size_t align, size_t size);
};

static struct peer peers[] = {
	{ "glibc", NULL, NULL, NULL, NULL, malloc, free, aligned_alloc },
	{ "jemalloc", "libjemalloc.so.2", "malloc", "free", "aligned_alloc", NULL, NULL, NULL },
	{ "mimalloc", "libmimalloc.so.2", "mi_malloc", "mi_free", "mi_aligned_alloc", NULL, NULL,
	  NULL },
};

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void touch(void *p)
{
	*(volatile uint8_t *)p = 1;
}

/* Makes pairs_NAME and batch_NAME: ns for an allocation with its free. */
#define LOOPS(NAME, ARG, ALLOC, FREE)                              \
	static double pairs_##NAME(ARG)                            \
	{                                                          \
		uint64_t begin = now();                            \
		for (unsigned int i = 0; i < PAIRS; i++) {         \
			void *p = ALLOC;                           \
			touch(p);                                  \
			FREE;                                      \
		}                                                  \
		return (double)(now() - begin) / PAIRS;            \
	}                                                          \
	static double batch_##NAME(ARG)                            \
	{                                                          \
		static void *held[BATCH];                          \
		uint64_t begin = now();                            \
		for (unsigned int n = 0; n < BATCHES; n++) {       \
			for (unsigned int i = 0; i < BATCH; i++)   \
				touch(held[i] = ALLOC);            \
			for (unsigned int i = 0; i < BATCH; i++) { \
				void *p = held[i];                 \
				FREE;                              \
			}                                          \
		}                                                  \
		return (double)(now() - begin) / BATCH / BATCHES;  \
	}

#define PEER_ARGS const struct peer *peer, size_t size
LOOPS(peer, PEER_ARGS, peer->malloc(size), peer->free(p))
LOOPS(peer_page, const struct peer *peer, peer->aligned(PAGE_SIZE, PAGE_SIZE), peer->free(p))
LOOPS(slab, struct slab_cache *cache, slab_alloc(cache), slab_free(cache, p))
LOOPS(page, void, page_alloc(0, SENSITIVE, NULL), page_free(p, 0))

static void load_peers(void)
{
	for (size_t i = 1; i < ARRAY_SIZE(peers); i++) {
		void *library = dlopen(peers[i].library, RTLD_NOW | RTLD_LOCAL);

		if (!library) {
			fprintf(stderr, "%s\n", dlerror());
			continue;
		}
		peers[i].malloc = (void *(*)(size_t))dlsym(library, peers[i].malloc_name);
		peers[i].free = (void (*)(void *))dlsym(library, peers[i].free_name);
		peers[i].aligned = (void *(*)(size_t, size_t))dlsym(library, peers[i].aligned_name);
	}
}

static void report(const char *kind, size_t size, const char *who, double ns)
{
	printf("%s %zu %s %.3f\n", kind, size, who, ns);
}

/* Of which classes a mix of pages is: in turn, so that there is as much to do in each. */
static const struct mix_kind {
	const char *name;
	enum mem_class class[MEM_CLASS_NR];
} mix_kinds[] = {
	{ "one", { SENSITIVE, SENSITIVE, SENSITIVE } },
	{ "two", { SENSITIVE, GLOBAL, SENSITIVE } },
	{ "local", { LOCAL, LOCAL, LOCAL } },
	{ "classes", { SENSITIVE, GLOBAL, LOCAL } },
};

/*
 * Runs of order 0 to 3 come and go at random, MIX slots of them, each slot half of the time: ns for a
 * step of @steps, after as many.
 */
static double mix(const struct mix_kind *kind, unsigned int steps)
{
	static void *held[MIX];
	uint64_t random = 88172645463325252UL, begin = 0;

	for (unsigned int i = 0; i < 2 * steps; i++) {
		unsigned int slot, order;
		enum mem_class class;

		if (i == steps) /* filled up and warm */
			begin = now();
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		slot = (unsigned int)(random >> 20) % MIX;
		order = slot % 4;
		class = kind->class[slot % MEM_CLASS_NR];
		if (held[slot]) {
			page_free(held[slot], order);
			held[slot] = NULL;
		} else {
			held[slot] = page_alloc(order, class, class == LOCAL ? &owner : NULL);
			touch(held[slot]);
		}
	}
	begin = now() - begin;
	for (unsigned int slot = 0; slot < MIX; slot++)
		if (held[slot])
			page_free(held[slot], slot % 4);
	memset(held, 0, sizeof(held));
	return (double)begin / steps;
}

/* Pairs from three caches in turn, of one class or of three. */
static double mix_objects(bool classes)
{
	static struct slab_cache three[2][MEM_CLASS_NR];
	struct slab_cache *cache = three[classes];
	uint64_t begin;

	for (unsigned int i = 0; i < MEM_CLASS_NR && !cache[i].stride; i++) {
		enum mem_class class = classes ? (enum mem_class)i : SENSITIVE;

		slab_cache_init(&cache[i], "mix", 256, 0, class, class == LOCAL ? &owner : NULL);
	}
	begin = now();
	for (unsigned int i = 0; i < PAIRS; i++) {
		void *p = slab_alloc(&cache[i % MEM_CLASS_NR]);

		touch(p);
		slab_free(&cache[i % MEM_CLASS_NR], p);
	}
	return (double)(now() - begin) / PAIRS;
}

static void peers_round(const struct peer *peer)
{
	if (!peer->malloc)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		report("pair", sizes[i], peer->name, pairs_peer(peer, sizes[i]));
		report("batch", sizes[i], peer->name, batch_peer(peer, sizes[i]));
	}
	report("page", PAGE_SIZE, peer->name, pairs_peer_page(peer));
	report("page-batch", PAGE_SIZE, peer->name, batch_peer_page(peer));
}

static void our_round(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		report("pair", sizes[i], "ours", pairs_slab(&caches[i]));
		report("batch", sizes[i], "ours", batch_slab(&caches[i]));
	}
	report("page", PAGE_SIZE, "ours", pairs_page());
	report("page-batch", PAGE_SIZE, "ours", batch_page());
}

static int bench_peers(unsigned int rounds)
{
	load_peers();
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		slab_cache_init(&caches[i], "bench", sizes[i], 0, SENSITIVE, NULL);
	for (unsigned int round = 0; round < rounds; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(peers) + 1; i++) {
			size_t who = (i + round) % (ARRAY_SIZE(peers) + 1);

			if (who == ARRAY_SIZE(peers))
				our_round();
			else
				peers_round(&peers[who]);
		}
	}
	printf("metadata %zu %zu\n", sizeof(struct page), sizeof(struct pageblock));
	return 0;
}

/*
 * Maps RAM by 2 MiB where the host can, as the hypervisor maps its own: by 4 KiB a mix of thousands of pages
 * measures TLB misses as well, of which three pools have more than one. The aliases are then different
 * memory, which nobody sees here.
 */
static void map_large(void)
{
	void *alias[] = { hpa_to_direct(HPA(0)), hpa_to_local(HPA(0)) };

	for (size_t i = 0; i < ARRAY_SIZE(alias); i++) {
		if (mmap(alias[i], FAKE_RAM_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
			 0) != alias[i])
			abort();
		madvise(alias[i], FAKE_RAM_SIZE, MADV_HUGEPAGE);
	}
}

static long mapped_large(void)
{
	FILE *file = fopen("/proc/self/smaps_rollup", "r");
	char line[256];
	long kib = 0;

	while (file && fgets(line, sizeof(line), file))
		sscanf(line, "AnonHugePages: %ld", &kib);
	if (file)
		fclose(file);
	return kib;
}

/* What one kind took is compared with what another did right before or after. */
static int bench_classes(unsigned int rounds)
{
	for (unsigned int round = 0; round < rounds; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(mix_kinds); i++) {
			/* By turns forwards and backwards, so that none is always the first. */
			size_t kind = round % 2 ? ARRAY_SIZE(mix_kinds) - 1 - i : i;

			printf("pages %s %.3f\n", mix_kinds[kind].name,
			       mix(&mix_kinds[kind], TURN));
		}
		for (unsigned int i = 0; i < 2; i++) {
			bool classes = (round + i) % 2;

			printf("objects %s %.3f\n", classes ? "classes" : "one",
			       mix_objects(classes));
		}
	}
	printf("large %ld\n", mapped_large());
	return 0;
}

/* Ours again, while other processes wait for theirs: false if there is no more. */
static bool next_turn(void)
{
	int c;

	fflush(stdout);
	while ((c = getchar()) != EOF && c != '\n')
		;
	return c != EOF;
}

static int bench_flat(void)
{
	puts("ready");
	while (next_turn())
		printf("%.3f %.3f\n", pairs_page(), mix(&mix_kinds[0], STEPS));
	return 0;
}

#define DOMAINS 64

/* 8 MiB: as one run, as single pages, and as two areas. */
struct vm {
	struct mem_owner owner;
	struct asi *asi;
	void *run, *page[512], *area[2];
};

static void vm_make(struct vm *vm, uint16_t id)
{
	bool made = true;

	mem_owner_init(&vm->owner, id);
	if (asi_create(ASI_GUEST_VM, &vm->owner, &vm->asi))
		abort();
	made &= !!(vm->run = page_alloc(10, LOCAL, &vm->owner));
	for (size_t i = 0; i < ARRAY_SIZE(vm->page); i++)
		made &= !!(vm->page[i] = page_alloc(0, LOCAL, &vm->owner));
	for (size_t i = 0; i < ARRAY_SIZE(vm->area); i++)
		made &= !!(vm->area[i] = vmalloc(MiB(1), LOCAL, &vm->owner));
	if (!made)
		abort();
}

static void vm_end(struct vm *vm)
{
	for (size_t i = 0; i < ARRAY_SIZE(vm->area); i++)
		vfree(vm->area[i]);
	for (size_t i = 0; i < ARRAY_SIZE(vm->page); i++)
		page_free(vm->page[i], 0);
	page_free(vm->run, 10);
	vmalloc_owner_end(&vm->owner);
	mem_owner_destroy(&vm->owner);
	asi_put(vm->asi);
}

static uint64_t memory_used(void)
{
	struct buddy_stats s;

	buddy_get_stats(&s);
	return s.total_pages - s.free_pages[SENSITIVE] - s.free_pages[GLOBAL] - s.free_pages[LOCAL];
}

/* What a cycle took, in ns. */
static uint64_t cycle(void)
{
	static struct vm vm[DOMAINS];
	uint64_t begin = now();

	for (uint16_t i = 0; i < DOMAINS; i++)
		vm_make(&vm[i], (uint16_t)(i + 1));
	for (unsigned int i = 0; i < DOMAINS; i++)
		vm_end(&vm[i]);
	return now() - begin;
}

static int bench_domains(unsigned int cycles)
{
	uint64_t used, nr = cycles + 1;

	/* Scrubbing 1 GiB a cycle would hide everything else: counted, not done. */
	host_scrubs = false;
	cycle(); /* makes the tables of vmalloc ranges, which stay */
	used = memory_used();
	while (cycles--)
		cycle();
	puts("ready");
	for (; next_turn(); nr++)
		printf("%lu\n", cycle());
	printf("lost %ld\nscrubbed %lu\n", (long)(memory_used() - used), host_scrubbed / nr);
	return 0;
}

static void setup(uint64_t gib)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET((unsigned int)sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
	fake_banks[0] = (struct memrange){ MiB(1), GiB(gib) - MiB(32) };
	fake_banks[1] = (struct memrange){ GiB(gib) - MiB(16), GiB(gib) };
	fake_machine_setup(NULL);
	mem_owner_init(&owner, 100);
}

int main(int argc, char **argv)
{
	unsigned int n = argc == 3 ? (unsigned int)atoi(argv[2]) : 0;

	if (n && !strcmp(argv[1], "peers")) {
		setup(4);
		return bench_peers(n);
	}
	if (n && !strcmp(argv[1], "classes")) {
		map_large();
		setup(4);
		return bench_classes(n);
	}
	if (n && n <= 1024 && !strcmp(argv[1], "flat")) {
		setup(n);
		return bench_flat();
	}
	if (n && !strcmp(argv[1], "domains")) {
		setup(4);
		return bench_domains(n);
	}
	fprintf(stderr,
		"usage: bench_mm peers ROUNDS | classes ROUNDS | flat GIB | domains CYCLES\n");
	return 2;
}
