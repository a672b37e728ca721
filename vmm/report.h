/* SPDX-License-Identifier: MIT */
/* What is printed about VMs: tables for people, '@' records for programs (docs/serial.md). */
#pragma once
#include "vmm/vm.h"

struct vcpu;

/* The table and the @exits, @surface and @guest records of a VM that has stopped. */
void report_vm(struct vm *vm);
/* Of one that may still run: its table and @exits records so far, and its @surface records. Unrestricted. */
void report_vm_exits(const struct vm *vm);
void report_vm_surface(const struct vm *vm);
/* detail=on: @samples, @rate and @latency records too, for every VM that stops from here on. */
void report_details(bool on);
/* They, of a vCPU of @vm; @order: the @n reasons that occurred, the most frequent first. Takes the last sample. */
void report_vcpu_details(const struct vcpu *v, const char *vm, const uint8_t *order,
			 unsigned int n);
/* The @asi records, and @stun. At any time, unrestricted. */
void report_asi(void);
/* The @sched record of a CPU. At any time, unrestricted. */
void report_sched(uint32_t cpu);
/* The @mem and @percpu records of SENSITIVE and GLOBAL memory; of one VM's LOCAL memory. At any time. */
void report_mem(void);
void report_mem_vm(const struct vm *vm);
/* The @experiment records: what the monitor has exposed. */
void report_experiment(void);
/* From here on guests run: what rates in @crossing records count from. */
void report_guests_begin(void);
/* A @crossing record for each place in the code that left the restricted space. */
void report_crossings(void);
/*
 * The @trace records of a CPU, and of all vCPUs of a VM: nothing with trace=off. At any time, unrestricted, from any CPU: who
 * writes meanwhile is not waited for.
 */
void report_trace_cpu(uint32_t cpu);
void report_trace_vm(const struct vm *vm);
/* The RAM that no restricted space maps, the @surface record of the machine. Unrestricted. */
void report_hidden(struct vm *const *vms, unsigned int nr);
/* The record @mark of the vCPU whose exit this is: what it has caused so far. */
void report_mark(const struct vm *vm, uint32_t mark);
/* One line about a guest's act that is answered but unusual; at most 8 a VM. */
void report_unserved(struct vm *vm, const char *what, uint64_t address, unsigned int size,
		     bool write);
/* Why a VM was stopped: the reason, guest RIP, qualification. Registers in debug builds only. */
void report_stop(struct vcpu *v, const char *what);
/* The bytes of an instruction that touched no device and no RAM, and that we do not know. */
void report_bytes(struct vcpu *v, const uint8_t *bytes, unsigned int len);
