/* SPDX-License-Identifier: MIT */
/* The fake RAM: see unittests/fake/arch/ram.h. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "lib/bitops.h"
#include "mm/page.h"

uint8_t *fake_ram_direct, *fake_ram_local;
#if FAKE_RAM_SIZE > 64 * PAGE_SIZE_1G
struct page *fake_pages;
struct pageblock *fake_pageblocks;
#else
struct page fake_pages[FAKE_RAM_SIZE / PAGE_SIZE];
struct pageblock fake_pageblocks[FAKE_RAM_SIZE / PAGE_SIZE_2M];
#endif

static int ram_file;

static void require(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	abort();
}

static uint8_t *ram_map(void)
{
	void *p = mmap(NULL, FAKE_RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
		       ram_file, 0);

	require(p != MAP_FAILED, "fake RAM");
	return p;
}

#if FAKE_RAM_SIZE > 64 * PAGE_SIZE_1G
static void *array_map(uint64_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	require(p != MAP_FAILED, "fake page metadata");
	return p;
}

static void arrays_init(void)
{
	fake_pages = array_map(FAKE_RAM_SIZE / PAGE_SIZE * sizeof(struct page));
	fake_pageblocks = array_map(FAKE_RAM_SIZE / PAGE_SIZE_2M * sizeof(struct pageblock));
}
#else
static void arrays_init(void)
{
}
#endif

__attribute__((constructor)) static void ram_init(void)
{
	arrays_init();
	ram_file = memfd_create("fake-ram", 0);
	require(ram_file >= 0 && !ftruncate(ram_file, FAKE_RAM_SIZE), "fake RAM");
	fake_ram_direct = ram_map();
	fake_ram_local = ram_map();
}

void fake_ram_clear(void *p, uint64_t len)
{
	/* A hole in the file reads as zero, and clearing 1 GiB this way costs no memory. */
	if (hva_is_ram(p) && IS_ALIGNED(hva_to_hpa(p).v | len, PAGE_SIZE_2M))
		require(!fallocate(ram_file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   (off_t)hva_to_hpa(p).v, (off_t)len),
			"clearing fake RAM");
	else
		memset(p, 0, len);
}

bool fake_ram_is_zero(hpa_t hpa, uint64_t len)
{
	off_t end = (off_t)(hpa.v + len), pos = (off_t)hpa.v;

	for (;;) {
		off_t stop;

		pos = lseek(ram_file, pos, SEEK_DATA);
		if (pos < 0 || pos >= end)
			return true;
		stop = lseek(ram_file, pos, SEEK_HOLE);
		for (; pos < stop && pos < end; pos++)
			if (fake_ram_direct[pos])
				return false;
	}
}

void fake_ram_forbid(bool forbid)
{
	int prot = forbid ? PROT_NONE : PROT_READ | PROT_WRITE;

	require(!mprotect(fake_ram_direct, FAKE_RAM_SIZE, prot) &&
			!mprotect(fake_ram_local, FAKE_RAM_SIZE, prot),
		"protecting fake RAM");
}
