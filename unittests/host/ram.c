/* SPDX-License-Identifier: MIT */
/* The arena of unittests/host/arch/ram.h and its metadata, there before main() starts. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "mm/page.h"

static void require(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	abort();
}

static void map_at(uint64_t at, uint64_t len, int flags, int file)
{
	void *p = mmap((void *)at, len, PROT_READ | PROT_WRITE,
		       flags | MAP_NORESERVE | MAP_FIXED_NOREPLACE, file, 0);

	require(p == (void *)at, "host RAM");
}

__attribute__((constructor)) static void ram_init(void)
{
	uint64_t nr_pages = FAKE_RAM_SIZE / PAGE_SIZE;
	uint64_t nr_blocks = FAKE_RAM_SIZE / PAGE_SIZE_2M;
	int file = memfd_create("host-ram", 0);

	require(file >= 0 && !ftruncate(file, FAKE_RAM_SIZE), "host RAM");
	map_at(HOST_RAM_DIRECT, FAKE_RAM_SIZE, MAP_SHARED, file);
	map_at(HOST_RAM_LOCAL, FAKE_RAM_SIZE, MAP_SHARED, file);
	close(file);
	map_at(HOST_PAGES, nr_pages * sizeof(struct page), MAP_PRIVATE | MAP_ANONYMOUS, -1);
	map_at(HOST_PAGEBLOCKS, nr_blocks * sizeof(struct pageblock), MAP_PRIVATE | MAP_ANONYMOUS,
	       -1);
}
