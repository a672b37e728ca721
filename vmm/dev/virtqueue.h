/* SPDX-License-Identifier: MIT */
/*
 * A virtqueue from the device's side: rings in guest RAM that a hostile guest may fill with anything, and change at any
 * time. Virtio 1.2, "Split Virtqueues", as legacy devices lay them out: descriptors, available ring, and at the next
 * page the used ring. Little-endian, no indirect descriptors, no event index.
 *
 * Every index and address that is read is read once and checked; a chain has at most VIRTQ_SIZE descriptors, so loops
 * end. What is wrong is told apart from an empty ring, and nothing is changed then. LOCAL memory of a VM; calls for one
 * device do not overlap. The RAM is reached by guestmem.h, so what a guest has given back is no RAM here.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "mm/addr.h"

struct vm;

#define VIRTQ_SIZE 64 /* descriptors */

struct virtq {
	uint32_t pfn;  /* the guest page that it begins in; 0: it is not set up */
	uint16_t next; /* the available chain that is served next; counts through */
	uint16_t used; /* how many have been given back; counts through */
	uint64_t
		done; /* bytes of the next chain that are served, for devices that stop in between */
};

struct virtq_segment {
	gpa_t gpa; /* unchecked, as is the length: copying checks both */
	uint32_t len;
	bool write; /* by the device; these stand behind the others */
};

struct virtq_chain {
	uint16_t head;
	uint16_t nr; /* at least 1 */
	struct virtq_segment seg[VIRTQ_SIZE];
};

enum virtq_look { VIRTQ_EMPTY, VIRTQ_CHAIN, VIRTQ_BAD };

/* Copies the next chain, which stays the next one. */
enum virtq_look virtq_peek(const struct vm *vm, const struct virtq *q, struct virtq_chain *chain);

/* Gives back the chain that was seen, with @written bytes. False if the used ring is no RAM. */
bool virtq_give(const struct vm *vm, struct virtq *q, uint16_t head, uint32_t written);

/* After virtq_give(): whether the driver wants to be interrupted, and whether there is a next chain. */
bool virtq_wants_irq(const struct vm *vm, const struct virtq *q);
bool virtq_has_next(const struct vm *vm, const struct virtq *q);
